package cert

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/acme/pebbletest"
	pb "signpost/proto/signpost/v1"
)

// renewals lets a test say when the authority wants certificates renewed.
type renewals struct {
	from, to atomic.Pointer[time.Time]
	again    atomic.Int64 // seconds
}

func (r *renewals) say(from, to time.Time) {
	from, to = from.UTC().Truncate(time.Second), to.UTC().Truncate(time.Second)
	r.from.Store(&from)
	r.to.Store(&to)
}

func (r *renewals) answer(w http.ResponseWriter, req *http.Request) bool {
	if !strings.HasPrefix(req.URL.Path, pebbletest.Renewal) || r.from.Load() == nil {
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", fmt.Sprint(r.again.Load()))
	fmt.Fprintf(w, `{"suggestedWindow":{"start":%q,"end":%q}}`, r.from.Load().Format(time.RFC3339), r.to.Load().Format(time.RFC3339))
	return true
}

// certRevision is when the certificates of a world were last written.
func (w *world) certRevision() (rev int64) {
	w.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	w.check(err)
	defer c.Close()
	resp, err := c.Get(w.t.Context(), w.prefix+"/v1/ctl/cert/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	w.check(err)
	for _, kv := range resp.Kvs {
		rev = max(rev, kv.ModRevision)
	}
	return rev
}

// issued is a host of alice's with a certificate, and how to ask for it.
func (s *control) issued(host string) (*pb.IssueCertificateRequest, *pb.Certificate) {
	s.w.t.Helper()
	s.host(host, false)
	in := &pb.IssueCertificateRequest{Fqdn: host, Csr: request(s.w.t, newKey(s.w.t), host)}
	out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
	s.w.check(err)
	return in, out.Certificate
}

// The authority is asked again when it is time, about a certificate that somebody asks for;
// what it says now is kept, and nothing is written when it says the same.
func TestRenewalIsAskedAgain(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	said := new(renewals)
	said.again.Store(7200)
	first := time.Now().Add(50 * 24 * time.Hour)
	said.say(first, first.Add(48*time.Hour))
	w.ca.Intercept(said.answer)
	in, cert := s.issued("web.vo.example.org")
	get := func(says string, from *time.Time, asked int) {
		t.Helper()
		was := w.ca.Count(pebbletest.Renewal)
		got, err := s.certs.GetCertificate(s.person("egi/alice"), &pb.GetCertificateRequest{Fqdn: in.Fqdn})
		w.check(err)
		if !got.RenewFrom.AsTime().Equal(*from) || got.Chain != cert.Chain {
			t.Errorf("%s: renew from %v, not %v", says, got.RenewFrom.AsTime(), from)
		}
		if n := w.ca.Count(pebbletest.Renewal) - was; n != asked {
			t.Errorf("%s: it was asked %d times, not %d", says, n, asked)
		}
	}
	old := said.from.Load()
	get("what was said at issue", old, 0)
	said.say(first.Add(-24*time.Hour), first)
	get("it is not time to ask", old, 0)
	w.offset.Store(int64(2*time.Hour + time.Second))
	get("it is time", said.from.Load(), 1)
	get("and not again", said.from.Load(), 0)
	rev := w.certRevision()
	w.offset.Store(int64(5 * time.Hour))
	get("it says the same", said.from.Load(), 1)
	if now := w.certRevision(); now != rev {
		t.Errorf("written in revision %d, though nothing has changed since %d", now, rev)
	}
	other := w.control() // which has not asked yet
	was := w.ca.Count(pebbletest.Renewal)
	out, err := other.certs.IssueCertificate(other.person("egi/alice"), in)
	if err != nil || out.Change.Changed || w.ca.Count(pebbletest.Renewal) != was+1 || w.certRevision() != rev {
		t.Errorf("another service: %v, %v, asked %d times", out.GetChange(), err, w.ca.Count(pebbletest.Renewal)-was)
	}
}

// Who asks again with the same key gets a new certificate when the authority wants that,
// long before a third of the old one's life is left.
func TestTheAuthorityWantsItRenewedEarlier(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	said := new(renewals)
	w.ca.Intercept(said.answer)
	in, cert := s.issued("web.vo.example.org")
	orders := w.ca.Count(pebbletest.NewOrder)
	w.offset.Store(int64(7 * time.Hour))
	day := 24 * time.Hour
	said.say(w.now().Add(day), w.now().Add(2*day))
	out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
	if err != nil || out.Change.Changed || out.Certificate.Chain != cert.Chain {
		t.Errorf("before the time: %v, %v", out.GetChange(), err)
	}
	w.offset.Add(int64(7 * time.Hour))
	said.say(w.now().Add(-2*day), w.now().Add(-day))
	out, err = s.certs.IssueCertificate(s.person("egi/alice"), in)
	if err != nil || !out.Change.Changed || out.Certificate.Chain == cert.Chain || w.ca.Count(pebbletest.NewOrder) != orders+1 {
		t.Fatalf("after it: %v, %v", out.GetChange(), err)
	}
	w.verify(out.Certificate.Chain, "web.vo.example.org")
	if got, err := s.certs.GetCertificate(s.person("egi/alice"), &pb.GetCertificateRequest{Fqdn: in.Fqdn}); err != nil || got.Chain != out.Certificate.Chain {
		t.Error("it is not the new one that is kept", err)
	}
	w.nothingLeft()
}

// wantedEarly is a host's certificate that the authority wants renewed now, and then answers
// no order but as it is told here.
func (w *world) wantedEarly(order func(http.ResponseWriter, *http.Request)) (s *control, in *pb.IssueCertificateRequest, cert *pb.Certificate) {
	w.t.Helper()
	s = w.control()
	s.zone("vo.example.org")
	said := new(renewals)
	w.ca.Intercept(said.answer)
	in, cert = s.issued("web.vo.example.org")
	said.say(time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	w.offset.Store(int64(7 * time.Hour))
	w.ca.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, pebbletest.NewOrder) {
			return said.answer(rw, r)
		}
		order(rw, r)
		return true
	})
	return s, in, cert
}

// An authority that wants a certificate renewed early, and then does not do it, costs
// nobody the one that there is, nor all orders of the week.
func TestAnEarlyRenewalThatFails(t *testing.T) {
	w := newWorld(t, 1)
	s, in, cert := w.wantedEarly(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Replay-Nonce", "AAAA")
		pebbletest.Refuse(rw, 429, "rateLimited", "too many certificates")
	})
	for i := range 12 { // days, an attempt each
		for range 2 {
			out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
			if err != nil || out.Change.Changed || out.Certificate.Chain != cert.Chain {
				t.Fatalf("day %d: %v, %v", i, out.GetChange(), err)
			}
		}
		if n := s.orders("web.vo.example.org."); n > 3 {
			t.Fatalf("day %d: %d orders are counted, those that somebody needs are used up", i, n)
		}
		w.offset.Add(int64(25 * time.Hour))
	}
	if n := w.ca.Count(pebbletest.NewOrder); n < 4 || n > 7 {
		t.Errorf("%d orders were tried in twelve days", n)
	}
	w.nothingLeft()
}

// An authority that takes an order for an early renewal and is not heard of again is not
// waited for as long as for an order that is needed: the old one is given.
func TestAnEarlyRenewalThatHangs(t *testing.T) {
	w := newWorld(t, 1)
	w.early = 2 * time.Second
	s, in, cert := w.wantedEarly(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})
	out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
	if err != nil || out.Change.Changed || out.Certificate.Chain != cert.Chain {
		t.Errorf("%v, %v", out.GetChange(), err)
	}
	w.nothingLeft()
}

// An authority that is away, or does not answer, keeps nobody from the certificate that
// there is.
func TestNobodyWaitsForAnAuthorityThatIsAway(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	in, cert := s.issued("web.vo.example.org")
	given := func(says string) {
		t.Helper()
		got, err := s.certs.GetCertificate(s.person("egi/alice"), &pb.GetCertificateRequest{Fqdn: in.Fqdn})
		if err != nil || got.Chain != cert.Chain || !got.RenewFrom.AsTime().Equal(cert.RenewFrom.AsTime()) {
			t.Errorf("%s: %v, %v", says, got, err)
		}
		out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
		if err != nil || out.Change.Changed || out.Certificate.Chain != cert.Chain {
			t.Errorf("%s: %v, %v", says, out, err)
		}
	}
	goOn := make(chan struct{})
	w.ca.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Renewal) {
			<-goOn // until all have got their answers
			pebbletest.Refuse(rw, 503, "serverInternal", "closed for the night")
			return true
		}
		return false
	})
	w.offset.Store(int64(7 * time.Hour))
	given("it hangs")
	close(goOn)
	w.offset.Store(int64(14 * time.Hour))
	given("it has trouble of its own")
	w.offset.Store(int64(21 * time.Hour))
	w.ca.Close()
	given("it is down")
	w.ca.Intercept(nil)
}
