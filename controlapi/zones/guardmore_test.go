package zones_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// An endpoint that goes to a drained site is drained, as one on which a drain is said.
func TestTheLastEndpointGoesToADrainedSiteOnlyByWhoMeansIt(t *testing.T) {
	s := controltest.Two(t)
	s.Done(s.Say("a", "drain"), s.SayOfSite("c", "drain"))
	move := func(site string, confirm bool) error {
		_, err := s.Points.SetEndpoint(controltest.Person("egi/alice"), &pb.SetEndpointRequest{Fqdn: controltest.App, Id: "b", Site: &site, ConfirmLast: confirm})
		return err
	}
	controltest.WantErr(t, move("c", false), codes.FailedPrecondition, "confirm_last")
	s.WantStands(controltest.App, "a drained, b up*")
	s.Done(move("d", false)) // of which nothing is said
	s.WantStands(controltest.App, "a drained, b up*")
	s.Done(move("c", true))
	s.WantStands(controltest.App, "a drained, b drained")
	s.Done(move("d", false)) // the way back is free
	s.WantStands(controltest.App, "a drained, b up*")
	s.Done(s.Say("a", "auto"))
	s.Done(move("c", false)) // and so it is when another is offered
	s.WantStands(controltest.App, "a up*, b drained")
}

// Two of three checkers say down of a, one up: without one of those that say up more than
// half of the rest may say down.
func TestACheckerThatKeepsTheLastEndpointUpIsRemovedOnlyByWhoMeansIt(t *testing.T) {
	s := controltest.Two(t)
	s.SetCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22))})
	w, x, y, z := s.Checker("w"), s.Checker("x"), s.Checker("y"), s.Checker("z")
	for _, id := range []string{"a", "b"} {
		s.Vote(id, model.Down, model.Refused, y)
		s.Vote(id, model.Down, model.Refused, z)
		s.Vote(id, model.Up, model.Fine, w)
		s.Vote(id, model.Up, model.Fine, x)
	}
	s.WantStands(controltest.App, "a suspect*, b suspect*")
	remove := func(site string, confirm bool) error {
		_, err := s.Health.RemoveChecker(s.Admin(), &pb.RemoveCheckerRequest{Site: site, ConfirmLast: confirm})
		return err
	}
	err := remove("x", false)
	controltest.WantErr(t, err, codes.FailedPrecondition, "confirm_last")
	if !strings.Contains(err.Error(), controltest.App) {
		t.Errorf("%v does not name the host", err)
	}
	s.WantStands(controltest.App, "a suspect*, b suspect*")
	s.Done(remove("y", false)) // who says down takes nothing away
	s.WantStands(controltest.App, "a suspect*, b suspect*")
	s.Done(remove("z", false), remove("x", false), remove("w", false))
	s.WantStands(controltest.App, "a up*, b up*")
}

func TestNothingThatIsGivenAs0StandsForADefault(t *testing.T) {
	s := controltest.Two(t)
	zero := new(uint32(0))
	for field, in := range map[string]*pb.SetPolicyRequest{
		"min_healthy": {Kind: "all", MinHealthy: zero}, "max_answers": {Kind: "weighted", MaxAnswers: zero}, "suspect_ttl": {Kind: "all", SuspectTtl: zero},
	} {
		in.Fqdn = controltest.App
		_, err := s.Health.SetPolicy(s.Admin(), in)
		controltest.WantErr(t, err, codes.InvalidArgument, field)
	}
	for field, in := range map[string]*pb.SetCheckRequest{
		"port": {Kind: "http", Port: zero}, "fall": {Kind: "http", Fall: zero}, "rise": {Kind: "http", Rise: zero},
		"interval": {Kind: "http", Interval: durationpb.New(0)}, "timeout": {Kind: "http", Timeout: durationpb.New(0)},
	} {
		in.Fqdn = controltest.App
		_, err := s.Health.SetCheck(s.Admin(), in)
		controltest.WantErr(t, err, codes.InvalidArgument, field)
	}
	// What is shown can be set again, 0 where there is none.
	s.SetPolicy(&pb.SetPolicyRequest{Kind: "failover", MaxAnswers: zero})
	out := s.SetCheck(&pb.SetCheckRequest{Kind: "heartbeat", Port: zero})
	if out.Check.Timeout != nil {
		t.Errorf("a heartbeat check shows a timeout: %v", out)
	}
	_, err := s.Health.SetCheck(s.Admin(), &pb.SetCheckRequest{Fqdn: controltest.App, Kind: "heartbeat", Timeout: durationpb.New(time.Second)})
	controltest.WantErr(t, err, codes.InvalidArgument, "timeout")
}

func TestTakingAWordBackHasANameOfItsOwnInTheAudit(t *testing.T) {
	s := controltest.Two(t)
	s.Done(s.Say("a", "drain"), s.Say("a", "auto"), s.Say("a", "down"), s.Say("a", "auto"))
	records, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Fqdn: controltest.App, Action: "endpoint"})
	s.Done(err)
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
	s := controltest.Two(t)
	secret, err := s.Hosts.RotateSecret(controltest.Person("egi/alice"), &pb.RotateSecretRequest{Fqdn: controltest.App})
	s.Done(err)
	_, err = s.Hosts.TransferHost(controltest.Person("egi/alice"), &pb.TransferHostRequest{Fqdn: controltest.App, To: "egi/bob"})
	s.Done(err)
	in := &pb.WatchRequest{Fqdn: controltest.App}
	streams := map[string]*controltest.Stream{
		"alice": s.Watch(controltest.Person("egi/alice"), in), "secret": s.Watch(controltest.As(controltest.App, secret.Secret), in),
	}
	s.Done(s.Say("a", "drain"))
	for who, w := range streams {
		m, err := w.From.Recv()
		for err == nil && len(m.GetEvents()) == 0 {
			m, err = w.From.Recv()
		}
		s.Done(err)
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
	for who, ctx := range map[string]context.Context{"alice": controltest.Person("egi/alice"), "bob": controltest.Person("egi/bob"), "secret": controltest.As(controltest.App, secret.Secret)} {
		h, err := s.Hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: controltest.App})
		s.Done(err)
		if got := fmt.Sprint(h.EndpointAddresses); (got == "[192.0.2.1 2001:db8::1 192.0.2.2]") != (who == "alice") || got == "[]" != (who != "alice") {
			t.Errorf("%s sees %s", who, got)
		}
	}
	list, err := s.Hosts.ListHosts(controltest.Person("egi/alice"), &pb.ListHostsRequest{})
	s.Done(err)
	if len(list.Hosts) != 1 || len(list.Hosts[0].EndpointAddresses) != 3 {
		t.Errorf("%v", list)
	}
}

func TestBlockingAHostIsAnEventOfItsEndpoints(t *testing.T) {
	s := controltest.Two(t)
	w := s.Watch(controltest.Person("egi/alice"), &pb.WatchRequest{Kinds: []string{"health"}, Fqdn: controltest.App})
	_, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: controltest.App, Reason: "a complaint"})
	s.Done(err)
	w.WantStands("app.vo.example.org a: up* -> up (the host is blocked: a complaint)", "app.vo.example.org b: up* -> up (the host is blocked: a complaint)")
	_, err = s.Hosts.UnblockHost(s.Admin(), &pb.UnblockHostRequest{Fqdn: controltest.App})
	s.Done(err)
	w.WantStands("app.vo.example.org a: up -> up* (there is no check)", "app.vo.example.org b: up -> up* (there is no check)")
}
