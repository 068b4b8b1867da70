package watch_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestAStreamTellsOfEveryChangeWithWhatIsThereSince(t *testing.T) {
	s := controltest.Start(t)
	w := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"zone", "host", "record"}})
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	rev := s.SetAddress("www.vo.example.org", "192.0.2.2")
	s.Record("mail.vo.example.org", "TXT", "one")
	s.Record("mail.vo.example.org", "TXT", "two")
	if _, err := s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: "mail.vo.example.org", Type: "TXT"}); err != nil {
		t.Fatal(err)
	}
	ttl := uint32(77)
	if _, err := s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: &ttl}); err != nil {
		t.Fatal(err)
	}
	out, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "www.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	w.Want("zone created vo.example.org   = ttl 60")
	w.Want("host created vo.example.org www.vo.example.org  = 192.0.2.1")
	if got := w.Want("host changed vo.example.org www.vo.example.org  = 192.0.2.2"); got != rev {
		t.Errorf("revision %d, the change was %d", got, rev)
	}
	w.Want(`record created vo.example.org mail.vo.example.org TXT = "one"`)
	w.Want(`record changed vo.example.org mail.vo.example.org TXT = "two"`)
	w.Want("record deleted vo.example.org mail.vo.example.org TXT")
	w.Want("zone changed vo.example.org   = ttl 77")
	w.Want("host changed vo.example.org www.vo.example.org  = 192.0.2.2")
	w.Want("host deleted vo.example.org www.vo.example.org ")
	w.Want("zone deleted vo.example.org  ")

	// The same again from the beginning, the audit too, and no secret in it.
	all := s.Watch(s.Admin(), &pb.WatchRequest{FromRevision: rev - 1})
	_, got := all.Next()
	if len(got) != 2 || !strings.HasSuffix(got[1], " = host.set-addresses 192.0.2.1 -> 192.0.2.2") {
		t.Errorf("%q", got)
	}
	for range 7 {
		_, more := all.Next()
		got = append(got, more...)
	}
	for _, shown := range []string{secret, out.GetSecret(), s.Token} {
		if strings.Contains(strings.Join(got, "\n"), shown) {
			t.Error("a secret is in an event")
		}
	}
}

func TestTwoStreamsGetWhatTheyAskedFor(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Zone("other.example.org")
	s.Host("a.vo.example.org", "192.0.2.1")
	one := s.Watch(s.Admin(), &pb.WatchRequest{Zone: "other.example.org", Kinds: []string{"host"}})
	two := s.Watch(s.Admin(), &pb.WatchRequest{Fqdn: "a.vo.example.org", Kinds: []string{"host", "record", "zone"}})
	audit := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"audit"}, Fqdn: "a.vo.example.org"})
	s.Host("x.other.example.org", "192.0.2.2")
	s.Host("b.vo.example.org", "192.0.2.3")
	s.Record("x.a.vo.example.org", "TXT", "t")
	s.Host("y.other.example.org", "192.0.2.4")
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	one.Want("host created other.example.org x.other.example.org  = 192.0.2.2")
	one.Want("host created other.example.org y.other.example.org  = 192.0.2.4")
	two.Want(`record created vo.example.org x.a.vo.example.org TXT = "t"`)
	two.Want("zone deleted vo.example.org  ")
	audit.Want("audit created vo.example.org x.a.vo.example.org  = record.set  -> \"t\"")
	_, err := s.Watch(s.Admin(), &pb.WatchRequest{FromRevision: 1, Kinds: []string{"hosts"}}).From.Recv()
	controltest.WantErr(t, err, codes.InvalidArgument, "kinds[0]")
	_, err = s.Watch(s.Admin(), &pb.WatchRequest{FromRevision: 1 << 40}).From.Recv()
	controltest.WantErr(t, err, codes.InvalidArgument, "from_revision")
}

func TestAHostsSecretWatchesItsHostAlone(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("mine.vo.example.org", "192.0.2.1")
	s.Host("other.vo.example.org", "192.0.2.1")
	w := s.Watch(controltest.As("mine.vo.example.org", secret), &pb.WatchRequest{Fqdn: "mine.vo.example.org"})
	s.SetAddress("other.vo.example.org", "192.0.2.9")
	s.Record("x.mine.vo.example.org", "TXT", "not for the secret")
	s.Record("mine.vo.example.org", "TXT", "neither")
	s.SetAddress("mine.vo.example.org", "192.0.2.2")
	w.Want("host changed vo.example.org mine.vo.example.org  = 192.0.2.2")
}

func TestAQuietStreamGivesSignsOfLifeThatMoveOn(t *testing.T) {
	s := controltest.Start(t, func(c *controlapi.Config) { c.Heartbeat = 50 * time.Millisecond })
	s.Zone("vo.example.org")
	w := s.Watch(s.Admin(), &pb.WatchRequest{Zone: "other.example.org"})
	s.Host("www.vo.example.org", "192.0.2.1")
	now := s.SetAddress("www.vo.example.org", "192.0.2.2")
	for w.Since < now {
		m, err := w.From.Recv()
		if err != nil || len(m.GetEvents()) > 0 {
			t.Fatal(m, err)
		}
		w.Since = m.GetRevision()
	}
}

func TestStreamsAreBoundedAndLeaveNothingBehind(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("mine.vo.example.org", "192.0.2.1")
	s.Watch(s.Admin(), &pb.WatchRequest{}).From.CloseSend() // the connection and its goroutines are there
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(controltest.As("mine.vo.example.org", secret))
	var open []grpc.ClientStream
	for range 16 {
		open = append(open, s.Watch(ctx, &pb.WatchRequest{Fqdn: "mine.vo.example.org"}).From)
	}
	_, err := s.Watch(ctx, &pb.WatchRequest{Fqdn: "mine.vo.example.org", FromRevision: 1}).From.Recv()
	controltest.WantErr(t, err, codes.ResourceExhausted, "")
	other := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"host"}})
	cancel()
	for _, o := range open {
		for o.RecvMsg(&pb.WatchResponse{}) == nil {
		}
	}
	s.SetAddress("mine.vo.example.org", "192.0.2.2")
	other.Want("host changed vo.example.org mine.vo.example.org  = 192.0.2.2")
	s.Service.EndStreams()
	if err := other.End(); status.Code(err) != codes.Unavailable {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}

func TestAnImportIsOneEventOfItsZone(t *testing.T) {
	s := controltest.Start(t)
	w := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"zone", "host", "record"}})
	file := "@ 60 IN SOA ns1.example.net. host.example.net. 1 2 3 4 5\n@ 60 IN NS ns1.example.net.\nwww 60 IN A 192.0.2.1\n"
	for _, query := range []string{"", "?replace=true"} {
		body := file + "x" + strings.TrimPrefix(query, "?replace=") + " 60 IN TXT t\n"
		if code, text := s.Call("POST", "/v1/zones/new.example.org:import"+query, "Bearer "+s.Token, body, "Content-Type", "text/dns"); code != 200 {
			t.Fatal(code, text)
		}
	}
	w.Want("zone created new.example.org   = ttl 60")
	w.Want("zone changed new.example.org   = ttl 60")
}
