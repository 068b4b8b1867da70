package zones_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Who administers a zone does not read what was done in one of that name before, nor in
// one below it that is gone.
func TestTheAuditOfAZoneThatWasIsNotThatOfTheZoneThatIs(t *testing.T) {
	s := controltest.Start(t)
	zoe := controltest.Person("egi/zoe")
	s.Open("example.org")
	s.Open("vo.example.org")
	s.HostOf(controltest.Person("egi/alice"), "web.vo.example.org", "192.0.2.1")
	list := func(who context.Context, in *pb.ListAuditRecordsRequest) string {
		t.Helper()
		out, err := s.Audits.ListAuditRecords(who, in)
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, r := range out.Records {
			actions = append(actions, r.Action)
		}
		return strings.Join(actions, " ")
	}
	from := s.Revision()
	s.HostOf(controltest.Person("egi/alice"), "app.vo.example.org", "192.0.2.1")
	if got := list(zoe, &pb.ListAuditRecordsRequest{Zone: "vo.example.org"}); got != "host.create host.create zone.open zone.create" {
		t.Error(got)
	}
	s.Clock.Add(time.Minute)
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	if got := list(zoe, &pb.ListAuditRecordsRequest{Fqdn: "web.vo.example.org"}); got != "" {
		t.Errorf("the administrator of the zone above reads %s", got)
	}
	s.Clock.Add(time.Minute)
	s.Open("vo.example.org")
	s.HostOf(controltest.Person("egi/bob"), "web.vo.example.org", "192.0.2.2")
	for in, want := range map[*pb.ListAuditRecordsRequest]string{
		{Zone: "vo.example.org"}:     "host.create zone.open zone.create",
		{Fqdn: "web.vo.example.org"}: "host.create",
	} {
		if got := list(zoe, in); got != want {
			t.Errorf("%v: %s, want %s", in, got, want)
		}
	}
	if got := list(s.Admin(), &pb.ListAuditRecordsRequest{Zone: "vo.example.org"}); !strings.HasSuffix(got, "zone.delete host.create host.create zone.open zone.create") {
		t.Errorf("an operator reads %s", got)
	}
	// An import that takes hosts away makes no other zone.
	s.Clock.Add(time.Minute)
	if code, body := s.Call("POST", "/v1/zones/vo.example.org:import?replace=true&replace_hosts=true", "Bearer "+s.Token,
		"@ 60 IN SOA ns1 hostmaster 1 7200 900 1209600 30\n@ IN NS ns1\nns1 IN A 192.0.2.53\n"); code != 200 {
		t.Fatal(code, body)
	}
	if got := list(zoe, &pb.ListAuditRecordsRequest{Zone: "vo.example.org"}); got != "zone.replace host.create zone.open zone.create" {
		t.Error(got)
	}
	// So it is with a stream that begins before.
	ctx, cancel := context.WithCancel(zoe)
	defer cancel()
	stream, err := pb.NewWatchServiceClient(s.Conn).Watch(ctx, &pb.WatchRequest{Zone: "vo.example.org", FromRevision: from})
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range m.Events {
			if e.Fqdn == "app.vo.example.org" {
				t.Errorf("of the zone that was: %v", e)
			}
		}
		if m.Revision >= s.Revision() {
			return
		}
	}
}
