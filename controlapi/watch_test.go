package controlapi_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

// stream is a Watch that has begun; since is the revision that it said it begins at.
type stream struct {
	t     *testing.T
	from  pb.WatchService_WatchClient
	since int64
}

func (s *server) watch(ctx context.Context, in *pb.WatchRequest) *stream {
	s.t.Helper()
	t := s.t.(*testing.T)
	ctx, cancel := context.WithTimeout(ctx, 180*time.Second)
	t.Cleanup(cancel)
	from, err := pb.NewWatchServiceClient(s.conn).Watch(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	w := &stream{t: t, from: from}
	if in.GetFromRevision() == 0 {
		m, err := from.Recv()
		if err != nil || len(m.GetEvents()) != 0 {
			t.Fatal(m, err)
		}
		w.since = m.GetRevision()
	}
	return w
}

// next is the next revision that has events, a line for each.
func (w *stream) next() (int64, []string) {
	w.t.Helper()
	for {
		m, err := w.from.Recv()
		if err != nil {
			w.t.Fatal(err)
		}
		if m.GetRevision() < w.since {
			w.t.Fatalf("revision %d after %d", m.GetRevision(), w.since)
		}
		w.since = m.GetRevision()
		if len(m.GetEvents()) > 0 {
			return m.GetRevision(), lines(m.GetEvents())
		}
	}
}

func lines(events []*pb.Event) []string {
	var out []string
	for _, e := range events {
		text := strings.Join([]string{e.GetKind(), e.GetWhat(), e.GetZone(), e.GetFqdn(), e.GetType()}, " ")
		switch {
		case e.GetHostNow() != nil:
			text += " = " + strings.Join(e.GetHostNow().GetAddresses(), " ")
		case e.GetRecordSetNow() != nil:
			text += " = " + strings.Join(e.GetRecordSetNow().GetRdata(), " ")
		case e.GetZoneNow() != nil:
			text += fmt.Sprintf(" = ttl %d", e.GetZoneNow().GetTtl())
		case e.GetAuditRecord() != nil:
			r := e.GetAuditRecord()
			text += " = " + r.GetAction() + " " + r.GetBefore() + " -> " + r.GetAfter()
		}
		out = append(out, text)
	}
	return out
}

func (w *stream) want(events ...string) int64 {
	w.t.Helper()
	rev, got := w.next()
	if !slices.Equal(got, events) {
		w.t.Errorf("revision %d:\n%s\nwant\n%s", rev, strings.Join(got, "\n"), strings.Join(events, "\n"))
	}
	return rev
}

// end is why the stream ends.
func (w *stream) end() error {
	w.t.Helper()
	for {
		if _, err := w.from.Recv(); err != nil {
			return err
		}
	}
}

func (s *server) setAddress(fqdn, addr string) int64 {
	s.t.Helper()
	out, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{addr}})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.GetChange().GetRevision()
}

func (s *server) etcd() *clientv3.Client {
	s.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

func TestAStreamTellsOfEveryChangeWithWhatIsThereSince(t *testing.T) {
	s := start(t)
	w := s.watch(s.admin(), &pb.WatchRequest{Kinds: []string{"zone", "host", "record"}})
	s.zone("vo.example.org")
	secret := s.host("www.vo.example.org", "192.0.2.1")
	rev := s.setAddress("www.vo.example.org", "192.0.2.2")
	s.record("mail.vo.example.org", "TXT", "one")
	s.record("mail.vo.example.org", "TXT", "two")
	if _, err := s.records.DeleteRecordSet(s.admin(), &pb.DeleteRecordSetRequest{Fqdn: "mail.vo.example.org", Type: "TXT"}); err != nil {
		t.Fatal(err)
	}
	ttl := uint32(77)
	if _, err := s.zones.UpdateZone(s.admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: &ttl}); err != nil {
		t.Fatal(err)
	}
	out, err := s.hosts.RotateSecret(s.admin(), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: "www.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	w.want("zone created vo.example.org   = ttl 60")
	w.want("host created vo.example.org www.vo.example.org  = 192.0.2.1")
	if got := w.want("host changed vo.example.org www.vo.example.org  = 192.0.2.2"); got != rev {
		t.Errorf("revision %d, the change was %d", got, rev)
	}
	w.want(`record created vo.example.org mail.vo.example.org TXT = "one"`)
	w.want(`record changed vo.example.org mail.vo.example.org TXT = "two"`)
	w.want("record deleted vo.example.org mail.vo.example.org TXT")
	w.want("zone changed vo.example.org   = ttl 77")
	w.want("host changed vo.example.org www.vo.example.org  = 192.0.2.2")
	w.want("host deleted vo.example.org www.vo.example.org ")
	w.want("zone deleted vo.example.org  ")

	// The same again from the beginning, the audit too, and no secret in it.
	all := s.watch(s.admin(), &pb.WatchRequest{FromRevision: rev - 1})
	_, got := all.next()
	if len(got) != 2 || !strings.HasSuffix(got[1], " = host.set-addresses 192.0.2.1 -> 192.0.2.2") {
		t.Errorf("%q", got)
	}
	for range 7 {
		_, more := all.next()
		got = append(got, more...)
	}
	for _, shown := range []string{secret, out.GetSecret(), s.token} {
		if strings.Contains(strings.Join(got, "\n"), shown) {
			t.Error("a secret is in an event")
		}
	}
}

func TestTwoStreamsGetWhatTheyAskedFor(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.zone("other.example.org")
	s.host("a.vo.example.org", "192.0.2.1")
	one := s.watch(s.admin(), &pb.WatchRequest{Zone: "other.example.org", Kinds: []string{"host"}})
	two := s.watch(s.admin(), &pb.WatchRequest{Fqdn: "a.vo.example.org", Kinds: []string{"host", "record", "zone"}})
	audit := s.watch(s.admin(), &pb.WatchRequest{Kinds: []string{"audit"}, Fqdn: "a.vo.example.org"})
	s.host("x.other.example.org", "192.0.2.2")
	s.host("b.vo.example.org", "192.0.2.3")
	s.record("x.a.vo.example.org", "TXT", "t")
	s.host("y.other.example.org", "192.0.2.4")
	if _, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	one.want("host created other.example.org x.other.example.org  = 192.0.2.2")
	one.want("host created other.example.org y.other.example.org  = 192.0.2.4")
	two.want(`record created vo.example.org x.a.vo.example.org TXT = "t"`)
	two.want("zone deleted vo.example.org  ")
	audit.want("audit created vo.example.org x.a.vo.example.org  = record.set  -> \"t\"")
	_, err := s.watch(s.admin(), &pb.WatchRequest{FromRevision: 1, Kinds: []string{"hosts"}}).from.Recv()
	wantErr(t, err, codes.InvalidArgument, "kinds[0]")
	_, err = s.watch(s.admin(), &pb.WatchRequest{FromRevision: 1 << 40}).from.Recv()
	wantErr(t, err, codes.InvalidArgument, "from_revision")
}

func TestAHostsSecretWatchesItsHostAlone(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	secret := s.host("mine.vo.example.org", "192.0.2.1")
	s.host("other.vo.example.org", "192.0.2.1")
	w := s.watch(as("mine.vo.example.org", secret), &pb.WatchRequest{Fqdn: "mine.vo.example.org"})
	s.setAddress("other.vo.example.org", "192.0.2.9")
	s.record("x.mine.vo.example.org", "TXT", "not for the secret")
	s.record("mine.vo.example.org", "TXT", "neither")
	s.setAddress("mine.vo.example.org", "192.0.2.2")
	w.want("host changed vo.example.org mine.vo.example.org  = 192.0.2.2")
}

func TestAQuietStreamGivesSignsOfLifeThatMoveOn(t *testing.T) {
	s := start(t, func(c *controlapi.Config) { c.Heartbeat = 50 * time.Millisecond })
	s.zone("vo.example.org")
	w := s.watch(s.admin(), &pb.WatchRequest{Zone: "other.example.org"})
	s.host("www.vo.example.org", "192.0.2.1")
	now := s.setAddress("www.vo.example.org", "192.0.2.2")
	for w.since < now {
		m, err := w.from.Recv()
		if err != nil || len(m.GetEvents()) > 0 {
			t.Fatal(m, err)
		}
		w.since = m.GetRevision()
	}
}

func TestStreamsAreBoundedAndLeaveNothingBehind(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	secret := s.host("mine.vo.example.org", "192.0.2.1")
	s.watch(s.admin(), &pb.WatchRequest{}).from.CloseSend() // the connection and its goroutines are there
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(as("mine.vo.example.org", secret))
	var open []grpc.ClientStream
	for range 16 {
		open = append(open, s.watch(ctx, &pb.WatchRequest{Fqdn: "mine.vo.example.org"}).from)
	}
	_, err := s.watch(ctx, &pb.WatchRequest{Fqdn: "mine.vo.example.org", FromRevision: 1}).from.Recv()
	wantErr(t, err, codes.ResourceExhausted, "")
	other := s.watch(s.admin(), &pb.WatchRequest{Kinds: []string{"host"}})
	cancel()
	for _, o := range open {
		for o.RecvMsg(&pb.WatchResponse{}) == nil {
		}
	}
	s.setAddress("mine.vo.example.org", "192.0.2.2")
	other.want("host changed vo.example.org mine.vo.example.org  = 192.0.2.2")
	s.service.EndStreams()
	if err := other.end(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}

func TestAnImportIsOneEventOfItsZone(t *testing.T) {
	s := start(t)
	w := s.watch(s.admin(), &pb.WatchRequest{Kinds: []string{"zone", "host", "record"}})
	file := "@ 60 IN SOA ns1.example.net. host.example.net. 1 2 3 4 5\n@ 60 IN NS ns1.example.net.\nwww 60 IN A 192.0.2.1\n"
	for _, query := range []string{"", "?replace=true"} {
		body := file + "x" + strings.TrimPrefix(query, "?replace=") + " 60 IN TXT t\n"
		if code, text := s.call("POST", "/v1/zones/new.example.org:import"+query, "Bearer "+s.token, body, "Content-Type", "text/dns"); code != 200 {
			t.Fatal(code, text)
		}
	}
	w.want("zone created new.example.org   = ttl 60")
	w.want("zone changed new.example.org   = ttl 60")
}
