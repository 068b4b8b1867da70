package cert

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"signpost/internal/acme/pebbletest"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

func retry(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			return r.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

// orders is how many orders are counted of a host.
func (s *control) orders(host model.Name) (n int) {
	s.w.t.Helper()
	s.w.check(s.store.Read(s.w.t.Context(), func(tx *store.Tx) (err error) {
		n, err = tx.CountOrders(host, s.w.now())
		return err
	}))
	return n
}

// An authority that is down or refuses: the error says so, and nothing is left behind.
func TestAnAuthorityThatDoesNot(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	key := newKey(t)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, key, "web.vo.example.org")}
	refuse := func(path string, code int, typ, detail string, header ...string) {
		w.ca.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, path) {
				return false
			}
			rw.Header().Set("Replay-Nonce", "AAAA")
			for i := 0; i < len(header); i += 2 {
				rw.Header().Set(header[i], header[i+1])
			}
			pebbletest.Refuse(rw, code, typ, detail)
			return true
		})
	}
	counted := 0
	fails := func(says string, code codes.Code, why string, counts bool) error {
		t.Helper()
		_, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
		if status.Code(err) != code || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v", says, err)
		}
		w.shows(says, "web.vo.example.org")
		w.nothingLeft()
		if counts {
			counted++
		}
		if n := s.orders("web.vo.example.org."); n != counted {
			t.Errorf("%s: %d orders are counted, want %d", says, n, counted)
		}
		return err
	}
	refuse(pebbletest.Directory, 503, "serverInternal", "closed for the night")
	fails("trouble of its own", codes.Unavailable, "the certificate authority is not available", false)
	refuse(pebbletest.NewOrder, 403, "rejectedIdentifier", "this name is on a list")
	fails("a name that it does not take", codes.FailedPrecondition, "the certificate authority refuses: rejectedIdentifier: this name is on a list", true)
	refuse(pebbletest.NewOrder, 429, "rateLimited", "too many certificates", "Retry-After", "7200")
	err := fails("its own limit", codes.ResourceExhausted, "rateLimited: too many certificates", true)
	if after := retry(err); after < 7100*time.Second || after > 7200*time.Second || !strings.Contains(err.Error(), "try again at 20") {
		t.Errorf("try again after %v: %v", after, err)
	}
	resp, body := s.ask("POST", "/api/hosts/web.vo.example.org/certificate", "egi/alice", "application/json", asJSON(t, in.Csr))
	if counted++; resp.StatusCode != 429 || body != `{"detail":"Request was throttled."}` || len(resp.Header.Get("Retry-After")) != 4 {
		t.Error(resp.Status, resp.Header, body)
	}
	refuse(pebbletest.Finalize, 403, "badCSR", "it does not like the key")
	fails("the request", codes.FailedPrecondition, "badCSR: it does not like the key", true)
	w.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Finalize) || strings.HasPrefix(r.URL.Path, pebbletest.Tell) {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	in.Fqdn, in.Csr = "new.vo.example.org", request(t, key, "new.vo.example.org")
	s.host(in.Fqdn, false)
	_, err = s.certs.IssueCertificate(s.person("egi/alice"), in)
	if status.Code(err) != codes.Unavailable || w.ca.Count(pebbletest.Tell) < 2 {
		t.Errorf("it goes away when the challenge is there: %v, told %d times", err, w.ca.Count(pebbletest.Tell))
	}
	w.shows("it goes away when the challenge is there", in.Fqdn)
	w.nothingLeft()
	in.Fqdn, in.Csr = "web.vo.example.org", request(t, key, "web.vo.example.org")
	w.ca.Close()
	fails("it is down", codes.Unavailable, "the certificate authority is not available", false)
	w.ca.Intercept(nil)
}

// A name server that does not serve the challenge in time, for it is cut off from etcd: it
// is said which, the authority is not told that it is there, and nothing is left behind.
func TestAChallengeThatOneNameServerDoesNotServe(t *testing.T) {
	w := newWorld(t, 1)
	way := newLine(t)
	behind := w.nameServer(way.endpoint())
	w.servers = append(w.servers, behind)
	w.wait = 2 * time.Second
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}
	placed := 0
	fails := func(says string, orders int) {
		t.Helper()
		_, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "not served by "+behind+" (it serves an older state)") || strings.Contains(err.Error(), w.servers[0]) {
			t.Errorf("%s: %v", says, err)
		}
		placed += orders
		if n := w.ca.Count(pebbletest.NewOrder); n != placed {
			t.Errorf("%s: %d orders were placed, want %d", says, n, placed)
		}
		if n := w.ca.Count(pebbletest.Tell); n != 0 {
			t.Errorf("%s: the authority was told of a challenge", says)
		}
		w.shows(says, "web.vo.example.org")
		w.nothingLeft()
		if n := s.orders("web.vo.example.org."); n != 0 {
			t.Errorf("%s: %d orders are counted", says, n)
		}
	}
	serves := func() {
		t.Helper()
		way.cut(false)
		_, err := s.hosts.SetAddresses(bearer(wait(t), w.token), &pb.SetAddressesRequest{Fqdn: "web.vo.example.org", Addresses: []string{"192.0.2.1"}})
		w.check(err)
		for deadline := time.Now().Add(time.Minute); ; { // it comes back within 30 s
			out, err := s.hosts.UpdateHost(bearer(wait(t), w.token), &pb.UpdateHostRequest{Fqdn: "web.vo.example.org", Ttl: new(uint32(60 + time.Now().UnixNano()%1000))})
			w.check(err)
			if v := out.GetChange().GetVisibility(); len(v) == 2 && v[0].State == "visible" && v[1].State == "visible" {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("it does not come back: ", out.GetChange())
			}
		}
	}
	serves()
	way.cut(true)
	_, err := s.hosts.SetAddresses(s.ctx, &pb.SetAddressesRequest{Fqdn: "web.vo.example.org", ClearIpv4: true})
	w.check(err)
	fails("it is behind before", 0)
	serves()
	w.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.NewOrder) {
			way.cut(true)
		}
		return false
	})
	fails("it falls behind", 1)
	w.ca.Intercept(nil)
	serves()
	if _, err := s.certs.IssueCertificate(s.person("egi/alice"), in); err != nil {
		t.Error(err)
	}
}

// wait is a context of calls that wait until their change is visible.
func wait(t *testing.T) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "wait", "visible")
}

// The limits: of the same names, of the owner's hosts, of the zone; over them the time is
// said, and the authority is not asked.
func TestOrdersHaveLimits(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	s.host("two.vo.example.org", false)
	_, err := s.hosts.CreateHost(s.person("egi/bob"), &pb.CreateHostRequest{Fqdn: "bobs.vo.example.org"})
	w.check(err)
	place := func(n int, by store.OrderedBy) {
		t.Helper()
		for range n {
			_, err := s.store.Update(t.Context(), func(tx *store.Tx) error { return tx.PlaceOrder(by, store.OrderedMost{}, w.now()) })
			w.check(err)
		}
	}
	order := func(who, host string) error {
		_, err := s.certs.IssueCertificate(s.person(who), &pb.IssueCertificateRequest{Fqdn: host, Csr: request(t, newKey(t), host)})
		return err
	}
	limited := func(err error, why string) {
		t.Helper()
		week := 7 * 24 * time.Hour
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), why) || retry(err) > week || retry(err) < week-2*time.Hour {
			t.Errorf("%v, after %v; want %q", err, retry(err), why)
		}
	}
	place(4, store.OrderedBy{Names: "web.vo.example.org.", Owner: "egi/alice", Zone: "vo.example.org."})
	if err := order("egi/alice", "web.vo.example.org"); err != nil {
		t.Error("the fifth:", err)
	}
	placed := w.ca.Count(pebbletest.NewOrder)
	limited(order("egi/alice", "web.vo.example.org"), "its certificate was ordered 5 times in the last seven days, as many as one may; try again at 20")
	place(15, store.OrderedBy{Names: "x.vo.example.org.", Owner: "egi/alice", Zone: "other.example.org."})
	limited(order("egi/alice", "two.vo.example.org"), "certificates of its owner's hosts were ordered 20 times")
	place(35, store.OrderedBy{Names: "x.vo.example.org.", Zone: "vo.example.org."})
	limited(order("egi/bob", "bobs.vo.example.org"), "certificates in zone vo.example.org were ordered 40 times")
	if n := w.ca.Count(pebbletest.NewOrder); n != placed {
		t.Errorf("the authority was asked %d times over the limits", n-placed)
	}
	w.offset.Store(int64(7*24*time.Hour + 2*time.Hour))
	for who, host := range map[string]string{"egi/alice": "web.vo.example.org", "egi/bob": "bobs.vo.example.org"} {
		if err := order(who, host); err != nil {
			t.Errorf("a week later: %v", err)
		}
	}
}

// A service that is stopped in the middle of an order takes its challenge away first.
func TestAStopInTheMiddle(t *testing.T) {
	w := newWorld(t, 1)
	s, other := w.control(), w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	w.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Tell) {
			s.EndStreams()
		}
		return false
	})
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}
	_, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "this control service is being stopped; ask again") {
		t.Error(err)
	}
	w.nothingLeft()
	w.ca.Intercept(nil)
	if _, err := other.certs.IssueCertificate(other.person("egi/alice"), in); err != nil {
		t.Error(err)
	}
}

// An order goes on when its client is gone, who finds the certificate there later.
func TestAClientThatDoesNotWait(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}
	ctx, cancel := context.WithCancel(s.person("egi/alice"))
	gone := make(chan struct{})
	w.ca.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.NewOrder) {
			cancel()
			<-gone
		}
		return false
	})
	_, err := s.certs.IssueCertificate(ctx, in)
	close(gone)
	if status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	out, err := s.certs.IssueCertificate(s.person("egi/alice"), in) // it waits for that order
	w.check(err)
	if n := w.ca.Count(pebbletest.NewOrder); n != 1 || out.Change.Changed {
		t.Errorf("%d orders were placed; %v", n, out.Change)
	}
}
