package cert

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/acme/pebbletest"
	pb "signpost/proto/signpost/v1"
)

// A host that has no address yet gets its certificate, over gRPC, and so does one with all
// names below it, over REST; nothing stays in the zone but what was there.
func TestACertificateBeforeThereIsAnAddress(t *testing.T) {
	w := newWorld(t, 2)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	s.host("any.vo.example.org", true)
	const others = "a value of somebody else's"
	_, err := s.recs.SetRecordSet(s.ctx, &pb.SetRecordSetRequest{Fqdn: "_acme-challenge.any.vo.example.org", Type: "TXT", Rdata: []string{`"` + others + `"`}, Ttl: new(uint32(77))})
	w.check(err)
	stream, events := s.follow(t)
	defer stream()

	key := newKey(t)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, key, "web.vo.example.org")}
	if _, err := s.certs.GetCertificate(s.person("egi/alice"), &pb.GetCertificateRequest{Fqdn: in.Fqdn}); err == nil || !strings.Contains(err.Error(), "the host has none; signpost cert issue") {
		t.Errorf("before it is issued: %v", err)
	}
	out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
	w.check(err)
	w.verify(out.Certificate.Chain, "web.vo.example.org")
	if c := out.Certificate; !out.Change.Changed || c.Serial == "" || len(c.KeyId) != 64 || c.RenewFrom == nil || !slices.Equal(c.Names, []string{"web.vo.example.org"}) ||
		c.NotAfter.AsTime().Before(time.Now().Add(24*time.Hour)) {
		t.Errorf("%v", out)
	}
	w.shows("after the order", "web.vo.example.org")
	orders := w.ca.Count("/order-plz")
	again, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
	if err != nil || again.Change.Changed || again.Certificate.Chain != out.Certificate.Chain || w.ca.Count("/order-plz") != orders {
		t.Errorf("the same key: %v, %v, %d orders", again, err, w.ca.Count("/order-plz")-orders)
	}
	got, err := s.certs.GetCertificate(s.person("egi/alice"), &pb.GetCertificateRequest{Fqdn: in.Fqdn})
	if err != nil || got.Chain != out.Certificate.Chain {
		t.Error(got, err)
	}

	body, err := json.Marshal(map[string]string{"csr": request(t, rsaKey(t, 2048), "any.vo.example.org", "*.any.vo.example.org")})
	w.check(err)
	resp, text := s.ask("POST", "/v1/hosts/any.vo.example.org/certificate", "egi/alice", "application/json", string(body))
	var rest struct{ Certificate struct{ Chain string } }
	if err := json.Unmarshal([]byte(text), &rest); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, text, err)
	}
	w.verify(rest.Certificate.Chain, "any.vo.example.org")
	w.verify(rest.Certificate.Chain, "x.any.vo.example.org")
	w.shows("after the order", "any.vo.example.org", others)
	set, err := s.recs.GetRecordSet(s.ctx, &pb.GetRecordSetRequest{Fqdn: "_acme-challenge.any.vo.example.org", Type: "TXT"})
	if err != nil || set.Ttl != 77 {
		t.Error(set, err)
	}
	w.nothingLeft()

	// One event of the host for each certificate, and who has got it is written down.
	for _, want := range []string{"host changed web.vo.example.org", "host changed any.vo.example.org"} {
		if got := <-events; got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	}
	records, err := s.audit.ListAuditRecords(s.ctx, &pb.ListAuditRecordsRequest{Action: "cert"})
	w.check(err)
	var lines []string
	for _, r := range slices.Backward(records.Records) {
		lines = append(lines, r.Action+" "+r.Principal+" "+r.Name)
	}
	of := func(host string) []string {
		return []string{"cert.challenge system/acme _acme-challenge." + host, "cert.challenge system/acme _acme-challenge." + host, "cert.issue egi/alice " + host}
	}
	if want := slices.Concat(of("web.vo.example.org"), of("any.vo.example.org")); !slices.Equal(lines, want) {
		t.Errorf("audit:\n%s", strings.Join(lines, "\n"))
	}
	if r := records.Records[3]; !strings.Contains(r.After, "key "+got.KeyId) || !strings.Contains(r.After, "certificate "+got.Serial+" for web.vo.example.org,") {
		t.Errorf("%v", r)
	}
}

// follow gives the events of hosts and records from now on.
func (s *control) follow(t *testing.T) (end context.CancelFunc, events <-chan string) {
	ctx, cancel := context.WithCancel(s.ctx)
	from, err := s.watch.Watch(ctx, &pb.WatchRequest{Kinds: []string{"host", "record"}})
	s.w.check(err)
	_, err = from.Recv() // that it has begun
	s.w.check(err)
	out := make(chan string, 100)
	go func() {
		for {
			m, err := from.Recv()
			if err != nil {
				return
			}
			for _, e := range m.GetEvents() {
				out <- e.GetKind() + " " + e.GetWhat() + " " + e.GetFqdn()
			}
		}
	}()
	return cancel, out
}

// When less than a third of its life is left, the same key gets another; another key and
// other names get one at once.
func TestAnOldCertificateIsReplaced(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	later := new(renewals) // than a third of its life before its end
	later.say(time.Now().Add(70*24*time.Hour), time.Now().Add(80*24*time.Hour))
	w.ca.Intercept(later.answer)
	key := newKey(t)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, key, "web.vo.example.org")}
	issue := func(what string, want bool) *pb.Certificate {
		t.Helper()
		out, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
		w.check(err)
		if out.Change.Changed != want {
			t.Errorf("%s: it is issued anew: %v, want %v", what, out.Change.Changed, want)
		}
		return out.Certificate
	}
	first := issue("first", true)
	life := first.NotAfter.AsTime().Sub(first.NotBefore.AsTime())
	w.offset.Store(int64(life*2/3 - time.Hour))
	issue("a third is left", false)
	w.offset.Store(int64(life*2/3 + time.Hour))
	if again := issue("less is left", true); again.Serial == first.Serial {
		t.Error("it is the same")
	}
	w.offset.Store(0)
	in.Csr = request(t, newKey(t), "web.vo.example.org")
	told := w.ca.Count("/chalZ/")
	issue("another key", true)
	if n := w.ca.Count("/chalZ/"); n != told || told != 1 { // nor is a challenge set
		t.Errorf("what the authority has seen proven is proven again: %d times, then %d", told, n)
	}
	_, err := s.hosts.UpdateHost(s.ctx, &pb.UpdateHostRequest{Fqdn: in.Fqdn, Wildcard: new(true)})
	w.check(err)
	in.Csr = request(t, key, "web.vo.example.org", "web.vo.example.org", "*.web.vo.example.org")
	w.verify(issue("other names", true).Chain, "x.web.vo.example.org")
}

// A certificate of another authority is of no use when that one is asked no more.
func TestAnotherAuthority(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}
	_, err := s.certs.IssueCertificate(s.person("egi/alice"), in)
	w.check(err)
	w.ca = pebbletest.Start(t, w.servers[0])
	next := w.control()
	out, err := next.certs.IssueCertificate(next.person("egi/alice"), in)
	w.check(err)
	w.verify(out.Certificate.Chain, "web.vo.example.org")
	if again, err := next.certs.IssueCertificate(next.person("egi/alice"), in); err != nil || again.Change.Changed {
		t.Error(again, err)
	}
}

// A token gets certificates if it may that, whatever else it may.
func TestTokensMayBeNarrowedToCertificates(t *testing.T) {
	w := newWorld(t, 1)
	s := w.control()
	s.zone("vo.example.org")
	s.host("web.vo.example.org", false)
	in := &pb.IssueCertificateRequest{Fqdn: "web.vo.example.org", Csr: request(t, newKey(t), "web.vo.example.org")}
	for _, tt := range []struct {
		actions []string
		want    codes.Code
	}{
		{[]string{"host.*", "record.*"}, codes.PermissionDenied},
		{[]string{"cert.read"}, codes.PermissionDenied},
		{[]string{"cert.issue"}, codes.OK},
		{nil, codes.OK},
	} {
		token, err := s.tokens.CreateToken(s.person("egi/alice"), &pb.CreateTokenRequest{Actions: tt.actions})
		w.check(err)
		if _, err := s.certs.IssueCertificate(bearer(t.Context(), token.Secret), in); status.Code(err) != tt.want {
			t.Errorf("%q: %v, want %s", tt.actions, err, tt.want)
		}
	}
}
