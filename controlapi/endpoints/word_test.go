package endpoints_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi/controltest"
	"signpost/internal/automation"
	pb "signpost/proto/signpost/v1"
)

func TestTheNearestWordCounts(t *testing.T) {
	s := controltest.Two(t)
	s.Done(s.SayOfSite("a", "drain"))
	s.WantStands(controltest.App, "a drained, b up*")
	s.Done(s.SayOfHost("up"))
	s.WantStands(controltest.App, "a up*, b up*")
	s.Done(s.Say("a", "down"))
	s.WantStands(controltest.App, "a down, b up*")
	// auto takes the word of its own level back; the next one speaks.
	s.Done(s.Say("a", "auto"))
	s.WantStands(controltest.App, "a up*, b up*")
	s.Done(s.SayOfHost("auto"))
	s.WantStands(controltest.App, "a drained, b up*")
	s.Done(s.SayOfSite("a", "auto"))
	s.WantStands(controltest.App, "a up*, b up*")
	out, err := s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "auto"})
	if err != nil || out.Change.Changed || out.Word != nil {
		t.Errorf("%v %v", out, err)
	}
	out, err = s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "drain", Reason: "new kernel"})
	if err != nil || !out.Change.Changed || out.Word.Reason != "new kernel" || !strings.HasPrefix(out.Word.By, "admin/") {
		t.Errorf("%v %v", out, err)
	}
	out, err = s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "drain", Reason: "new kernel"})
	if err != nil || out.Change.Changed {
		t.Errorf("the same again: %v %v", out, err)
	}
}

func TestBadWordsAreRefusedByField(t *testing.T) {
	s := controltest.Two(t)
	for _, c := range []struct {
		in    *pb.SetEndpointWordRequest
		code  codes.Code
		field string
	}{
		{&pb.SetEndpointWordRequest{Id: "a", Say: "off"}, codes.InvalidArgument, "say"},
		{&pb.SetEndpointWordRequest{Id: "a", Say: ""}, codes.InvalidArgument, "say"},
		{&pb.SetEndpointWordRequest{Id: "a", Say: "drain", For: durationpb.New(time.Second)}, codes.InvalidArgument, "for"},
		{&pb.SetEndpointWordRequest{Id: "a", Say: "drain", For: durationpb.New(367 * 24 * time.Hour)}, codes.InvalidArgument, "for"},
		{&pb.SetEndpointWordRequest{Id: "a", Say: "auto", For: durationpb.New(time.Minute)}, codes.InvalidArgument, "for"},
		{&pb.SetEndpointWordRequest{Id: "a", Say: "drain", Reason: strings.Repeat("x", 501)}, codes.InvalidArgument, "reason"},
		{&pb.SetEndpointWordRequest{Id: "c", Say: "drain"}, codes.NotFound, "id"},
	} {
		c.in.Fqdn = controltest.App
		_, err := s.Points.SetEndpointWord(s.Admin(), c.in)
		controltest.WantErr(t, err, c.code, c.field)
	}
	_, err := s.Health.SetSiteWord(s.Admin(), &pb.SetSiteWordRequest{Site: "Prague 1", Say: "drain"})
	controltest.WantErr(t, err, codes.InvalidArgument, "site")
}

// The last-endpoint guard, its rows by name, at every level and for removals.
func TestTheLastEndpointIsTakenAwayOnlyByWhoMeansIt(t *testing.T) {
	s := controltest.Two(t)
	s.Done(s.Say("a", "drain"))
	for name, take := range map[string]func(...bool) error{
		"endpoint drain": func(c ...bool) error { return s.Say("b", "drain", c...) },
		"endpoint down":  func(c ...bool) error { return s.Say("b", "down", c...) },
		"host":           func(c ...bool) error { return s.SayOfHost("down", c...) },
		"site":           func(c ...bool) error { return s.SayOfSite("b", "drain", c...) },
		"removal": func(c ...bool) error {
			_, err := s.Points.RemoveEndpoint(s.Admin(), &pb.RemoveEndpointRequest{Fqdn: controltest.App, Id: "b", ConfirmLast: len(c) > 0})
			return err
		},
	} {
		err := take()
		controltest.WantErr(t, err, codes.FailedPrecondition, "confirm_last")
		s.WantStands(controltest.App, "a drained, b up*")
		if name == "site" && !strings.Contains(err.Error(), controltest.App) {
			t.Errorf("the host is not named: %v", err)
		}
	}
	s.Done(s.Say("b", "drain", true))
	s.WantStands(controltest.App, "a drained, b drained")
	// With nothing left there is nothing to guard.
	s.Done(s.Say("b", "down"), s.SayOfHost("drain"), s.Say("a", "auto"), s.Say("b", "auto"))
	s.WantStands(controltest.App, "a drained, b drained")
}

// What was put up is taken back like any other: nothing else may be left.
func TestTakingBackTheLastWordUpIsMeant(t *testing.T) {
	s := controltest.Two(t)
	s.Done(s.Say("a", "up"), s.SayOfHost("drain"))
	s.WantStands(controltest.App, "a up*, b drained")
	controltest.WantErr(t, s.Say("a", "auto"), codes.FailedPrecondition, "confirm_last")
	s.WantStands(controltest.App, "a up*, b drained")
	s.Done(s.Say("a", "auto", true))
	s.WantStands(controltest.App, "a drained, b drained")
	s.Done(s.SayOfHost("auto"), s.SayOfSite("a", "up"), s.SayOfHost("up"), s.SayOfSite("a", "auto"), s.SayOfHost("auto")) // nothing is lost
	s.WantStands(controltest.App, "a up*, b up*")
}

// People do not clear the addresses of the last endpoint by accident either; machines say
// what is, and where there is one endpoint alone that is how its name is withdrawn.
func TestTheLastAddressesAreClearedOnlyByWhoMeansIt(t *testing.T) {
	s := controltest.Two(t)
	machine := s.EndpointSecret(controltest.App, "b")
	clear := func(ctx context.Context, confirm bool) error {
		_, err := s.Points.SetEndpointAddresses(ctx, &pb.SetEndpointAddressesRequest{Fqdn: controltest.App, Id: "b", ClearIpv4: true, ConfirmLast: confirm})
		return err
	}
	back := func() {
		t.Helper()
		_, err := s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: controltest.App, Id: "b", Addresses: []string{"192.0.2.2"}})
		s.Done(err)
	}
	alice := controltest.Person("egi/alice")
	s.Done(clear(alice, false)) // there is a
	back()
	s.Done(s.Say("a", "drain"))
	for name, ctx := range map[string]context.Context{"owner": alice, "token": controltest.Bearer(s.TokenOf(alice, &pb.CreateTokenRequest{})), "admin": s.Admin()} {
		if controltest.WantErr(t, clear(ctx, false), codes.FailedPrecondition, "confirm_last"); t.Failed() {
			t.Fatal(name)
		}
	}
	s.WantStands(controltest.App, "a drained, b up*")
	s.Done(clear(alice, true))
	back()
	s.Done(clear(controltest.As(controltest.App+"/b", machine), false))
	s.WantStands(controltest.App, "a drained, b no addresses")
	// main is one of them.
	secret := s.HostOf(alice, "web.vo.example.org", "192.0.2.1")
	only := &pb.SetAddressesRequest{Fqdn: "web.vo.example.org", ClearIpv4: true}
	set := func(ctx context.Context) error { _, err := s.Hosts.SetAddresses(ctx, only); return err }
	s.Done(set(alice))
	s.SetAddress("web.vo.example.org", "192.0.2.1")
	s.Endpoint("web.vo.example.org", "a")
	controltest.WantErr(t, set(alice), codes.FailedPrecondition, "confirm_last")
	s.Done(set(controltest.As("web.vo.example.org", secret)))
}

// Two that each leave the other's endpoint cannot pass each other, at whatever level they
// take theirs away.
func TestTwoDrainsCannotPassEachOther(t *testing.T) {
	s := controltest.Two(t)
	other := s.Again()
	type taking func(s *controltest.Server, id, say string) error
	endpoint := func(s *controltest.Server, id, say string) error { return s.Say(id, say) }
	site := func(s *controltest.Server, id, say string) error { return s.SayOfSite(id, say) }
	for name, by := range map[string][2]taking{
		"two endpoints": {endpoint, endpoint}, "an endpoint and a site": {endpoint, site}, "two sites": {site, site},
	} {
		for round := range 30 {
			var both sync.WaitGroup
			errs := make([]error, 2)
			both.Go(func() { errs[0] = by[0](s, "a", "drain") })
			both.Go(func() { errs[1] = by[1](other, "b", "drain") })
			both.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("%s, round %d: %v; %v; %s", name, round, errs[0], errs[1], s.Stands(controltest.App))
			}
			s.Done(by[0](s, "a", "auto"), by[1](s, "b", "auto"))
		}
	}
}

// A timed word ends when its marker does, whichever service notices it.
func TestATimedWordEnds(t *testing.T) {
	s := controltest.Two(t)
	auto, err := automation.New(automation.Config{Store: s.Store, Now: s.Clock.Read})
	if err != nil {
		t.Fatal(err)
	}
	say := func(id, say string, span *durationpb.Duration) {
		t.Helper()
		out, err := s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: id, Say: say, For: span, Reason: "reboot"})
		if err != nil || span != nil && out.Word.ExpireTime.AsTime() != s.Clock.Read().Add(span.AsDuration()) {
			t.Fatal(out, err)
		}
	}
	say("a", "drain", durationpb.New(time.Hour))
	s.Done(auto.Step(t.Context()))
	s.WantStands(controltest.App, "a drained, b up*")
	if n := markers(s); n != 1 {
		t.Errorf("%d markers", n)
	}
	endMarkers(s)
	if _, err := s.Health.SetFreeze(s.Admin(), &pb.SetFreezeRequest{On: true}); err != nil {
		t.Fatal(err)
	}
	s.Done(auto.Step(t.Context()))
	s.WantStands(controltest.App, "a drained, b up*") // frozen
	if _, err := s.Health.SetFreeze(s.Admin(), &pb.SetFreezeRequest{}); err != nil {
		t.Fatal(err)
	}
	s.Done(auto.Step(t.Context()))
	s.WantStands(controltest.App, "a up*, b up*")
	records, err := s.Audits.ListAuditRecords(controltest.Person("egi/alice"), &pb.ListAuditRecordsRequest{Fqdn: controltest.App, Principal: "system/words"})
	if err != nil || len(records.Records) != 1 || records.Records[0].Before != "drain (reboot) until 2026-11-23T09:00:00Z" {
		t.Errorf("%v %v", records, err)
	}
	// A word that is said anew, or taken back, ends the marker of the one before.
	say("a", "drain", durationpb.New(time.Hour))
	say("a", "down", durationpb.New(2*time.Hour))
	if n := markers(s); n != 1 {
		t.Errorf("%d markers", n)
	}
	say("a", "drain", nil)
	if n := markers(s); n != 0 {
		t.Errorf("%d markers", n)
	}
	s.Done(auto.Step(t.Context()))
	s.WantStands(controltest.App, "a drained, b up*")
	s.Done(s.SayOfSite("b", "drain", true))
	if _, err := s.Health.SetSiteWord(s.Admin(), &pb.SetSiteWordRequest{Site: "b", Say: "drain", For: durationpb.New(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	endMarkers(s)
	s.Done(auto.Step(t.Context()))
	s.WantStands(controltest.App, "a drained, b up*")
	// One that cannot be said leaves no marker.
	if _, err := s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "b", Say: "drain", For: durationpb.New(time.Hour)}); err == nil {
		t.Fatal("the last was taken away")
	}
	if n := markers(s); n != 0 {
		t.Errorf("%d markers", n)
	}
}

func markers(s *controltest.Server) int {
	s.T.Helper()
	got, err := s.Etcd().Get(s.T.Context(), s.Prefix+"/v1/live/word/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	s.Done(err)
	return int(got.Count)
}

// endMarkers does what the end of their leases does.
func endMarkers(s *controltest.Server) {
	s.T.Helper()
	_, err := s.Etcd().Delete(s.T.Context(), s.Prefix+"/v1/live/word/", clientv3.WithPrefix())
	s.Done(err)
}

// A token for draining alone takes back a drain, and no other word of its owner's.
func TestWhoMayOnlyDrainTakesBackOnlyADrain(t *testing.T) {
	s := controltest.Two(t)
	token := controltest.Bearer(s.TokenOf(controltest.Person("egi/alice"), &pb.CreateTokenRequest{Actions: []string{"endpoint.drain"}}))
	say := func(say string) error {
		_, err := s.Points.SetEndpointWord(token, &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: say})
		return err
	}
	s.Done(say("drain"), say("auto"), s.Say("a", "down"))
	controltest.WantErr(t, say("auto"), codes.PermissionDenied, "")
	controltest.WantErr(t, say("drain"), codes.PermissionDenied, "")
	s.WantStands(controltest.App, "a down, b up*")
}
