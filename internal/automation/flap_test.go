package automation

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"signpost/internal/health"
	"signpost/internal/model"
	"signpost/internal/zone"
)

// flapping is an instance that is up for a part of each period.
type flapping struct {
	period, up, phase time.Duration
}

func (f flapping) well(now time.Duration) bool { return (now+f.phase)%f.period < f.up }

var flapSites = []string{"east", "north", "south"}

// answersOf is when the answer of a name with two flapping instances changes within a
// time: three checkers look every 5 s, each at its own moment, and what took over is
// passed over as automation does it.
func answersOf(t interface{ Fatalf(string, ...any) }, instances [2]flapping, p model.Policy, within time.Duration) (changes []time.Duration) {
	h := &model.Host{Checked: true, Policy: p}
	said := &zone.Said{Overs: map[string]*model.Over{}}
	minds := map[string][]*health.Mind{}
	for i, id := range []string{"a", "b"} {
		h.Endpoints = append(h.Endpoints, model.Endpoint{ID: id, Site: id, Generation: 1, Priority: uint32(i), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})}})
	}
	for _, site := range flapSites {
		said.Checkers = append(said.Checkers, model.Checker{Site: site, Term: 1})
		minds[site] = []*health.Mind{health.NewMind(model.Check{}), health.NewMind(model.Check{})}
	}
	was := zone.Choose(h, said).Addresses
	for n, now := 0, time.Duration(0); now < within; n++ {
		site := n % len(flapSites)
		now = time.Duration(n/len(flapSites))*5*time.Second + time.Duration(site)*1700*time.Millisecond
		for i, m := range minds[flapSites[site]] {
			a := model.Attempt{Reason: model.Refused}
			if instances[i].well(now) {
				a.Reason = model.Fine
			}
			if !m.See(a, now) {
				continue
			}
			v := model.Vote{Site: flapSites[site], Endpoint: h.Endpoints[i].ID, Generation: 1, Term: 1}
			v.Verdict, v.Reason = m.Verdict()
			said.Votes = append(slices.DeleteFunc(said.Votes, func(o model.Vote) bool { return o.Site == v.Site && o.Endpoint == v.Endpoint }), v)
		}
		if mark, unmark := marks(h, zone.Choose(h, said), said); isManual(h) {
			for _, id := range mark {
				said.Overs[id] = &model.Over{Generation: 1}
			}
			for _, id := range unmark {
				delete(said.Overs, id)
			}
		}
		is := zone.Choose(h, said).Addresses
		if len(is) == 0 {
			t.Fatalf("after %v there is no answer", now)
		}
		if !slices.Equal(is, was) {
			changes = append(changes, now)
		}
		was = is
	}
	return changes
}

// inTenMinutes is how many changes are within ten minutes at most, after a time.
func inTenMinutes(changes []time.Duration, after time.Duration) (most int) {
	for i, from := range changes {
		if n, _ := slices.BinarySearch(changes, from+10*time.Minute); from >= after {
			most = max(most, n-i)
		}
	}
	return most
}

// TestANameOfFlappingInstancesSettles whatever they do: a checker turns an instance down
// eight times in ten minutes at most, and back as often; two of three must agree, but may
// be other two each time. When it has gone on for long each turns it down once, or twice
// at the edges.
func TestANameOfFlappingInstancesSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var instances [2]flapping
		for i := range instances {
			of := &instances[i]
			of.period = time.Duration(rapid.IntRange(1, 600).Draw(t, "period")) * time.Second
			of.up = of.period * time.Duration(rapid.IntRange(5, 95).Draw(t, "percent")) / 100
			of.phase = time.Duration(rapid.IntRange(0, 600).Draw(t, "phase")) * time.Second
		}
		p := model.Policy{Kind: rapid.SampledFrom([]model.PolicyKind{model.PolicyFailover, model.PolicyAll}).Draw(t, "policy"), ManualFailback: rapid.Bool().Draw(t, "manual")}
		changes := answersOf(t, instances, p, 2*time.Hour)
		if n := inTenMinutes(changes, 0); n > 2*2*8*3/2 {
			t.Fatalf("%d changes of the answer in ten minutes", n)
		}
		if n := inTenMinutes(changes, time.Hour); n > 2*2*2*3/2 {
			t.Fatalf("after an hour there are still %d changes of the answer in ten minutes: %v", n, changes)
		}
	})
}

// TestFailBackThatFlaps is the worst there is for who is preferred: it works for just long
// enough to be gone back to, and no longer.
func TestFailBackThatFlaps(t *testing.T) {
	steady := flapping{period: time.Hour, up: time.Hour}
	for _, c := range []struct {
		name   string
		manual bool
		most   int // changes in two hours
	}{
		{"automatic", false, 40},
		{"manual", true, 1}, // until an operator says something
	} {
		t.Run(c.name, func(t *testing.T) {
			changes := answersOf(t, [2]flapping{{period: 40 * time.Second, up: 20 * time.Second}, steady}, model.Policy{Kind: model.PolicyFailover, ManualFailback: c.manual}, 2*time.Hour)
			t.Logf("%d changes in two hours, at most %d in ten minutes, and %d after an hour", len(changes), inTenMinutes(changes, 0), inTenMinutes(changes, time.Hour))
			if len(changes) == 0 || len(changes) > c.most {
				t.Errorf("%d changes of the answer, want 1 to %d: %v", len(changes), c.most, changes)
			}
		})
	}
}
