package health

import (
	"testing"
	"time"

	"signpost/internal/model"
)

var (
	fine    = model.Attempt{Reason: model.Fine}
	fails   = model.Attempt{Reason: model.Refused}
	nothing = model.Attempt{Reason: model.NoRoute}
)

// see shows a mind attempts at an interval of 5 s, one per sign: "." is fine, "x" fails,
// "?" says nothing; it returns the verdict after each: "-" none, "u" up, "s" suspect,
// "d" down.
func see(t *testing.T, m *Mind, now *time.Duration, attempts string) string {
	t.Helper()
	var got []byte
	for _, sign := range attempts {
		*now += 5 * time.Second
		was, _ := m.Verdict()
		changed := m.See(map[rune]model.Attempt{'.': fine, 'x': fails, '?': nothing}[sign], *now)
		is, why := m.Verdict()
		if changed != (was != is) {
			t.Errorf("%v after %v: changed is %v", is, was, changed)
		}
		if (why != model.Fine) != (is == model.Suspect || is == model.Down) {
			t.Errorf("%v because of %v", is, why)
		}
		got = append(got, "-usd"[is])
	}
	return string(got)
}

// TestMind has each row of the table at Mind.See, with fall 3 and rise 3 unless it says
// otherwise.
func TestMind(t *testing.T) {
	for _, c := range []struct {
		name       string
		fall, rise int
		attempts   string
		want       string
	}{
		{"what says nothing is not counted", 0, 0, "?.?.?.?x?x?xx?", "-----uussssddd"},
		{"none, rise in a row: up", 0, 0, "...", "--u"},
		{"none, fall in a row: down", 0, 0, "xxx", "--d"},
		{"none, a full round of both: suspect", 0, 0, ".x.", "--s"},
		{"none, the greater of both is a full round", 2, 5, ".x.x.", "----s"},
		{"none, fall 1", 1, 3, "x", "d"},
		{"none, rise 1", 3, 1, ".", "u"},
		{"up, the first failure: suspect", 0, 0, "...x", "--us"},
		{"up, fall 1: down at once", 1, 3, "...x", "--ud"},
		{"suspect, fall in a row: down", 0, 0, "...xxx", "--ussd"},
		{"suspect, failures not in a row: suspect", 0, 0, "...xx.xx.xx", "--ussssssss"},
		{"suspect, rise in a row: up", 0, 0, "...x...", "--usssu"},
		{"suspect, fewer than rise: suspect", 0, 0, "...x..x", "--ussss"},
		{"down, rise in a row: up", 0, 0, "xxx...", "--dddu"},
		{"down, fewer than rise: down", 0, 0, "xxx..x..", "--dddddd"},
		{"down, fails: down", 0, 0, "xxxxx", "--ddd"},
		{"up, fine: up", 0, 0, ".....", "--uuu"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now time.Duration
			if got := see(t, NewMind(model.Check{Fall: c.fall, Rise: c.rise}), &now, c.attempts); got != c.want {
				t.Errorf("%s is %s, wanted %s", c.attempts, got, c.want)
			}
		})
	}
}

// TestRecoveryTakesLongerEachTime for a target that goes down as soon as it is up.
func TestRecoveryTakesLongerEachTime(t *testing.T) {
	m := NewMind(model.Check{Fall: 1, Rise: 1})
	now := time.Duration(0)
	step := func(a model.Attempt) { now += time.Second; m.See(a, now) }
	down := func() time.Duration {
		step(fails)
		began := now
		for v, _ := m.Verdict(); v != model.Up; v, _ = m.Verdict() {
			step(fine)
		}
		return now - began
	}
	step(fine)
	for i, seconds := range []int{1, 1, 10, 20, 40, 80, 160, 320, 600, 600} {
		if got, want := down(), time.Duration(seconds)*time.Second; got != want {
			t.Errorf("the %d. time it was down for %v, wanted %v", i+1, got, want)
		}
	}
	now += Calm - 2*time.Second
	if got := down(); got != longestHold {
		t.Errorf("after just less than %v up it was down for %v", Calm, got)
	}
	now += Calm
	if got := down(); got != time.Second {
		t.Errorf("after %v up it was down for %v", Calm, got)
	}
}

// TestSuspicionsDoNotDelayTheReturnFromDown: a target that loses an answer now and then
// is not kept away when it was down once.
func TestSuspicionsDoNotDelayTheReturnFromDown(t *testing.T) {
	m, now := NewMind(model.Check{}), time.Duration(0)
	see(t, m, &now, "...")
	for range 20 { // each held longer
		see(t, m, &now, "x")
		for v, _ := m.Verdict(); v != model.Up; v, _ = m.Verdict() {
			see(t, m, &now, ".")
		}
	}
	if got := see(t, m, &now, "xxx..."); got != "ssdddu" {
		t.Errorf("after 20 suspicions xxx... is %s", got)
	}
	before := now
	see(t, m, &now, "x")
	for v, _ := m.Verdict(); v != model.Up; v, _ = m.Verdict() {
		see(t, m, &now, ".")
	}
	if held := now - before; held < longestHold || held > longestHold+10*time.Second {
		t.Errorf("the 22. suspicion was held for %v, wanted %v", held, longestHold)
	}
}

// TestGoingDownByWayOfSuspectIsCounted, too.
func TestGoingDownByWayOfSuspectIsCounted(t *testing.T) {
	m, now := NewMind(model.Check{}), time.Duration(0)
	see(t, m, &now, "...")
	for i, want := range []int{15, 15, 15, 20, 40, 80} { // seconds; 15 is three successes
		see(t, m, &now, "xxx")
		began := now
		for v, _ := m.Verdict(); v != model.Up; v, _ = m.Verdict() {
			see(t, m, &now, ".")
		}
		if held := now - began; held != time.Duration(want)*time.Second {
			t.Errorf("the %d. time it was down for %v, wanted %d s", i+1, held, want)
		}
	}
}

// TestTheLastFaultIsTheReason, also when a verdict was made by another before.
func TestTheLastFaultIsTheReason(t *testing.T) {
	m := NewMind(model.Check{Fall: 2, Rise: 1})
	for i, a := range []model.Attempt{fine, {Reason: model.NoAnswer}, {Reason: model.Refused}, {Reason: model.NoRoute}} {
		m.See(a, time.Duration(i)*time.Second)
	}
	if v, why := m.Verdict(); v != model.Down || why != model.Refused {
		t.Errorf("%v because of %v", v, why)
	}
}
