package cert

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/acme/pebbletest"
	pb "signpost/proto/signpost/v1"
)

// Two control services that are asked at once place one order, also when it fails; another
// key has an order of its own, after that.
func TestTwoServicesPlaceOneOrder(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.control(), w.control()
	a.zone("vo.example.org")
	a.host("web.vo.example.org", false)
	key := newKey(t)
	ask := func(key string) (chains []string, errs []error) {
		chains, errs = make([]string, 6), make([]error, 6)
		var asking sync.WaitGroup
		for i := range chains {
			s := []*control{a, b}[i%2]
			asking.Go(func() {
				out, err := s.certs.IssueCertificate(s.person("egi/alice"), &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: key})
				chains[i], errs[i] = out.GetCertificate().GetChain(), err
			})
		}
		asking.Wait()
		return chains, errs
	}
	csr := request(t, key, "web.vo.example.org")
	chains, errs := ask(csr)
	for i, err := range errs {
		if err != nil || chains[i] != chains[0] || chains[i] == "" {
			t.Errorf("%v\n%s", err, chains[i])
		}
	}
	if n := w.ca.Count(pebbletest.NewOrder); n != 1 {
		t.Errorf("%d orders were placed", n)
	}
	var once sync.Once
	all := make(chan struct{})
	w.ca.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, pebbletest.NewOrder) {
			return false
		}
		once.Do(func() { // until all have asked
			select {
			case <-all:
			case <-time.After(30 * time.Second):
			}
		})
		rw.Header().Set("Replay-Nonce", "AAAA")
		pebbletest.Refuse(rw, 429, "rateLimited", "no")
		return true
	})
	want := w.begun.Load() + 6
	go func() {
		for w.begun.Load() < want {
			time.Sleep(time.Millisecond)
		}
		close(all)
	}()
	_, errs = ask(request(t, newKey(t), "web.vo.example.org"))
	for _, err := range errs {
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "rateLimited: no") {
			t.Errorf("%v", err)
		}
	}
	// Who has begun may come to ask for an order only when the first has failed.
	placed := w.ca.Count(pebbletest.NewOrder)
	if placed-1 >= 6 {
		t.Errorf("%d orders were placed: each has placed its own", placed-1)
	}
	w.ca.Intercept(nil)
	if got, err := b.certs.GetCertificate(b.person("egi/alice"), &pb.GetCertificateRequest{Fqdn: "web.vo.example.org"}); err != nil || got.Chain != chains[0] {
		t.Error("a failed order has taken the certificate away", err)
	}
	one, two := request(t, newKey(t), "web.vo.example.org"), request(t, newKey(t), "web.vo.example.org")
	var asking sync.WaitGroup
	for s, csr := range map[*control]string{a: one, b: two} {
		asking.Go(func() {
			if out, err := s.certs.IssueCertificate(s.person("egi/alice"), &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: csr}); err != nil || !out.Change.Changed {
				t.Error(out, err)
			}
		})
	}
	asking.Wait()
	if n := w.ca.Count(pebbletest.NewOrder) - placed; n < 2 || n > 3 { // the second may be tried without what it replaces
		t.Errorf("%d orders were placed for two keys", n)
	}
	w.nothingLeft()
}

// The chain goes when its host does, and when the host becomes another's: in the same
// transaction.
func TestACertificateGoesWithItsHost(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	raw, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	w.check(err)
	defer raw.Close()
	prefix := w.prefix + "/v1/ctl/cert/"
	for says, end := range map[string]func(host string) (*pb.Change, error){
		"deleted": func(host string) (*pb.Change, error) {
			out, err := s.hosts.DeleteHost(s.person("egi/alice"), &pb.DeleteHostRequest{Fqdn: host})
			return out.GetChange(), err
		},
		"handed": func(host string) (*pb.Change, error) {
			if _, err := s.hosts.TransferHost(s.person("egi/alice"), &pb.TransferHostRequest{Fqdn: host, To: "egi/bob"}); err != nil {
				return nil, err
			}
			out, err := s.hosts.AcceptHost(s.person("egi/bob"), &pb.AcceptHostRequest{Fqdn: host})
			return out.GetChange(), err
		},
	} {
		host := says + ".vo.example.org"
		s.host(host, false)
		in := &pb.IssueCertificateRequest{Fqdn: host, Csr: request(t, newKey(t), host)}
		out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
		w.check(err)
		ch, err := end(host)
		w.check(err)
		gone := raw.Watch(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithRev(out.Change.Revision+1))
		if resp := <-gone; len(resp.Events) != 1 || resp.Events[0].Type != clientv3.EventTypeDelete || resp.Events[0].Kv.ModRevision != ch.Revision {
			t.Errorf("%s in revision %d: %v", says, ch.Revision, resp.Events)
		}
		if says == "deleted" {
			s.host(host, false)
		}
		who := map[string]string{"deleted": "egi/alice", "handed": "egi/bob"}[says]
		if _, err := s.certs.GetCertificate(s.person(who), &pb.GetCertificateRequest{Fqdn: host}); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "the host has none") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// A host that is deleted or handed over in the middle of an order gets no certificate.
func TestAHostThatGoesInTheMiddle(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	w.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Finalize) {
			if _, err := s.hosts.DeleteHost(s.ctx, &pb.DeleteHostRequest{Fqdn: "web.vo.example.org"}); err != nil {
				t.Error(err)
			}
			if _, err := s.hosts.CreateHost(s.ctx, &pb.CreateHostRequest{Fqdn: "web.vo.example.org"}); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	_, err := s.certs.IssueCertificate(s.ctx, &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")})
	if status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "the host was changed meanwhile; ask again") {
		t.Error(err)
	}
	if _, err := s.certs.GetCertificate(s.ctx, &pb.GetCertificateRequest{Fqdn: "web.vo.example.org"}); status.Code(err) != codes.NotFound {
		t.Error("the next owner has it:", err)
	}
	w.nothingLeft()
}

// A service that is gone in the middle of an order leaves its challenge, which another
// takes away once the hold on the order has ended; what others have set there stays.
func TestAnUnfinishedChallengeIsSwept(t *testing.T) {
	w := newWorld(t, 1)
	dies, lives := w.control(), w.control()
	lives.zone("vo.example.org")
	lives.host("web.vo.example.org", false)
	_, err := lives.recs.SetRecordSet(lives.ctx, &pb.SetRecordSetRequest{Fqdn: "_acme-challenge.web.vo.example.org", Type: "TXT", Rdata: []string{"mine"}})
	w.check(err)
	told, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Tell) {
			once.Do(func() { close(told); <-goOn })
		}
		return false
	})
	ended := make(chan error, 1)
	go func() {
		_, err := dies.certs.IssueCertificate(dies.ctx, &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")})
		ended <- err
	}()
	<-told
	if got := w.txt("web.vo.example.org"); len(got) != 2 {
		t.Errorf("it is told of, and served is %q", got)
	}
	if n, err := lives.SweepChallenges(t.Context()); err != nil || n != 0 {
		t.Errorf("%d challenges of an order under way are taken away: %v", n, err)
	}
	w.check(dies.store.Close()) // as if it were killed: nothing that it does reaches etcd
	close(goOn)
	if err := <-ended; err == nil {
		t.Error("it has a certificate")
	}
	if got := w.txt("web.vo.example.org"); len(got) != 2 {
		t.Errorf("who is gone has taken it away: %q", got)
	}
	if n, err := lives.SweepChallenges(t.Context()); err != nil || n != 0 {
		t.Errorf("%d challenges are taken away while the hold lasts: %v", n, err)
	}
	w.endHold()
	if n, err := lives.SweepChallenges(t.Context()); err != nil || n != 1 {
		t.Errorf("%d challenges are taken away: %v", n, err)
	}
	w.nothingLeft()
	w.shows("swept", "web.vo.example.org", "mine")
	// And the host gets its certificate from another.
	if _, err := lives.certs.IssueCertificate(lives.ctx, &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}); err != nil {
		t.Error(err)
	}
}

// endHold ends the hold on an order as its time does, which a busy etcd puts off.
func (w *world) endHold() {
	w.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	w.check(err)
	defer c.Close()
	resp, err := c.Get(w.t.Context(), w.prefix+"/v1/ctl/acme/order/", clientv3.WithPrefix())
	w.check(err)
	for _, kv := range resp.Kvs {
		if kv.Lease == 0 {
			w.t.Errorf("%s does not end with its holder", kv.Key)
		}
		_, err := c.Revoke(w.t.Context(), clientv3.LeaseID(kv.Lease))
		w.check(err)
	}
}
