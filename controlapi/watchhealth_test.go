package controlapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// standsSince is a change of an endpoint in one line.
func standsSince(e *pb.Event) string {
	m := e.GetEndpointChange()
	if m == nil {
		return e.GetKind() + " of many"
	}
	stand := func(s *pb.EndpointStanding) string {
		return s.GetState() + map[bool]string{true: "*"}[s.GetAnswered()]
	}
	text := fmt.Sprintf("%s %s: %s -> %s (%s)", e.GetFqdn(), m.GetEndpoint(), stand(m.GetBefore()), stand(m.GetAfter()), m.GetAfter().GetWhy())
	for _, v := range m.GetVotes() {
		if v.GetReason() != "" {
			text += " " + v.GetSite() + ": " + v.GetReason()
		}
	}
	if w := m.GetWord(); w != nil {
		text += " " + w.GetSay()
	}
	return text
}

// wantStands is that the next revision has these changes of endpoints, and is it.
func (w *stream) wantStands(changes ...string) int64 {
	w.t.Helper()
	for {
		m, err := w.from.Recv()
		if err != nil {
			w.t.Fatal(err)
		}
		if len(m.GetEvents()) == 0 {
			continue
		}
		var got []string
		for _, e := range m.GetEvents() {
			got = append(got, standsSince(e))
		}
		if strings.Join(got, "\n") != strings.Join(changes, "\n") {
			w.t.Errorf("revision %d:\n%s\nwant\n%s", m.GetRevision(), strings.Join(got, "\n"), strings.Join(changes, "\n"))
		}
		return m.GetRevision()
	}
}

func TestAStreamTellsWhichEndpointsStandOtherwiseAndWhy(t *testing.T) {
	s := two(t)
	s.setPolicy(&pb.SetPolicyRequest{Kind: "failover"})
	for id, priority := range map[string]uint32{"a": 0, "b": 1} {
		_, err := s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: app, Id: id, Priority: &priority})
		s.done(err)
	}
	s.setCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22))})
	x, y, z := s.checker("x"), s.checker("y"), s.checker("z")
	in := &pb.WatchRequest{Kinds: []string{"health"}}
	admin, alice := s.watch(s.admin(), in), s.watch(person("egi/alice"), &pb.WatchRequest{Kinds: []string{"health"}, Fqdn: app})
	since := s.revision()
	all := []string{
		"app.vo.example.org a: up* -> suspect* (1 of 3 checkers says down) x: connection refused",
		"app.vo.example.org a: suspect* -> down (2 of 3 checkers say down) x: connection refused y: no answer in time\n" +
			"app.vo.example.org b: up -> up* (none of 3 checkers says down)",
		"app.vo.example.org b: up* -> suspect* (none of 3 checkers says down, 1 suspect) z: no answer in time",
		"app.vo.example.org a: down -> up* (up is said of it) x: connection refused y: no answer in time up\n" +
			"app.vo.example.org b: suspect* -> suspect (none of 3 checkers says down, 1 suspect) z: no answer in time",
	}
	s.vote("a", model.Down, model.Refused, x)
	s.vote("a", model.Down, model.NoAnswer, y)
	s.vote("a", model.Down, model.NoAnswer, y) // nothing new
	s.vote("b", model.Suspect, model.NoAnswer, z)
	s.done(s.say("a", "up"))
	for _, w := range []*stream{admin, alice} {
		for _, want := range all {
			w.wantStands(strings.Split(want, "\n")...)
		}
	}
	// A resumed stream has the same, in order with what else happens.
	resumed := s.watch(s.admin(), &pb.WatchRequest{Kinds: []string{"health"}, FromRevision: since})
	for _, want := range all {
		resumed.wantStands(strings.Split(want, "\n")...)
	}
	s.done(s.say("a", "auto"))
	s.done(s.sayOfSite("b", "up"))
	for _, w := range []*stream{admin, alice, resumed} {
		w.wantStands("app.vo.example.org a: up* -> down (2 of 3 checkers say down) x: connection refused y: no answer in time",
			"app.vo.example.org b: suspect -> suspect* (none of 3 checkers says down, 1 suspect) z: no answer in time")
		w.wantStands("app.vo.example.org b: suspect* -> up* (up is said of its site) z: no answer in time up")
	}
	// What a checker does to all hosts is told as long as it is remembered.
	before := s.revision()
	_, err := s.health.RemoveChecker(s.admin(), &pb.RemoveCheckerRequest{Site: "y"})
	s.done(err)
	admin.wantStands("app.vo.example.org a: down -> suspect* (1 of 2 checkers says down) x: connection refused",
		"app.vo.example.org b: up* -> up (up is said of its site) z: no answer in time up")
	for i := range 100 {
		s.record("mail.vo.example.org", "TXT", fmt.Sprint(i))
	}
	s.watch(s.admin(), &pb.WatchRequest{Kinds: []string{"health"}, FromRevision: before}).wantStands("health of many")
}

func TestOnlyWhoMayReadAHostSeesHowItsEndpointsStand(t *testing.T) {
	s := two(t)
	s.hostOf(person("egi/bob"), "other.vo.example.org", "192.0.2.9")
	streams := map[string]*stream{}
	for who, ctx := range map[string]context.Context{"zoe": person("egi/zoe"), "admin": s.admin()} {
		streams[who] = s.watch(ctx, &pb.WatchRequest{Zone: "vo.example.org"})
	}
	s.host("below.other.vo.example.org") // not bob's
	s.endpoint("below.other.vo.example.org", "a", "192.0.2.1")
	bob := s.watch(person("egi/bob"), &pb.WatchRequest{Fqdn: "other.vo.example.org"})
	s.done(s.say("a", "drain"))
	_, err := s.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: "below.other.vo.example.org", Id: "a", Say: "drain", ConfirmLast: true})
	s.done(err)
	_, err = s.hosts.SetAddresses(person("egi/bob"), &pb.SetAddressesRequest{Fqdn: "other.vo.example.org", Addresses: []string{"192.0.2.10"}})
	s.done(err)
	for who, w := range streams {
		m, err := w.from.Recv()
		for err == nil && (len(m.GetEvents()) == 0 || !strings.HasPrefix(m.GetEvents()[0].GetFqdn(), "app.")) {
			m, err = w.from.Recv() // how the other host was made
		}
		if err != nil || len(m.GetEvents()) != 3 || standsSince(m.GetEvents()[2]) != "app.vo.example.org a: up* -> drained (drain is said of it) drain" {
			t.Errorf("%s: %v %v", who, m, err)
		}
	}
	m, err := bob.from.Recv()
	if err != nil || len(m.GetEvents()) != 2 || m.GetEvents()[0].GetFqdn() != "other.vo.example.org" {
		t.Errorf("%v %v", m, err)
	}
}
