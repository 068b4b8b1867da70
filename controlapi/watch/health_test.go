package watch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

func TestAStreamTellsWhichEndpointsStandOtherwiseAndWhy(t *testing.T) {
	s := controltest.Two(t)
	s.SetPolicy(&pb.SetPolicyRequest{Kind: "failover"})
	for id, priority := range map[string]uint32{"a": 0, "b": 1} {
		_, err := s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: controltest.App, Id: id, Priority: &priority})
		s.Done(err)
	}
	s.SetCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22))})
	x, y, z := s.Checker("x"), s.Checker("y"), s.Checker("z")
	in := &pb.WatchRequest{Kinds: []string{"health"}}
	admin, alice := s.Watch(s.Admin(), in), s.Watch(controltest.Person("egi/alice"), &pb.WatchRequest{Kinds: []string{"health"}, Fqdn: controltest.App})
	since := s.Revision()
	all := []string{
		"app.vo.example.org a: up* -> suspect* (1 of 3 checkers says down) x: connection refused",
		"app.vo.example.org a: suspect* -> down (2 of 3 checkers say down) x: connection refused y: no answer in time\n" +
			"app.vo.example.org b: up -> up* (none of 3 checkers says down)",
		"app.vo.example.org b: up* -> suspect* (none of 3 checkers says down, 1 suspect) z: no answer in time",
		"app.vo.example.org a: down -> up* (up is said of it) x: connection refused y: no answer in time up\n" +
			"app.vo.example.org b: suspect* -> suspect (none of 3 checkers says down, 1 suspect) z: no answer in time",
	}
	s.Vote("a", model.Down, model.Refused, x)
	s.Vote("a", model.Down, model.NoAnswer, y)
	s.Vote("a", model.Down, model.NoAnswer, y) // nothing new
	s.Vote("b", model.Suspect, model.NoAnswer, z)
	s.Done(s.Say("a", "up"))
	for _, w := range []*controltest.Stream{admin, alice} {
		for _, want := range all {
			w.WantStands(strings.Split(want, "\n")...)
		}
	}
	// A resumed stream has the same, in order with what else happens.
	resumed := s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"health"}, FromRevision: since})
	for _, want := range all {
		resumed.WantStands(strings.Split(want, "\n")...)
	}
	s.Done(s.Say("a", "auto"))
	s.Done(s.SayOfSite("b", "up"))
	for _, w := range []*controltest.Stream{admin, alice, resumed} {
		w.WantStands("app.vo.example.org a: up* -> down (2 of 3 checkers say down) x: connection refused y: no answer in time",
			"app.vo.example.org b: suspect -> suspect* (none of 3 checkers says down, 1 suspect) z: no answer in time")
		w.WantStands("app.vo.example.org b: suspect* -> up* (up is said of its site) z: no answer in time up")
	}
	// What a checker does to all hosts is told as long as it is remembered.
	before := s.Revision()
	_, err := s.Health.RemoveChecker(s.Admin(), &pb.RemoveCheckerRequest{Site: "y"})
	s.Done(err)
	admin.WantStands("app.vo.example.org a: down -> suspect* (1 of 2 checkers says down) x: connection refused",
		"app.vo.example.org b: up* -> up (up is said of its site) z: no answer in time up")
	for i := range 100 {
		s.Record("mail.vo.example.org", "TXT", fmt.Sprint(i))
	}
	s.Watch(s.Admin(), &pb.WatchRequest{Kinds: []string{"health"}, FromRevision: before}).WantStands("health of many")
}

func TestOnlyWhoMayReadAHostSeesHowItsEndpointsStand(t *testing.T) {
	s := controltest.Two(t)
	s.HostOf(controltest.Person("egi/bob"), "other.vo.example.org", "192.0.2.9")
	streams := map[string]*controltest.Stream{}
	for who, ctx := range map[string]context.Context{"zoe": controltest.Person("egi/zoe"), "admin": s.Admin()} {
		streams[who] = s.Watch(ctx, &pb.WatchRequest{Zone: "vo.example.org"})
	}
	s.Host("below.other.vo.example.org") // not bob's
	s.Endpoint("below.other.vo.example.org", "a", "192.0.2.1")
	bob := s.Watch(controltest.Person("egi/bob"), &pb.WatchRequest{Fqdn: "other.vo.example.org"})
	s.Done(s.Say("a", "drain"))
	_, err := s.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: "below.other.vo.example.org", Id: "a", Say: "drain", ConfirmLast: true})
	s.Done(err)
	_, err = s.Hosts.SetAddresses(controltest.Person("egi/bob"), &pb.SetAddressesRequest{Fqdn: "other.vo.example.org", Addresses: []string{"192.0.2.10"}})
	s.Done(err)
	for who, w := range streams {
		m, err := w.From.Recv()
		for err == nil && (len(m.GetEvents()) == 0 || !strings.HasPrefix(m.GetEvents()[0].GetFqdn(), "app.")) {
			m, err = w.From.Recv() // how the other host was made
		}
		if err != nil || len(m.GetEvents()) != 3 || controltest.StandsSince(m.GetEvents()[2]) != "app.vo.example.org a: up* -> drained (drain is said of it) drain" {
			t.Errorf("%s: %v %v", who, m, err)
		}
	}
	m, err := bob.From.Recv()
	if err != nil || len(m.GetEvents()) != 2 || m.GetEvents()[0].GetFqdn() != "other.vo.example.org" {
		t.Errorf("%v %v", m, err)
	}
}
