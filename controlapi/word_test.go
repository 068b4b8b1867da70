package controlapi_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/internal/automation"
	pb "signpost/proto/signpost/v1"
)

// say says something of an endpoint of a host.
func (s *server) say(id, say string, confirm ...bool) error {
	_, err := s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: id, Say: say, ConfirmLast: len(confirm) > 0})
	return err
}

func (s *server) sayOfHost(say string, confirm ...bool) error {
	_, err := s.points.SetHostWord(s.admin(), &pb.SetHostWordRequest{Fqdn: app, Say: say, ConfirmLast: len(confirm) > 0})
	return err
}

func (s *server) sayOfSite(site, say string, confirm ...bool) error {
	_, err := s.health.SetSiteWord(s.admin(), &pb.SetSiteWordRequest{Site: site, Say: say, ConfirmLast: len(confirm) > 0})
	return err
}

func (s *server) done(errs ...error) {
	s.t.Helper()
	if err := errors.Join(errs...); err != nil {
		s.t.Fatal(err)
	}
}

func TestTheNearestWordCounts(t *testing.T) {
	s := two(t)
	s.done(s.sayOfSite("a", "drain"))
	s.wantStands(app, "a drained, b up*")
	s.done(s.sayOfHost("up"))
	s.wantStands(app, "a up*, b up*")
	s.done(s.say("a", "down"))
	s.wantStands(app, "a down, b up*")
	// auto takes the word of its own level back; the next one speaks.
	s.done(s.say("a", "auto"))
	s.wantStands(app, "a up*, b up*")
	s.done(s.sayOfHost("auto"))
	s.wantStands(app, "a drained, b up*")
	s.done(s.sayOfSite("a", "auto"))
	s.wantStands(app, "a up*, b up*")
	out, err := s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "auto"})
	if err != nil || out.Change.Changed || out.Word != nil {
		t.Errorf("%v %v", out, err)
	}
	out, err = s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "drain", Reason: "new kernel"})
	if err != nil || !out.Change.Changed || out.Word.Reason != "new kernel" || !strings.HasPrefix(out.Word.By, "admin/") {
		t.Errorf("%v %v", out, err)
	}
	out, err = s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "drain", Reason: "new kernel"})
	if err != nil || out.Change.Changed {
		t.Errorf("the same again: %v %v", out, err)
	}
}

func TestBadWordsAreRefusedByField(t *testing.T) {
	s := two(t)
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
		c.in.Fqdn = app
		_, err := s.points.SetEndpointWord(s.admin(), c.in)
		wantErr(t, err, c.code, c.field)
	}
	_, err := s.health.SetSiteWord(s.admin(), &pb.SetSiteWordRequest{Site: "Prague 1", Say: "drain"})
	wantErr(t, err, codes.InvalidArgument, "site")
}

// The last-endpoint guard, its rows by name, at every level and for removals.
func TestTheLastEndpointIsTakenAwayOnlyByWhoMeansIt(t *testing.T) {
	s := two(t)
	s.done(s.say("a", "drain"))
	for name, take := range map[string]func(...bool) error{
		"endpoint drain": func(c ...bool) error { return s.say("b", "drain", c...) },
		"endpoint down":  func(c ...bool) error { return s.say("b", "down", c...) },
		"host":           func(c ...bool) error { return s.sayOfHost("down", c...) },
		"site":           func(c ...bool) error { return s.sayOfSite("b", "drain", c...) },
		"removal": func(c ...bool) error {
			_, err := s.points.RemoveEndpoint(s.admin(), &pb.RemoveEndpointRequest{Fqdn: app, Id: "b", ConfirmLast: len(c) > 0})
			return err
		},
	} {
		err := take()
		wantErr(t, err, codes.FailedPrecondition, "confirm_last")
		s.wantStands(app, "a drained, b up*")
		if name == "site" && !strings.Contains(err.Error(), app) {
			t.Errorf("the host is not named: %v", err)
		}
	}
	s.done(s.say("b", "drain", true))
	s.wantStands(app, "a drained, b drained")
	// With nothing left there is nothing to guard.
	s.done(s.say("b", "down"), s.sayOfHost("drain"), s.say("a", "auto"), s.say("b", "auto"))
	s.wantStands(app, "a drained, b drained")
}

// What was put up is taken back like any other: nothing else may be left.
func TestTakingBackTheLastWordUpIsMeant(t *testing.T) {
	s := two(t)
	s.done(s.say("a", "up"), s.sayOfHost("drain"))
	s.wantStands(app, "a up*, b drained")
	wantErr(t, s.say("a", "auto"), codes.FailedPrecondition, "confirm_last")
	s.wantStands(app, "a up*, b drained")
	s.done(s.say("a", "auto", true))
	s.wantStands(app, "a drained, b drained")
	s.done(s.sayOfHost("auto"), s.sayOfSite("a", "up"), s.sayOfHost("up"), s.sayOfSite("a", "auto"), s.sayOfHost("auto")) // nothing is lost
	s.wantStands(app, "a up*, b up*")
}

// People do not clear the addresses of the last endpoint by accident either; machines say
// what is, and where there is one endpoint alone that is how its name is withdrawn.
func TestTheLastAddressesAreClearedOnlyByWhoMeansIt(t *testing.T) {
	s := two(t)
	machine := s.endpointSecret(app, "b")
	clear := func(ctx context.Context, confirm bool) error {
		_, err := s.points.SetEndpointAddresses(ctx, &pb.SetEndpointAddressesRequest{Fqdn: app, Id: "b", ClearIpv4: true, ConfirmLast: confirm})
		return err
	}
	back := func() {
		t.Helper()
		_, err := s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: app, Id: "b", Addresses: []string{"192.0.2.2"}})
		s.done(err)
	}
	alice := person("egi/alice")
	s.done(clear(alice, false)) // there is a
	back()
	s.done(s.say("a", "drain"))
	for name, ctx := range map[string]context.Context{"owner": alice, "token": bearer(s.tokenOf(alice, &pb.CreateTokenRequest{})), "admin": s.admin()} {
		if wantErr(t, clear(ctx, false), codes.FailedPrecondition, "confirm_last"); t.Failed() {
			t.Fatal(name)
		}
	}
	s.wantStands(app, "a drained, b up*")
	s.done(clear(alice, true))
	back()
	s.done(clear(as(app+"/b", machine), false))
	s.wantStands(app, "a drained, b no addresses")
	// main is one of them.
	secret := s.hostOf(alice, "web.vo.example.org", "192.0.2.1")
	only := &pb.SetAddressesRequest{Fqdn: "web.vo.example.org", ClearIpv4: true}
	set := func(ctx context.Context) error { _, err := s.hosts.SetAddresses(ctx, only); return err }
	s.done(set(alice))
	s.setAddress("web.vo.example.org", "192.0.2.1")
	s.endpoint("web.vo.example.org", "a")
	wantErr(t, set(alice), codes.FailedPrecondition, "confirm_last")
	s.done(set(as("web.vo.example.org", secret)))
}

// Two that each leave the other's endpoint cannot pass each other, at whatever level they
// take theirs away.
func TestTwoDrainsCannotPassEachOther(t *testing.T) {
	s := two(t)
	other := s.again()
	type taking func(s *server, id, say string) error
	endpoint := func(s *server, id, say string) error { return s.say(id, say) }
	site := func(s *server, id, say string) error { return s.sayOfSite(id, say) }
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
				t.Fatalf("%s, round %d: %v; %v; %s", name, round, errs[0], errs[1], s.stands(app))
			}
			s.done(by[0](s, "a", "auto"), by[1](s, "b", "auto"))
		}
	}
}

// A timed word ends when its marker does, whichever service notices it.
func TestATimedWordEnds(t *testing.T) {
	s := two(t)
	auto, err := automation.New(automation.Config{Store: s.store, Now: s.clock.read})
	if err != nil {
		t.Fatal(err)
	}
	say := func(id, say string, span *durationpb.Duration) {
		t.Helper()
		out, err := s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: id, Say: say, For: span, Reason: "reboot"})
		if err != nil || span != nil && out.Word.ExpireTime.AsTime() != s.clock.read().Add(span.AsDuration()) {
			t.Fatal(out, err)
		}
	}
	say("a", "drain", durationpb.New(time.Hour))
	s.done(auto.Step(t.Context()))
	s.wantStands(app, "a drained, b up*")
	if n := s.markers(); n != 1 {
		t.Errorf("%d markers", n)
	}
	s.endMarkers()
	if _, err := s.health.SetFreeze(s.admin(), &pb.SetFreezeRequest{On: true}); err != nil {
		t.Fatal(err)
	}
	s.done(auto.Step(t.Context()))
	s.wantStands(app, "a drained, b up*") // frozen
	if _, err := s.health.SetFreeze(s.admin(), &pb.SetFreezeRequest{}); err != nil {
		t.Fatal(err)
	}
	s.done(auto.Step(t.Context()))
	s.wantStands(app, "a up*, b up*")
	records, err := s.audits.ListAuditRecords(person("egi/alice"), &pb.ListAuditRecordsRequest{Fqdn: app, Principal: "system/words"})
	if err != nil || len(records.Records) != 1 || records.Records[0].Before != "drain (reboot) until 2026-11-23T09:00:00Z" {
		t.Errorf("%v %v", records, err)
	}
	// A word that is said anew, or taken back, ends the marker of the one before.
	say("a", "drain", durationpb.New(time.Hour))
	say("a", "down", durationpb.New(2*time.Hour))
	if n := s.markers(); n != 1 {
		t.Errorf("%d markers", n)
	}
	say("a", "drain", nil)
	if n := s.markers(); n != 0 {
		t.Errorf("%d markers", n)
	}
	s.done(auto.Step(t.Context()))
	s.wantStands(app, "a drained, b up*")
	s.done(s.sayOfSite("b", "drain", true))
	if _, err := s.health.SetSiteWord(s.admin(), &pb.SetSiteWordRequest{Site: "b", Say: "drain", For: durationpb.New(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s.endMarkers()
	s.done(auto.Step(t.Context()))
	s.wantStands(app, "a drained, b up*")
	// One that cannot be said leaves no marker.
	if _, err := s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: "b", Say: "drain", For: durationpb.New(time.Hour)}); err == nil {
		t.Fatal("the last was taken away")
	}
	if n := s.markers(); n != 0 {
		t.Errorf("%d markers", n)
	}
}

func (s *server) markers() int {
	s.t.Helper()
	got, err := s.etcd().Get(s.t.Context(), s.prefix+"/v1/live/word/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	s.done(err)
	return int(got.Count)
}

// endMarkers does what the end of their leases does.
func (s *server) endMarkers() {
	s.t.Helper()
	_, err := s.etcd().Delete(s.t.Context(), s.prefix+"/v1/live/word/", clientv3.WithPrefix())
	s.done(err)
}

// A token for draining alone takes back a drain, and no other word of its owner's.
func TestWhoMayOnlyDrainTakesBackOnlyADrain(t *testing.T) {
	s := two(t)
	token := bearer(s.tokenOf(person("egi/alice"), &pb.CreateTokenRequest{Actions: []string{"endpoint.drain"}}))
	say := func(say string) error {
		_, err := s.points.SetEndpointWord(token, &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: say})
		return err
	}
	s.done(say("drain"), say("auto"), s.say("a", "down"))
	wantErr(t, say("auto"), codes.PermissionDenied, "")
	wantErr(t, say("drain"), codes.PermissionDenied, "")
	s.wantStands(app, "a down, b up*")
}
