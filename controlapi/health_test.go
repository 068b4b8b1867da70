package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/internal/automation"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// checker is the registered checker of a site, which votes.
func (s *server) checker(site string) *store.Duty {
	s.t.Helper()
	d, err := s.store.StandBy(s.t.Context(), site, func(*model.CheckerLife, error) {})
	s.done(err)
	s.t.Cleanup(d.Release)
	s.done(d.Register(s.t.Context(), s.clock.read()))
	return d
}

// vote has checkers say something of an endpoint as it is now.
func (s *server) vote(id string, v model.Verdict, why model.Reason, checkers ...*store.Duty) {
	s.t.Helper()
	s.done(s.tryVote(id, v, why, checkers...))
}

func (s *server) tryVote(id string, v model.Verdict, why model.Reason, checkers ...*store.Duty) error {
	e, err := s.points.GetEndpoint(s.admin(), &pb.GetEndpointRequest{Fqdn: app, Id: id})
	s.done(err)
	for _, d := range checkers {
		if err := s.ballot(d, id, e.Generation, v, why); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) ballot(d *store.Duty, id string, generation uint64, v model.Verdict, why model.Reason) error {
	var b store.Ballot
	err := s.store.Read(s.t.Context(), func(tx *store.Tx) error {
		z, err := tx.ZoneAbove(model.NameOf(app + "."))
		if err != nil {
			return err
		}
		check, err := tx.Check(z, model.NameOf(app+"."))
		if err != nil || check == nil {
			return errors.Join(err, errors.New("there is no check"))
		}
		b = store.Ballot{
			Zone: z.Name, Name: model.NameOf(app + "."), Endpoint: id, Incarnation: z.Incarnation, Check: check.ModRevision,
			Vote: model.Vote{Generation: generation, Verdict: v, Reason: why, Time: s.clock.read()},
		}
		return nil
	})
	if err != nil {
		return err
	}
	stale, err := d.Vote(context.WithoutCancel(s.t.Context()), []store.Ballot{b})
	if len(stale) > 0 {
		err = errors.Join(err, fmt.Errorf("stale: %v", stale))
	}
	return err
}

func (s *server) setPolicy(in *pb.SetPolicyRequest) *pb.SetPolicyResponse {
	s.t.Helper()
	in.Fqdn = app
	out, err := s.health.SetPolicy(s.admin(), in)
	s.done(err)
	return out
}

func (s *server) setCheck(in *pb.SetCheckRequest) *pb.SetCheckResponse {
	s.t.Helper()
	in.Fqdn = app
	out, err := s.health.SetCheck(s.admin(), in)
	s.done(err)
	return out
}

func (s *server) healthOf(fqdn string) *pb.Health {
	s.t.Helper()
	out, err := s.health.GetHealth(s.admin(), &pb.GetHealthRequest{Fqdn: fqdn})
	s.done(err)
	return out
}

func TestPolicies(t *testing.T) {
	s := two(t)
	get := func() *pb.Policy {
		t.Helper()
		p, err := s.health.GetPolicy(person("egi/alice"), &pb.GetPolicyRequest{Fqdn: app})
		s.done(err)
		return p
	}
	if p := get(); p.Kind != "all" || p.MinHealthy != 1 || p.SuspectTtl != 5 || p.Failback != "" || p.MaxAnswers != 0 {
		t.Errorf("%v", p)
	}
	if out := s.setPolicy(&pb.SetPolicyRequest{Kind: "all", MinHealthy: new(uint32(1))}); out.Change.Changed {
		t.Errorf("the same is written: %v", out)
	}
	before := get().Etag
	out := s.setPolicy(&pb.SetPolicyRequest{Kind: "failover", Failback: "manual", Fallback: []string{"192.0.2.99"}, Etag: before})
	if p := get(); !out.Change.Changed || p.Etag != out.Policy.Etag || p.Failback != "manual" || fmt.Sprint(p.Fallback) != "[192.0.2.99]" {
		t.Errorf("%v, %v", out, p)
	}
	_, err := s.health.SetPolicy(s.admin(), &pb.SetPolicyRequest{Fqdn: app, Kind: "all", Etag: before})
	wantErr(t, err, codes.Aborted, "etag")
	if out := s.setPolicy(&pb.SetPolicyRequest{Kind: "weighted", MinHealthy: new(uint32(3))}); len(out.Warnings) != 1 || out.Policy.MaxAnswers != 1 || out.Policy.Fallback != nil {
		t.Errorf("%v", out)
	}
	for _, c := range []struct {
		in    *pb.SetPolicyRequest
		field string
	}{
		{&pb.SetPolicyRequest{Kind: "random"}, "kind"},
		{&pb.SetPolicyRequest{}, "kind"},
		{&pb.SetPolicyRequest{Kind: "all", Failback: "manual"}, "failback"},
		{&pb.SetPolicyRequest{Kind: "failover", Failback: "never"}, "failback"},
		{&pb.SetPolicyRequest{Kind: "failover", MaxAnswers: new(uint32(1))}, "max_answers"},
		{&pb.SetPolicyRequest{Kind: "weighted", MaxAnswers: new(uint32(17))}, "max_answers"},
		{&pb.SetPolicyRequest{Kind: "all", MinHealthy: new(uint32(17))}, "min_healthy"},
		{&pb.SetPolicyRequest{Kind: "all", Fallback: []string{"x"}}, "fallback[0]"},
		{&pb.SetPolicyRequest{Kind: "all", Fallback: []string{"127.0.0.1"}}, "fallback[0]"},
		{&pb.SetPolicyRequest{Kind: "all", SuspectTtl: new(uint32(1))}, "suspect_ttl"},
	} {
		c.in.Fqdn = app
		_, err := s.health.SetPolicy(s.admin(), c.in)
		wantErr(t, err, codes.InvalidArgument, c.field)
	}
}

func TestChecks(t *testing.T) {
	s := two(t)
	alice := person("egi/alice")
	_, err := s.health.GetCheck(alice, &pb.GetCheckRequest{Fqdn: app})
	wantErr(t, err, codes.NotFound, "")
	generation := s.endpoint(app, "a").Generation
	out := s.setCheck(&pb.SetCheckRequest{Kind: "https", Path: "/healthz", Expect: "200, 429", From: []string{"x"}})
	if got := s.endpoint(app, "a").Generation; got == generation {
		t.Error("a check is no new generation of the endpoints")
	} else {
		generation = got
	}
	want := "[no checker is registered at site x no checker judges: every endpoint is taken for up]"
	if fmt.Sprint(out.Warnings) != want || out.Check.Port != 443 || out.Check.Expect != "200,429" || out.Check.Interval.AsDuration() != 5*time.Second {
		t.Errorf("%v", out)
	}
	got, err := s.health.GetCheck(alice, &pb.GetCheckRequest{Fqdn: app})
	if err != nil || got.Etag != out.Check.Etag {
		t.Errorf("%v, %v", got, err)
	}
	// What is said and what it stands for are the same.
	if out := s.setCheck(&pb.SetCheckRequest{Kind: "https", Port: new(uint32(443)), Path: "/healthz", Expect: "200,429", Fall: new(uint32(3)), From: []string{"x"}}); out.Change.Changed || out.Check.Etag != got.Etag {
		t.Errorf("%v", out)
	}
	out = s.setCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22)), Etag: got.Etag})
	if now := s.endpoint(app, "a").Generation; !out.Change.Changed || now == generation {
		t.Errorf("%v", out)
	}
	_, err = s.health.RemoveCheck(alice, &pb.RemoveCheckRequest{Fqdn: app, Etag: got.Etag})
	wantErr(t, err, codes.Aborted, "etag")
	if _, err := s.health.RemoveCheck(alice, &pb.RemoveCheckRequest{Fqdn: app, Etag: out.Check.Etag}); err != nil {
		t.Error(err)
	}
	_, err = s.health.RemoveCheck(alice, &pb.RemoveCheckRequest{Fqdn: app})
	wantErr(t, err, codes.NotFound, "")
	for _, c := range []struct {
		in    *pb.SetCheckRequest
		field string
	}{
		{&pb.SetCheckRequest{Kind: "icmp"}, "kind"},
		{&pb.SetCheckRequest{Kind: "tcp"}, "port"},
		{&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(65536))}, "port"},
		{&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(1)), Path: "/"}, "path"},
		{&pb.SetCheckRequest{Kind: "http", Expect: "ok"}, "expect"},
		{&pb.SetCheckRequest{Kind: "http", Timeout: durationpb.New(time.Minute)}, "timeout"},
		{&pb.SetCheckRequest{Kind: "http", Interval: durationpb.New(-1)}, "interval"},
		{&pb.SetCheckRequest{Kind: "http", Fall: new(uint32(11))}, "fall"},
		{&pb.SetCheckRequest{Kind: "http", From: []string{"Prague 1"}}, "from"},
		{&pb.SetCheckRequest{Kind: "dns", QueryType: "NONSENSE"}, "query_type"},
		{&pb.SetCheckRequest{Kind: "dns", Query: "a..b"}, "query"},
	} {
		c.in.Fqdn = app
		_, err := s.health.SetCheck(s.admin(), c.in)
		wantErr(t, err, codes.InvalidArgument, c.field)
	}
}

// Targets are tried more often than by default only if an administrator of the zone says so.
func TestShortIntervalsAreForTheZonesAdministrators(t *testing.T) {
	s := two(t)
	fast := func(d time.Duration) *pb.SetCheckRequest {
		return &pb.SetCheckRequest{Fqdn: app, Kind: "tcp", Port: new(uint32(22)), Interval: durationpb.New(d)}
	}
	_, err := s.health.SetCheck(person("egi/alice"), fast(4*time.Second))
	wantErr(t, err, codes.PermissionDenied, "interval")
	_, err = s.health.SetCheck(person("egi/zoe"), fast(2*time.Second))
	s.done(err)
	// What they have set, the owner keeps when another thing is changed.
	in := fast(2 * time.Second)
	in.Fall = new(uint32(5))
	_, err = s.health.SetCheck(person("egi/alice"), in)
	s.done(err)
	_, err = s.health.SetCheck(person("egi/alice"), fast(time.Second))
	wantErr(t, err, codes.PermissionDenied, "interval")
}

// Monitors count the new addresses of an owner by a word that does not say who it is.
func TestACheckStandsForItsOwner(t *testing.T) {
	s := two(t)
	owner := func(fqdn string) string { return ownerOfCheck(s, fqdn) }
	set := func(who context.Context, fqdn, kind string) {
		t.Helper()
		_, err := s.health.SetCheck(who, &pb.SetCheckRequest{Fqdn: fqdn, Kind: kind})
		s.done(err)
	}
	s.hostOf(person("egi/alice"), "h1.vo.example.org")
	s.hostOf(person("egi/alice"), "h2.vo.example.org")
	set(person("egi/alice"), "h1.vo.example.org", "http")
	set(person("egi/alice"), "h2.vo.example.org", "https")
	one, two := owner("h1.vo.example.org"), owner("h2.vo.example.org")
	if one == "" || one != two || strings.Contains(one, "alice") {
		t.Errorf("of one owner: %q and %q", one, two)
	}
	// Nor can it be tried out whose it is, without the master key.
	other := start(t)
	other.zone("vo.example.org")
	other.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone")})
	other.hostOf(person("egi/alice"), "h1.vo.example.org")
	if _, err := other.health.SetCheck(person("egi/alice"), &pb.SetCheckRequest{Fqdn: "h1.vo.example.org", Kind: "http"}); err != nil {
		t.Fatal(err)
	}
	if elsewhere := ownerOfCheck(other, "h1.vo.example.org"); elsewhere == "" || elsewhere == one {
		t.Errorf("the same owner with another master key: %q and %q", one, elsewhere)
	}
	set(person("egi/zoe"), "h1.vo.example.org", "https") // an administrator of the zone
	if got := owner("h1.vo.example.org"); got != "" {
		t.Errorf("set by an administrator: %q", got)
	}
}

func ownerOfCheck(s *server, fqdn string) (word string) {
	s.t.Helper()
	s.done(s.store.Read(s.t.Context(), func(tx *store.Tx) error {
		z, err := tx.Zone("vo.example.org.")
		if err != nil {
			return err
		}
		check, err := tx.Check(z, model.Name(fqdn+"."))
		if err == nil {
			word = check.Owner
		}
		return err
	}))
	return word
}

func TestAnOwnerHasOneHundredChecks(t *testing.T) {
	s := two(t)
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxHosts: new(uint32(200)), MaxChanges: new(uint32(1000))})
	set := func(fqdn string) error {
		_, err := s.health.SetCheck(person("egi/alice"), &pb.SetCheckRequest{Fqdn: fqdn, Kind: "http"})
		return err
	}
	for i := range 100 {
		fqdn := fmt.Sprintf("h%d.vo.example.org", i)
		s.hostOf(person("egi/alice"), fqdn)
		s.done(set(fqdn))
		s.clock.add(time.Minute) // or they are too many changes
	}
	wantErr(t, set(app), codes.ResourceExhausted, "fqdn")
	s.done(set("h7.vo.example.org")) // it has one
	// Nor do several pass at once, at whatever control service.
	if _, err := s.health.RemoveCheck(s.admin(), &pb.RemoveCheckRequest{Fqdn: "h7.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	var passed atomic.Int32
	s.clock.add(time.Hour)
	more := func(i int) string { return fmt.Sprintf("more%d.vo.example.org", i) }
	for i := range 4 {
		s.hostOf(person("egi/alice"), more(i))
	}
	for i, at := range []*server{s, s, s.again(), s.again()} {
		wait.Go(func() {
			fqdn := more(i)
			_, err := at.health.SetCheck(person("egi/alice"), &pb.SetCheckRequest{Fqdn: fqdn, Kind: "http"})
			if err == nil {
				passed.Add(1)
				return
			}
			wantErr(t, err, codes.ResourceExhausted, "fqdn")
		})
	}
	if wait.Wait(); passed.Load() != 1 {
		t.Errorf("%d of 4 got the last one", passed.Load())
	}
	_, err := s.health.SetCheck(person("egi/zoe"), &pb.SetCheckRequest{Fqdn: app, Kind: "http"})
	s.done(err)
}

func TestHealthSaysWhatIsAnsweredAndWhy(t *testing.T) {
	s := two(t)
	s.setPolicy(&pb.SetPolicyRequest{Kind: "failover"})
	if _, err := s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: app, Id: "b", Priority: new(uint32(1))}); err != nil {
		t.Fatal(err)
	}
	k1, k2 := s.checker("k1"), s.checker("k2")
	out := s.setCheck(&pb.SetCheckRequest{Kind: "http"})
	if len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "only 2 checkers") {
		t.Errorf("%v", out.Warnings)
	}
	h := s.healthOf(app)
	if fmt.Sprint(h.Answers) != "[192.0.2.1 2001:db8::1]" || h.Ttl != 30 || h.Checkers != 2 || h.Endpoints[0].Votes[0].Verdict != "no verdict" || len(h.Warnings) != 1 {
		t.Errorf("%v", h)
	}
	s.vote("a", model.Down, model.Refused, k1)
	h = s.healthOf(app)
	if e := h.Endpoints[0]; e.Endpoint.State != "suspect" || e.Endpoint.Why != "1 of 2 checkers says down" || h.Ttl != 5 || e.Votes[0].Reason != "connection refused" || !e.Votes[0].Counts {
		t.Errorf("%v", h)
	}
	s.vote("a", model.Down, model.NoAnswer, k2)
	h = s.healthOf(app)
	if fmt.Sprint(h.Answers) != "[192.0.2.2]" || h.Endpoints[0].Endpoint.State != "down" || h.Why != "those that are up with the lowest priority (1 of 2 are up)" {
		t.Errorf("%v", h)
	}
	wantErr(t, s.sayOfSite("b", "drain"), codes.FailedPrecondition, "confirm_last") // the other is down
	s.done(s.sayOfSite("a", "drain"))
	s.done(s.sayOfSite("a", "auto"))
	s.vote("b", model.Down, model.NoAnswer, k1, k2)
	if h = s.healthOf(app); h.Why != "0 of 2 endpoints up, fewer than 1: all that no operator took away, whether they work or not" || len(h.Answers) != 3 {
		t.Errorf("%v", h)
	}
	// A word stands above the votes, and the last that is offered is guarded also when it
	// looks dead.
	s.done(s.say("a", "up"))
	s.wantStands(app, "a up*, b down")
	s.done(s.say("b", "drain"))
	wantErr(t, s.say("a", "down"), codes.FailedPrecondition, "confirm_last")
	wantErr(t, s.say("a", "auto"), codes.FailedPrecondition, "confirm_last") // its check says down
	s.done(s.say("a", "auto", true))
	wantErr(t, s.say("a", "drain"), codes.FailedPrecondition, "confirm_last")
	s.done(s.say("a", "drain", true))
	if h = s.healthOf(app); h.Why != "0 of 2 endpoints up, fewer than 1: operators took all away" || len(h.Answers) != 0 || h.Endpoints[0].Endpoint.Word.Say != "drain" {
		t.Errorf("%v", h)
	}
	s.done(s.say("a", "auto"), s.say("b", "auto"))
	// A vote about what was, or by who is not counted, says nothing.
	s.setCheck(&pb.SetCheckRequest{Kind: "http", Path: "/x"})
	if h = s.healthOf(app); h.Endpoints[0].Endpoint.State != "up" || h.Endpoints[0].Votes[0].Counts {
		t.Errorf("%v", h.Endpoints[0])
	}
	s.vote("a", model.Down, model.NoAnswer, k1)
	if _, err := s.health.RemoveChecker(s.admin(), &pb.RemoveCheckerRequest{Site: "k2"}); err != nil {
		t.Fatal(err)
	}
	if h = s.healthOf(app); h.Endpoints[0].Endpoint.State != "down" || h.Checkers != 1 {
		t.Errorf("%v", h.Endpoints[0])
	}
	list, err := s.health.ListCheckers(s.admin(), &pb.ListCheckersRequest{})
	if err != nil || len(list.Checkers) != 1 || !list.Checkers[0].Alive || list.Checkers[0].Site != "k1" {
		t.Errorf("%v %v", list, err)
	}
	// Why a name does not fail over may be that a checker is silent, or withholds.
	s.done(k1.Say(t.Context(), true, 2))
	k3 := s.checker("k3")
	k3.Release()
	if h = s.healthOf(app); len(h.Warnings) != 3 || !strings.Contains(h.Warnings[1], "k1 doubts itself") || !strings.Contains(h.Warnings[2], "k3 shows no sign of life") {
		t.Errorf("%q", h.Warnings)
	}
}

// With manual fail-back what took over stays until somebody says something else.
func TestManualFailBack(t *testing.T) {
	s := two(t)
	s.setPolicy(&pb.SetPolicyRequest{Kind: "failover", Failback: "manual"})
	if _, err := s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: app, Id: "b", Priority: new(uint32(1))}); err != nil {
		t.Fatal(err)
	}
	k := s.checker("k")
	s.setCheck(&pb.SetCheckRequest{Kind: "http"})
	auto, err := automation.New(automation.Config{Store: s.store, Now: s.clock.read})
	s.done(err)
	step := func() {
		t.Helper()
		s.done(auto.Step(t.Context()))
	}
	step()
	s.vote("a", model.Down, model.NoAnswer, k)
	s.stepUntil(auto, "a", true)
	s.wantStands(app, "a down, b up*")
	s.vote("a", model.Up, model.Fine, k)
	s.wantStands(app, "a passed over, b up*")
	step()
	s.wantStands(app, "a passed over, b up*")
	if h := s.healthOf(app); h.Endpoints[0].OverTime == nil || h.Endpoints[0].Endpoint.Why != "none of 1 checker says down; another has taken over" {
		t.Errorf("%v", h.Endpoints[0])
	}
	// When b fails a takes over again, and is no longer passed over.
	s.vote("b", model.Down, model.NoAnswer, k)
	s.wantStands(app, "a passed over*, b down")
	s.stepUntil(auto, "a", false)
	s.wantStands(app, "a up*, b down")
	s.vote("b", model.Up, model.Fine, k)
	s.wantStands(app, "a up*, b up")
	// Frozen, nobody is passed over; nor are there votes.
	s.vote("a", model.Down, model.NoAnswer, k)
	if _, err := s.health.SetFreeze(s.admin(), &pb.SetFreezeRequest{On: true, Reason: "storm"}); err != nil {
		t.Fatal(err)
	}
	if err := s.tryVote("a", model.Up, model.Fine, k); model.KindOf(err) != model.Precondition || err == nil {
		t.Errorf("a vote while frozen: %v", err)
	}
	step()
	if h := s.healthOf(app); h.Endpoints[0].OverTime != nil || !h.Freeze.On || h.Freeze.Reason != "storm" {
		t.Errorf("%v", h)
	}
	if _, err := s.health.SetFreeze(s.admin(), &pb.SetFreezeRequest{}); err != nil {
		t.Fatal(err)
	}
	s.stepUntil(auto, "a", true)
	s.vote("a", model.Up, model.Fine, k)
	s.wantStands(app, "a passed over, b up*")
	// An operator's word ends it, also auto.
	s.done(s.say("a", "auto"))
	s.wantStands(app, "a up*, b up")
	step()
	s.wantStands(app, "a up*, b up")
}

// stepUntil has automation look until the mark of passing over is or is not on an endpoint.
func (s *server) stepUntil(auto *automation.Automation, id string, over bool) {
	s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { // until the copy has seen it
		s.done(auto.Step(s.t.Context()))
		for _, e := range s.healthOf(app).Endpoints {
			if e.Endpoint.Id == id && (e.OverTime != nil) == over {
				return
			}
		}
	}
	s.t.Fatalf("%s passed over: not %v", id, over)
}
