package health

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"signpost/internal/model"
)

// court is a judge with what it told.
type court struct {
	*Judge[string]
	told map[string]model.Verdict
	now  time.Duration
	n    int // what it told in all
}

// newCourt has ten targets on each of some sites, called "a0" to "a9"; those of a site in
// capitals are heartbeats.
func newCourt(sites ...string) *court {
	c := &court{Judge: NewJudge[string](), told: map[string]model.Verdict{}}
	for _, site := range sites {
		t := Target{Site: strings.ToLower(site), Check: model.Check{Kind: model.CheckTCP, Port: 1}}
		if site != t.Site {
			t.Check = model.Check{Kind: model.CheckHeartbeat}
		}
		for i := range 10 {
			c.Put(fmt.Sprint(site, i), t)
		}
	}
	return c
}

func (c *court) take(changes []Change[string]) {
	for _, ch := range changes {
		c.n++
		c.told[ch.Target] = ch.Verdict
	}
}

// rounds lets every target of the sites in failing fail, and all others be fine.
func (c *court) rounds(n int, failing ...string) {
	for range n {
		c.now += 5 * time.Second
		ids := make([]string, 0, len(c.known))
		for id := range c.known {
			ids = append(ids, id) // in any order
		}
		for _, id := range ids {
			a := fine
			for _, f := range failing {
				if strings.HasPrefix(id, f) {
					a = fails
				}
			}
			c.take(c.See(id, a, c.now))
		}
	}
}

func (c *court) wants(t *testing.T, what string, want model.Verdict, sites ...string) {
	t.Helper()
	for _, site := range sites {
		for i := range 10 {
			if id := fmt.Sprint(site, i); c.told[id] != want {
				t.Errorf("%s: told %v of %s, wanted %v", what, c.told[id], id, want)
				return
			}
		}
	}
}

func TestVerdictsAreTold(t *testing.T) {
	c := newCourt("a", "b", "c")
	if c.Silent() != 30 {
		t.Errorf("%d silent at the begin", c.Silent())
	}
	c.rounds(2)
	if c.Silent() != 30 || c.n != 0 {
		t.Errorf("before the round is full: %d silent, %d told", c.Silent(), c.n)
	}
	c.rounds(5)
	c.wants(t, "all well", model.Up, "a", "b", "c")
	if c.Silent() != 0 || c.n != 30 {
		t.Errorf("%d silent, %d told", c.Silent(), c.n)
	}
	c.rounds(1, "b")
	c.wants(t, "b fails once", model.Suspect, "b")
	c.rounds(5, "b")
	c.wants(t, "b is lost", model.Down, "b")
	c.wants(t, "b is lost", model.Up, "a", "c")
	if c.n != 50 || c.Doubt() != NoDoubt {
		t.Errorf("%d told, doubt %v", c.n, c.Doubt())
	}
	// One lost site after the other is no doubt: what is down is no news.
	c.rounds(5, "b", "c")
	c.wants(t, "c is lost later", model.Down, "b", "c")
	c.rounds(5)
	c.wants(t, "all back", model.Up, "a", "b", "c")
}

func TestADoubtingCheckerTellsNothingBad(t *testing.T) {
	c := newCourt("a", "b", "c")
	c.rounds(5)
	c.rounds(20, "b", "c") // at once
	c.wants(t, "cut off", model.Up, "a")
	for site := range strings.SplitSeq("b c", " ") {
		for i := range 10 { // those that came before it was clear are suspect at the most
			if v := c.told[fmt.Sprint(site, i)]; v == model.Down {
				t.Errorf("told %v of %s%d", v, site, i)
			}
		}
	}
	if c.Doubt() != InAll || c.Withheld() != 20 {
		t.Errorf("doubt %v, %d withheld", c.Doubt(), c.Withheld())
	}
	c.rounds(1, "c") // the line is back, c is really gone
	if c.Doubt() != NoDoubt {
		t.Errorf("doubt %v when only one site fails", c.Doubt())
	}
	for i := range 10 { // what failed while it was cut off tells nothing
		if v := c.told[fmt.Sprint("c", i)]; v == model.Down {
			t.Errorf("told %v of c%d when the doubt ends", v, i)
		}
	}
	c.rounds(3, "c")
	c.wants(t, "what was withheld and fails anew", model.Down, "c")
	c.rounds(5, "c")
	c.wants(t, "what was withheld and passed", model.Up, "a", "b")
	if c.Withheld() != 0 {
		t.Errorf("%d are withheld", c.Withheld())
	}
}

// A checker that was cut off gets its targets back one by one: none of those that it has not
// tried again is said to be down, nor the one that ends the doubt.
func TestWhatWasSeenInADoubtIsNotToldWhenItEnds(t *testing.T) {
	c := newCourt("a", "b", "c")
	c.rounds(5)
	c.rounds(20, "a", "b", "c")
	seen := c.n
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var order []string
	for _, site := range []string{"a", "b", "c"} {
		for i := range 10 {
			for range 3 {
				order = append(order, fmt.Sprint(site, i))
			}
		}
	}
	r.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
	c.now += time.Hour // held for long enough
	for n, id := range order {
		c.take(c.See(id, fine, c.now))
		for id, v := range c.told {
			if v == model.Down {
				t.Fatalf("told %v of %s after %d attempts, doubt %v", v, id, n, c.Doubt())
			}
		}
	}
	c.wants(t, "all back", model.Up, "a", "b", "c")
	if c.n > seen+30 || c.Withheld() != 0 {
		t.Errorf("%d told since, %d withheld", c.n-seen, c.Withheld())
	}
	// It is believed again.
	c.rounds(3, "b")
	c.wants(t, "b is lost", model.Down, "b")
}

func TestACheckerThatBeginsCutOffTellsNothing(t *testing.T) {
	c := newCourt("a", "b")
	c.rounds(10, "a", "b")
	if c.n != 0 || c.Silent() != 0 || c.Withheld() != 20 {
		t.Errorf("%d told, %d silent, %d withheld", c.n, c.Silent(), c.Withheld())
	}
	for i := range 10 { // one site is taken away: what is left is one site
		c.Remove(fmt.Sprint("b", i))
	}
	c.rounds(3, "a", "b")
	c.wants(t, "only one site is left", model.Down, "a")
}

// Sites are what owners call them, and anybody may have checked what does not work: that
// takes nobody else's fail-over away.
func TestOneOwnersTroubleIsNotTheCheckers(t *testing.T) {
	c := newCourt()
	for owner := range 3 {
		for site := range 3 {
			c.Put(fmt.Sprintf("good%d%d", owner, site), Target{Site: fmt.Sprint(site), Owner: fmt.Sprint(owner), Check: model.Check{Kind: model.CheckTCP, Port: 1}})
		}
	}
	for n := range 16 {
		c.Put(fmt.Sprint("bad", n), Target{Site: fmt.Sprint("mine", n), Owner: "bad", Check: model.Check{Kind: model.CheckTCP, Port: 1}})
	}
	c.rounds(5)
	c.rounds(6, "bad", "good00")
	if c.Doubt() != NoDoubt || c.told["good00"] != model.Down || c.told["bad0"] != model.Down {
		t.Errorf("doubt %v, told %v", c.Doubt(), c.told)
	}
}

// Whoever sets endpoints or a check before the service is there has it said to be down,
// also where there is nothing else.
func TestWhatNeverWasUpIsNoReasonForDoubt(t *testing.T) {
	for _, kind := range []model.CheckKind{model.CheckTCP, model.CheckHeartbeat} {
		c := newCourt()
		for _, id := range []string{"a", "b", "c"} {
			c.Put(id, Target{Site: id, Check: model.Check{Kind: kind}, Stranger: true})
		}
		c.rounds(5, "b", "c")
		if c.Doubt() != NoDoubt || c.told["a"] != model.Up || c.told["b"] != model.Down || c.told["c"] != model.Down {
			t.Errorf("doubt %v, told %v", c.Doubt(), c.told)
		}
		c.rounds(5)
		c.rounds(5, "a", "b", "c") // strangers no more
		if c.Doubt() == NoDoubt || c.told["c"] == model.Down {
			t.Errorf("when all stop: doubt %v, told %v", c.Doubt(), c.told)
		}
	}
}

func TestHeartbeatsThatStopTogetherAreWithheldAlone(t *testing.T) {
	c := newCourt("a", "b", "c", "A", "B")
	c.rounds(5)
	c.rounds(10, "A", "B", "c")
	c.wants(t, "what it tries itself", model.Down, "c")
	for _, site := range []string{"A", "B"} {
		for i := range 10 {
			if v := c.told[fmt.Sprint(site, i)]; v == model.Down {
				t.Errorf("told %v of heartbeat %s%d", v, site, i)
			}
		}
	}
	if c.Doubt() != InBeats {
		t.Errorf("doubt %v", c.Doubt())
	}
	c.rounds(10, "A", "c")
	c.wants(t, "the heartbeats of one site", model.Down, "A")
}

func TestATargetThatCannotBeTriedHasHadItsRound(t *testing.T) {
	c := newCourt("a")
	for range 3 {
		for i := range 10 {
			c.take(c.See(fmt.Sprint("a", i), nothing, 0))
		}
	}
	if c.Silent() != 0 || c.n != 0 {
		t.Errorf("%d silent, %d told", c.Silent(), c.n)
	}
	c.Put("a0", Target{Site: "a"})
	if c.Silent() != 1 {
		t.Errorf("%d silent after a replacement", c.Silent())
	}
	if c.See("gone", fails, 0) != nil {
		t.Error("something is told of an unknown target")
	}
}

// TestTalliesAreWhatACountFinds after any attempts, additions and removals: they are kept
// up, not counted anew.
func TestTalliesAreWhatACountFinds(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := newCourt("a", "b", "c", "A", "B")
	strangers := map[string]bool{}
	for range 20000 {
		c.now += time.Second
		id := fmt.Sprint([]string{"a", "b", "c", "A", "B"}[r.IntN(5)], r.IntN(10))
		switch n := r.IntN(100); {
		case n == 0:
			c.Remove(id)
			delete(c.told, id)
		case n == 1 || c.known[id] == nil:
			kind := model.CheckTCP
			if id < "a" {
				kind = model.CheckHeartbeat
			}
			delete(c.told, id)
			strangers[id] = r.IntN(4) == 0
			c.Put(id, Target{Site: strings.ToLower(id[:1]), Owner: fmt.Sprint(r.IntN(3)), Check: model.Check{Kind: kind, Port: 1}, Stranger: strangers[id]})
		default:
			c.take(c.See(id, []model.Attempt{fine, fails, nothing}[min(2, r.IntN(5)/(1+int(c.now/(200*time.Second))%2))], c.now))
		}
		want, owners, silent, withheld := map[string]Tally{}, map[string]Owners{}, 0, 0
		for id, e := range c.known {
			s, o := want[e.Site], owners[e.Owner]
			s.Site = e.Site
			of, its := &s.Tried, &o.Tried
			if e.Check.Kind == model.CheckHeartbeat {
				of, its = &s.Beating, &o.Beating
			}
			strangers[id] = strangers[id] && c.told[id] != model.Up
			if e.mind.Heard() && c.told[id] != model.Down && !strangers[id] {
				as := Count{All: 1}
				if e.mind.Failing() {
					as.Failing = 1
				}
				of.add(as, Count{})
				its.add(as, Count{})
			}
			owners[e.Owner] = o
			if want[e.Site] = s; s.Tried.All == 0 && s.Beating.All == 0 {
				delete(want, e.Site)
			}
			if e.left > 0 {
				silent++
			}
			if v, _ := e.mind.Verdict(); v != c.told[id] {
				withheld++
			}
		}
		if len(c.sites) != len(want) || c.Silent() != silent || c.Withheld() != withheld {
			t.Fatalf("%d sites, %d silent, %d withheld; counted %d, %d, %d", len(c.sites), c.Silent(), c.Withheld(), len(want), silent, withheld)
		}
		var crowd Owners
		for _, o := range owners {
			crowd.Tried.add(o.Tried.asOne(), Count{})
			crowd.Beating.add(o.Beating.asOne(), Count{})
		}
		if c.crowd != crowd {
			t.Fatalf("owners %+v, counted %+v", c.crowd, crowd)
		}
		for site, s := range c.sites {
			if *s != want[site] {
				t.Fatalf("%+v, counted %+v", *s, want[site])
			}
		}
	}
}

func TestStandbysThatAnswerAreNoSelfDoubt(t *testing.T) {
	c := newCourt("a", "b", "c")
	standby := model.Attempt{Reason: model.UnexpectedStatus}
	for range 3 {
		c.now += 5 * time.Second
		for id := range c.known {
			a := standby
			if strings.HasPrefix(id, "a") {
				a = fine
			}
			c.take(c.See(id, a, c.now))
		}
	}
	c.wants(t, "the active ones", model.Up, "a")
	c.wants(t, "those that stand by", model.Down, "b", "c")
	if c.Doubt() != NoDoubt {
		t.Errorf("it doubts itself: %v", c.Doubt())
	}
}

// A checker whose clock is wrong takes good certificates for bad ones: where most targets
// have one, that is its own trouble.
func TestAWrongClockIsSelfDoubt(t *testing.T) {
	c := newCourt("a", "b", "c")
	c.rounds(5)
	for range 20 {
		c.now += 5 * time.Second
		for id := range c.known {
			a := model.Attempt{Reason: model.CertificateTime}
			if strings.HasSuffix(id, "0") { // that has none
				a = fine
			}
			c.take(c.See(id, a, c.now))
		}
	}
	for id, v := range c.told {
		if v == model.Down {
			t.Errorf("told that %s is down", id)
		}
	}
	if c.Doubt() != InAll {
		t.Errorf("doubt: %v", c.Doubt())
	}
}
