package controlapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// An endpoint that goes to a drained site is drained, as one on which a drain is said.
func TestTheLastEndpointGoesToADrainedSiteOnlyByWhoMeansIt(t *testing.T) {
	s := two(t)
	s.done(s.say("a", "drain"), s.sayOfSite("c", "drain"))
	move := func(site string, confirm bool) error {
		_, err := s.points.SetEndpoint(person("egi/alice"), &pb.SetEndpointRequest{Fqdn: app, Id: "b", Site: &site, ConfirmLast: confirm})
		return err
	}
	wantErr(t, move("c", false), codes.FailedPrecondition, "confirm_last")
	s.wantStands(app, "a drained, b up*")
	s.done(move("d", false)) // of which nothing is said
	s.wantStands(app, "a drained, b up*")
	s.done(move("c", true))
	s.wantStands(app, "a drained, b drained")
	s.done(move("d", false)) // the way back is free
	s.wantStands(app, "a drained, b up*")
	s.done(s.say("a", "auto"))
	s.done(move("c", false)) // and so it is when another is offered
	s.wantStands(app, "a up*, b drained")
}

// Two of three checkers say down of a, one up: without one of those that say up more than
// half of the rest may say down.
func TestACheckerThatKeepsTheLastEndpointUpIsRemovedOnlyByWhoMeansIt(t *testing.T) {
	s := two(t)
	s.setCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22))})
	w, x, y, z := s.checker("w"), s.checker("x"), s.checker("y"), s.checker("z")
	for _, id := range []string{"a", "b"} {
		s.vote(id, model.Down, model.Refused, y)
		s.vote(id, model.Down, model.Refused, z)
		s.vote(id, model.Up, model.Fine, w)
		s.vote(id, model.Up, model.Fine, x)
	}
	s.wantStands(app, "a suspect*, b suspect*")
	remove := func(site string, confirm bool) error {
		_, err := s.health.RemoveChecker(s.admin(), &pb.RemoveCheckerRequest{Site: site, ConfirmLast: confirm})
		return err
	}
	err := remove("x", false)
	wantErr(t, err, codes.FailedPrecondition, "confirm_last")
	if !strings.Contains(err.Error(), app) {
		t.Errorf("%v does not name the host", err)
	}
	s.wantStands(app, "a suspect*, b suspect*")
	s.done(remove("y", false)) // who says down takes nothing away
	s.wantStands(app, "a suspect*, b suspect*")
	s.done(remove("z", false), remove("x", false), remove("w", false))
	s.wantStands(app, "a up*, b up*")
}

func TestNothingThatIsGivenAs0StandsForADefault(t *testing.T) {
	s := two(t)
	zero := new(uint32(0))
	for field, in := range map[string]*pb.SetPolicyRequest{
		"min_healthy": {Kind: "all", MinHealthy: zero}, "max_answers": {Kind: "weighted", MaxAnswers: zero}, "suspect_ttl": {Kind: "all", SuspectTtl: zero},
	} {
		in.Fqdn = app
		_, err := s.health.SetPolicy(s.admin(), in)
		wantErr(t, err, codes.InvalidArgument, field)
	}
	for field, in := range map[string]*pb.SetCheckRequest{
		"port": {Kind: "http", Port: zero}, "fall": {Kind: "http", Fall: zero}, "rise": {Kind: "http", Rise: zero},
		"interval": {Kind: "http", Interval: durationpb.New(0)}, "timeout": {Kind: "http", Timeout: durationpb.New(0)},
	} {
		in.Fqdn = app
		_, err := s.health.SetCheck(s.admin(), in)
		wantErr(t, err, codes.InvalidArgument, field)
	}
	// What is shown can be set again, 0 where there is none.
	s.setPolicy(&pb.SetPolicyRequest{Kind: "failover", MaxAnswers: zero})
	out := s.setCheck(&pb.SetCheckRequest{Kind: "heartbeat", Port: zero})
	if out.Check.Timeout != nil {
		t.Errorf("a heartbeat check shows a timeout: %v", out)
	}
	_, err := s.health.SetCheck(s.admin(), &pb.SetCheckRequest{Fqdn: app, Kind: "heartbeat", Timeout: durationpb.New(time.Second)})
	wantErr(t, err, codes.InvalidArgument, "timeout")
}

func TestTakingAWordBackHasANameOfItsOwnInTheAudit(t *testing.T) {
	s := two(t)
	s.done(s.say("a", "drain"), s.say("a", "auto"), s.say("a", "down"), s.say("a", "auto"))
	records, err := s.audits.ListAuditRecords(s.admin(), &pb.ListAuditRecordsRequest{Fqdn: app, Action: "endpoint"})
	s.done(err)
	var got []string
	for _, r := range records.Records[:4] {
		got = append(got, r.Action+" "+r.Before+"->"+r.After)
	}
	if want := "[endpoint.auto down-> endpoint.word ->down endpoint.auto drain-> endpoint.drain ->drain]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

// How endpoints stand is shown to whom the endpoints are: not with the host's own secret,
// nor are their addresses to who is offered the host.
func TestWhoDoesNotSeeTheEndpointsDoesNotSeeHowTheyStand(t *testing.T) {
	s := two(t)
	secret, err := s.hosts.RotateSecret(person("egi/alice"), &pb.RotateSecretRequest{Fqdn: app})
	s.done(err)
	_, err = s.hosts.TransferHost(person("egi/alice"), &pb.TransferHostRequest{Fqdn: app, To: "egi/bob"})
	s.done(err)
	in := &pb.WatchRequest{Fqdn: app}
	streams := map[string]*stream{
		"alice": s.watch(person("egi/alice"), in), "secret": s.watch(as(app, secret.Secret), in),
	}
	s.done(s.say("a", "drain"))
	for who, w := range streams {
		m, err := w.from.Recv()
		for err == nil && len(m.GetEvents()) == 0 {
			m, err = w.from.Recv()
		}
		s.done(err)
		health := 0
		for _, e := range m.GetEvents() {
			if e.GetKind() == "health" {
				health++
			}
		}
		if want := map[string]int{"alice": 1}[who]; health != want || len(m.GetEvents()) == health {
			t.Errorf("%s: %d events of health among %v, want %d", who, health, m.GetEvents(), want)
		}
	}
	for who, ctx := range map[string]context.Context{"alice": person("egi/alice"), "bob": person("egi/bob"), "secret": as(app, secret.Secret)} {
		h, err := s.hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: app})
		s.done(err)
		if got := fmt.Sprint(h.EndpointAddresses); (got == "[192.0.2.1 2001:db8::1 192.0.2.2]") != (who == "alice") || got == "[]" != (who != "alice") {
			t.Errorf("%s sees %s", who, got)
		}
	}
	list, err := s.hosts.ListHosts(person("egi/alice"), &pb.ListHostsRequest{})
	s.done(err)
	if len(list.Hosts) != 1 || len(list.Hosts[0].EndpointAddresses) != 3 {
		t.Errorf("%v", list)
	}
}

func TestBlockingAHostIsAnEventOfItsEndpoints(t *testing.T) {
	s := two(t)
	w := s.watch(person("egi/alice"), &pb.WatchRequest{Kinds: []string{"health"}, Fqdn: app})
	_, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: app, Reason: "a complaint"})
	s.done(err)
	w.wantStands("app.vo.example.org a: up* -> up (the host is blocked: a complaint)", "app.vo.example.org b: up* -> up (the host is blocked: a complaint)")
	_, err = s.hosts.UnblockHost(s.admin(), &pb.UnblockHostRequest{Fqdn: app})
	s.done(err)
	w.wantStands("app.vo.example.org a: up -> up* (there is no check)", "app.vo.example.org b: up -> up* (there is no check)")
}
