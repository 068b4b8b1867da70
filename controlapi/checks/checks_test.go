package checks_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi/controltest"
	"signpost/internal/automation"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

func healthOf(s *controltest.Server, fqdn string) *pb.Health {
	s.T.Helper()
	out, err := s.Health.GetHealth(s.Admin(), &pb.GetHealthRequest{Fqdn: fqdn})
	s.Done(err)
	return out
}

func TestPolicies(t *testing.T) {
	s := controltest.Two(t)
	get := func() *pb.Policy {
		t.Helper()
		p, err := s.Health.GetPolicy(controltest.Person("egi/alice"), &pb.GetPolicyRequest{Fqdn: controltest.App})
		s.Done(err)
		return p
	}
	if p := get(); p.Kind != "all" || p.MinHealthy != 1 || p.SuspectTtl != 5 || p.Failback != "" || p.MaxAnswers != 0 {
		t.Errorf("%v", p)
	}
	if out := s.SetPolicy(&pb.SetPolicyRequest{Kind: "all", MinHealthy: new(uint32(1))}); out.Change.Changed {
		t.Errorf("the same is written: %v", out)
	}
	before := get().Etag
	out := s.SetPolicy(&pb.SetPolicyRequest{Kind: "failover", Failback: "manual", Fallback: []string{"192.0.2.99"}, Etag: before})
	if p := get(); !out.Change.Changed || p.Etag != out.Policy.Etag || p.Failback != "manual" || fmt.Sprint(p.Fallback) != "[192.0.2.99]" {
		t.Errorf("%v, %v", out, p)
	}
	_, err := s.Health.SetPolicy(s.Admin(), &pb.SetPolicyRequest{Fqdn: controltest.App, Kind: "all", Etag: before})
	controltest.WantErr(t, err, codes.Aborted, "etag")
	if out := s.SetPolicy(&pb.SetPolicyRequest{Kind: "weighted", MinHealthy: new(uint32(3))}); len(out.Warnings) != 1 || out.Policy.MaxAnswers != 1 || out.Policy.Fallback != nil {
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
		c.in.Fqdn = controltest.App
		_, err := s.Health.SetPolicy(s.Admin(), c.in)
		controltest.WantErr(t, err, codes.InvalidArgument, c.field)
	}
}

func TestChecks(t *testing.T) {
	s := controltest.Two(t)
	alice := controltest.Person("egi/alice")
	_, err := s.Health.GetCheck(alice, &pb.GetCheckRequest{Fqdn: controltest.App})
	controltest.WantErr(t, err, codes.NotFound, "")
	generation := s.Endpoint(controltest.App, "a").Generation
	out := s.SetCheck(&pb.SetCheckRequest{Kind: "https", Path: "/healthz", Expect: "200, 429", From: []string{"x"}})
	if got := s.Endpoint(controltest.App, "a").Generation; got == generation {
		t.Error("a check is no new generation of the endpoints")
	} else {
		generation = got
	}
	want := "[no checker is registered at site x no checker judges: every endpoint is taken for up]"
	if fmt.Sprint(out.Warnings) != want || out.Check.Port != 443 || out.Check.Expect != "200,429" || out.Check.Interval.AsDuration() != 5*time.Second {
		t.Errorf("%v", out)
	}
	got, err := s.Health.GetCheck(alice, &pb.GetCheckRequest{Fqdn: controltest.App})
	if err != nil || got.Etag != out.Check.Etag {
		t.Errorf("%v, %v", got, err)
	}
	// What is said and what it stands for are the same.
	if out := s.SetCheck(&pb.SetCheckRequest{Kind: "https", Port: new(uint32(443)), Path: "/healthz", Expect: "200,429", Fall: new(uint32(3)), From: []string{"x"}}); out.Change.Changed || out.Check.Etag != got.Etag {
		t.Errorf("%v", out)
	}
	out = s.SetCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22)), Etag: got.Etag})
	if now := s.Endpoint(controltest.App, "a").Generation; !out.Change.Changed || now == generation {
		t.Errorf("%v", out)
	}
	_, err = s.Health.RemoveCheck(alice, &pb.RemoveCheckRequest{Fqdn: controltest.App, Etag: got.Etag})
	controltest.WantErr(t, err, codes.Aborted, "etag")
	if _, err := s.Health.RemoveCheck(alice, &pb.RemoveCheckRequest{Fqdn: controltest.App, Etag: out.Check.Etag}); err != nil {
		t.Error(err)
	}
	_, err = s.Health.RemoveCheck(alice, &pb.RemoveCheckRequest{Fqdn: controltest.App})
	controltest.WantErr(t, err, codes.NotFound, "")
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
		c.in.Fqdn = controltest.App
		_, err := s.Health.SetCheck(s.Admin(), c.in)
		controltest.WantErr(t, err, codes.InvalidArgument, c.field)
	}
}

// Targets are tried more often than by default only if an administrator of the zone says so.
func TestShortIntervalsAreForTheZonesAdministrators(t *testing.T) {
	s := controltest.Two(t)
	fast := func(d time.Duration) *pb.SetCheckRequest {
		return &pb.SetCheckRequest{Fqdn: controltest.App, Kind: "tcp", Port: new(uint32(22)), Interval: durationpb.New(d)}
	}
	_, err := s.Health.SetCheck(controltest.Person("egi/alice"), fast(4*time.Second))
	controltest.WantErr(t, err, codes.PermissionDenied, "interval")
	_, err = s.Health.SetCheck(controltest.Person("egi/zoe"), fast(2*time.Second))
	s.Done(err)
	// What they have set, the owner keeps when another thing is changed.
	in := fast(2 * time.Second)
	in.Fall = new(uint32(5))
	_, err = s.Health.SetCheck(controltest.Person("egi/alice"), in)
	s.Done(err)
	_, err = s.Health.SetCheck(controltest.Person("egi/alice"), fast(time.Second))
	controltest.WantErr(t, err, codes.PermissionDenied, "interval")
}

// Monitors count the new addresses of an owner by a word that does not say who it is.
func TestACheckStandsForItsOwner(t *testing.T) {
	s := controltest.Two(t)
	owner := func(fqdn string) string { return ownerOfCheck(s, fqdn) }
	set := func(who context.Context, fqdn, kind string) {
		t.Helper()
		_, err := s.Health.SetCheck(who, &pb.SetCheckRequest{Fqdn: fqdn, Kind: kind})
		s.Done(err)
	}
	s.HostOf(controltest.Person("egi/alice"), "h1.vo.example.org")
	s.HostOf(controltest.Person("egi/alice"), "h2.vo.example.org")
	set(controltest.Person("egi/alice"), "h1.vo.example.org", "http")
	set(controltest.Person("egi/alice"), "h2.vo.example.org", "https")
	one, two := owner("h1.vo.example.org"), owner("h2.vo.example.org")
	if one == "" || one != two || strings.Contains(one, "alice") {
		t.Errorf("of one owner: %q and %q", one, two)
	}
	// Nor can it be tried out whose it is, without the master key.
	other := controltest.Start(t)
	other.Zone("vo.example.org")
	other.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone")})
	other.HostOf(controltest.Person("egi/alice"), "h1.vo.example.org")
	if _, err := other.Health.SetCheck(controltest.Person("egi/alice"), &pb.SetCheckRequest{Fqdn: "h1.vo.example.org", Kind: "http"}); err != nil {
		t.Fatal(err)
	}
	if elsewhere := ownerOfCheck(other, "h1.vo.example.org"); elsewhere == "" || elsewhere == one {
		t.Errorf("the same owner with another master key: %q and %q", one, elsewhere)
	}
	set(controltest.Person("egi/zoe"), "h1.vo.example.org", "https") // an administrator of the zone
	if got := owner("h1.vo.example.org"); got != "" {
		t.Errorf("set by an administrator: %q", got)
	}
}

func ownerOfCheck(s *controltest.Server, fqdn string) (word string) {
	s.T.Helper()
	s.Done(s.Store.Read(s.T.Context(), func(tx *store.Tx) error {
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
	s := controltest.Two(t)
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxHosts: new(uint32(200)), MaxChanges: new(uint32(1000))})
	set := func(fqdn string) error {
		_, err := s.Health.SetCheck(controltest.Person("egi/alice"), &pb.SetCheckRequest{Fqdn: fqdn, Kind: "http"})
		return err
	}
	for i := range 100 {
		fqdn := fmt.Sprintf("h%d.vo.example.org", i)
		s.HostOf(controltest.Person("egi/alice"), fqdn)
		s.Done(set(fqdn))
		s.Clock.Add(time.Minute) // or they are too many changes
	}
	controltest.WantErr(t, set(controltest.App), codes.ResourceExhausted, "fqdn")
	s.Done(set("h7.vo.example.org")) // it has one
	// Nor do several pass at once, at whatever control service.
	if _, err := s.Health.RemoveCheck(s.Admin(), &pb.RemoveCheckRequest{Fqdn: "h7.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	var passed atomic.Int32
	s.Clock.Add(time.Hour)
	more := func(i int) string { return fmt.Sprintf("more%d.vo.example.org", i) }
	for i := range 4 {
		s.HostOf(controltest.Person("egi/alice"), more(i))
	}
	for i, at := range []*controltest.Server{s, s, s.Again(), s.Again()} {
		wait.Go(func() {
			fqdn := more(i)
			_, err := at.Health.SetCheck(controltest.Person("egi/alice"), &pb.SetCheckRequest{Fqdn: fqdn, Kind: "http"})
			if err == nil {
				passed.Add(1)
				return
			}
			controltest.WantErr(t, err, codes.ResourceExhausted, "fqdn")
		})
	}
	if wait.Wait(); passed.Load() != 1 {
		t.Errorf("%d of 4 got the last one", passed.Load())
	}
	_, err := s.Health.SetCheck(controltest.Person("egi/zoe"), &pb.SetCheckRequest{Fqdn: controltest.App, Kind: "http"})
	s.Done(err)
}

func TestHealthSaysWhatIsAnsweredAndWhy(t *testing.T) {
	s := controltest.Two(t)
	s.SetPolicy(&pb.SetPolicyRequest{Kind: "failover"})
	if _, err := s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: controltest.App, Id: "b", Priority: new(uint32(1))}); err != nil {
		t.Fatal(err)
	}
	k1, k2 := s.Checker("k1"), s.Checker("k2")
	out := s.SetCheck(&pb.SetCheckRequest{Kind: "http"})
	if len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "only 2 checkers") {
		t.Errorf("%v", out.Warnings)
	}
	h := healthOf(s, controltest.App)
	if fmt.Sprint(h.Answers) != "[192.0.2.1 2001:db8::1]" || h.Ttl != 30 || h.Checkers != 2 || h.Endpoints[0].Votes[0].Verdict != "no verdict" || len(h.Warnings) != 1 {
		t.Errorf("%v", h)
	}
	s.Vote("a", model.Down, model.Refused, k1)
	h = healthOf(s, controltest.App)
	if e := h.Endpoints[0]; e.Endpoint.State != "suspect" || e.Endpoint.Why != "1 of 2 checkers says down" || h.Ttl != 5 || e.Votes[0].Reason != "connection refused" || !e.Votes[0].Counts {
		t.Errorf("%v", h)
	}
	s.Vote("a", model.Down, model.NoAnswer, k2)
	h = healthOf(s, controltest.App)
	if fmt.Sprint(h.Answers) != "[192.0.2.2]" || h.Endpoints[0].Endpoint.State != "down" || h.Why != "those that are up with the lowest priority (1 of 2 are up)" {
		t.Errorf("%v", h)
	}
	controltest.WantErr(t, s.SayOfSite("b", "drain"), codes.FailedPrecondition, "confirm_last") // the other is down
	s.Done(s.SayOfSite("a", "drain"))
	s.Done(s.SayOfSite("a", "auto"))
	s.Vote("b", model.Down, model.NoAnswer, k1, k2)
	if h = healthOf(s, controltest.App); h.Why != "0 of 2 endpoints up, fewer than 1: all that no operator took away, whether they work or not" || len(h.Answers) != 3 {
		t.Errorf("%v", h)
	}
	// A word stands above the votes, and the last that is offered is guarded also when it
	// looks dead.
	s.Done(s.Say("a", "up"))
	s.WantStands(controltest.App, "a up*, b down")
	s.Done(s.Say("b", "drain"))
	controltest.WantErr(t, s.Say("a", "down"), codes.FailedPrecondition, "confirm_last")
	controltest.WantErr(t, s.Say("a", "auto"), codes.FailedPrecondition, "confirm_last") // its check says down
	s.Done(s.Say("a", "auto", true))
	controltest.WantErr(t, s.Say("a", "drain"), codes.FailedPrecondition, "confirm_last")
	s.Done(s.Say("a", "drain", true))
	if h = healthOf(s, controltest.App); h.Why != "0 of 2 endpoints up, fewer than 1: operators took all away" || len(h.Answers) != 0 || h.Endpoints[0].Endpoint.Word.Say != "drain" {
		t.Errorf("%v", h)
	}
	s.Done(s.Say("a", "auto"), s.Say("b", "auto"))
	// A vote about what was, or by who is not counted, says nothing.
	s.SetCheck(&pb.SetCheckRequest{Kind: "http", Path: "/x"})
	if h = healthOf(s, controltest.App); h.Endpoints[0].Endpoint.State != "up" || h.Endpoints[0].Votes[0].Counts {
		t.Errorf("%v", h.Endpoints[0])
	}
	s.Vote("a", model.Down, model.NoAnswer, k1)
	if _, err := s.Health.RemoveChecker(s.Admin(), &pb.RemoveCheckerRequest{Site: "k2"}); err != nil {
		t.Fatal(err)
	}
	if h = healthOf(s, controltest.App); h.Endpoints[0].Endpoint.State != "down" || h.Checkers != 1 {
		t.Errorf("%v", h.Endpoints[0])
	}
	list, err := s.Health.ListCheckers(s.Admin(), &pb.ListCheckersRequest{})
	if err != nil || len(list.Checkers) != 1 || !list.Checkers[0].Alive || list.Checkers[0].Site != "k1" {
		t.Errorf("%v %v", list, err)
	}
	// Why a name does not fail over may be that a checker is silent, or withholds.
	s.Done(k1.Say(t.Context(), true, 2))
	k3 := s.Checker("k3")
	k3.Release()
	if h = healthOf(s, controltest.App); len(h.Warnings) != 3 || !strings.Contains(h.Warnings[1], "k1 doubts itself") || !strings.Contains(h.Warnings[2], "k3 shows no sign of life") {
		t.Errorf("%q", h.Warnings)
	}
}

// With manual fail-back what took over stays until somebody says something else.
func TestManualFailBack(t *testing.T) {
	s := controltest.Two(t)
	s.SetPolicy(&pb.SetPolicyRequest{Kind: "failover", Failback: "manual"})
	if _, err := s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: controltest.App, Id: "b", Priority: new(uint32(1))}); err != nil {
		t.Fatal(err)
	}
	k := s.Checker("k")
	s.SetCheck(&pb.SetCheckRequest{Kind: "http"})
	auto, err := automation.New(automation.Config{Store: s.Store, Now: s.Clock.Read})
	s.Done(err)
	step := func() {
		t.Helper()
		s.Done(auto.Step(t.Context()))
	}
	step()
	s.Vote("a", model.Down, model.NoAnswer, k)
	stepUntil(s, auto, "a", true)
	s.WantStands(controltest.App, "a down, b up*")
	s.Vote("a", model.Up, model.Fine, k)
	s.WantStands(controltest.App, "a passed over, b up*")
	step()
	s.WantStands(controltest.App, "a passed over, b up*")
	if h := healthOf(s, controltest.App); h.Endpoints[0].OverTime == nil || h.Endpoints[0].Endpoint.Why != "none of 1 checker says down; another has taken over" {
		t.Errorf("%v", h.Endpoints[0])
	}
	// When b fails a takes over again, and is no longer passed over.
	s.Vote("b", model.Down, model.NoAnswer, k)
	s.WantStands(controltest.App, "a passed over*, b down")
	stepUntil(s, auto, "a", false)
	s.WantStands(controltest.App, "a up*, b down")
	s.Vote("b", model.Up, model.Fine, k)
	s.WantStands(controltest.App, "a up*, b up")
	// Frozen, nobody is passed over; nor are there votes.
	s.Vote("a", model.Down, model.NoAnswer, k)
	if _, err := s.Health.SetFreeze(s.Admin(), &pb.SetFreezeRequest{On: true, Reason: "storm"}); err != nil {
		t.Fatal(err)
	}
	if err := s.TryVote("a", model.Up, model.Fine, k); model.KindOf(err) != model.Precondition || err == nil {
		t.Errorf("a vote while frozen: %v", err)
	}
	step()
	if h := healthOf(s, controltest.App); h.Endpoints[0].OverTime != nil || !h.Freeze.On || h.Freeze.Reason != "storm" {
		t.Errorf("%v", h)
	}
	if _, err := s.Health.SetFreeze(s.Admin(), &pb.SetFreezeRequest{}); err != nil {
		t.Fatal(err)
	}
	stepUntil(s, auto, "a", true)
	s.Vote("a", model.Up, model.Fine, k)
	s.WantStands(controltest.App, "a passed over, b up*")
	// An operator's word ends it, also auto.
	s.Done(s.Say("a", "auto"))
	s.WantStands(controltest.App, "a up*, b up")
	step()
	s.WantStands(controltest.App, "a up*, b up")
}

// stepUntil has automation look until the mark of passing over is or is not on an endpoint.
func stepUntil(s *controltest.Server, auto *automation.Automation, id string, over bool) {
	s.T.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { // until the copy has seen it
		s.Done(auto.Step(s.T.Context()))
		for _, e := range healthOf(s, controltest.App).Endpoints {
			if e.Endpoint.Id == id && (e.OverTime != nil) == over {
				return
			}
		}
	}
	s.T.Fatalf("%s passed over: not %v", id, over)
}
