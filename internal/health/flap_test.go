package health

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"signpost/internal/model"
)

// What docs/failover.md says of one address to one checker, within ten minutes: holds are
// 0, 0, 10, 20, 40, 80, 160 and 320 s, so that it turns down for the eighth time at the
// earliest 310 s after the first, and for the ninth 630 s.
const (
	flapWindow = 10 * time.Minute
	mostTurns  = 8
)

// flaps is what became of a target that flaps.
type flaps struct {
	downs, suspects, changes []time.Duration
}

// most is how many of some times are within one window.
func most(times []time.Duration, window time.Duration) (n int) {
	for i, from := range times {
		j, _ := slices.BinarySearch(times, from+window)
		n = max(n, j-i)
	}
	return n
}

func (f *flaps) see(m *Mind, a model.Attempt, now time.Duration) {
	was, _ := m.Verdict()
	if !m.See(a, now) || was == model.NoVerdict { // the first is no turn
		return
	}
	f.changes = append(f.changes, now)
	switch is, _ := m.Verdict(); {
	case is == model.Down:
		f.downs = append(f.downs, now)
	case is == model.Suspect && was == model.Up:
		f.suspects = append(f.suspects, now)
	}
}

func (f *flaps) check(t interface{ Fatalf(string, ...any) }) {
	if n := most(f.downs, flapWindow); n > mostTurns {
		t.Fatalf("it turned down %d times in %v, at most %d: %v", n, flapWindow, mostTurns, f.downs)
	}
	// A turn down may come by way of suspect, and suspicions that pass are held likewise.
	if n := most(f.suspects, flapWindow); n > 2*mostTurns {
		t.Fatalf("it was suspected %d times in %v, at most %d: %v", n, flapWindow, 2*mostTurns, f.suspects)
	}
	if n := most(f.changes, flapWindow); n > 5*mostTurns {
		t.Fatalf("%d votes in %v, at most %d", n, flapWindow, 5*mostTurns)
	}
}

// TestWhatFlapsChangesSeldom however it flaps, also when it knows what is thought of it
// and turns at once against that.
func TestWhatFlapsChangesSeldom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := model.Check{Fall: rapid.IntRange(1, 5).Draw(t, "fall"), Rise: rapid.IntRange(1, 5).Draw(t, "rise")}
		every := rapid.SampledFrom([]time.Duration{time.Second, 2 * time.Second, 5 * time.Second}).Draw(t, "interval")
		plan := rapid.SliceOfN(rapid.SampledFrom([]string{"against", "suspicion", "fine", "fails", "either"}), 1, 20).Draw(t, "plan")
		chance := rapid.SliceOfN(rapid.Bool(), 17, 17).Draw(t, "chance")
		m, f, now := NewMind(c), flaps{}, time.Duration(0)
		for n := 0; now < 45*time.Minute; n++ {
			now += every - every*time.Duration(n%7)/70 // jitter
			is, _ := m.Verdict()
			a := fine
			switch plan[int(now/(10*time.Second))%len(plan)] {
			case "against":
				a = against(is == model.Up || is == model.Suspect)
			case "suspicion":
				a = against(is == model.Up)
			case "fails":
				a = fails
			case "either":
				a = against(chance[n%len(chance)])
			}
			f.see(m, a, now)
		}
		f.check(t)
	})
}

func against(up bool) model.Attempt {
	if up {
		return fails
	}
	return fine
}

// TestFlappingInTime is the matrix of periods and duties, for the default check and the
// fastest: an hour of it.
func TestFlappingInTime(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 5 * time.Second} {
		for _, period := range []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 3 * time.Minute} {
			for _, percent := range []int64{10, 50, 90} { // of the period it is up
				m, f := NewMind(model.Check{}), flaps{}
				for now := every; now < time.Hour; now += every {
					f.see(m, against(int64(now%period) >= int64(period)*percent/100), now)
				}
				f.check(t)
				late := f.changes[min(len(f.changes), searched(f.changes, 30*time.Minute)):]
				if n := most(late, flapWindow); n > 6 {
					t.Errorf("every %v, up %d %% of %v: after half an hour there are still %d votes in %v", every, percent, period, n, flapWindow)
				}
			}
		}
	}
}

func searched(times []time.Duration, at time.Duration) int {
	i, _ := slices.BinarySearch(times, at)
	return i
}

// TestSuspicionsDoNotKeepOutagesInMind: a target that loses an answer every quarter of an
// hour and is restarted once a day comes back as soon as it has risen, each day.
func TestSuspicionsDoNotKeepOutagesInMind(t *testing.T) {
	m, now := NewMind(model.Check{}), time.Duration(0)
	see(t, m, &now, "...")
	for day := range 10 {
		if got := see(t, m, &now, "xxx..."); got[3:] != "ddu" {
			t.Fatalf("on day %d xxx... is %s", day, got)
		}
		for range 24 * 4 {
			see(t, m, &now, "x"+strings.Repeat(".", 179))
		}
	}
}

// TestWhatFlapsTogetherIsToldSeldom, too: a checker that doubts itself again and again, as
// all that it tries comes and goes, tells no more than of each by itself.
func TestWhatFlapsTogetherIsToldSeldom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sites := []string{"a", "b", "c"}[:rapid.IntRange(1, 3).Draw(t, "sites")]
		c := newCourt(sites...)
		told := map[string][]time.Duration{}
		plan := rapid.SliceOfN(rapid.SliceOfN(rapid.Bool(), len(sites), len(sites)), 1, 12).Draw(t, "plan")
		length := rapid.IntRange(1, 20).Draw(t, "length")
		for n := 0; c.now < 40*time.Minute; n++ {
			c.now += 5 * time.Second
			fail := plan[n/length%len(plan)]
			for i, site := range sites {
				for k := range 10 {
					id := site + string(rune('0'+k))
					for _, ch := range c.See(id, against(fail[i]), c.now) {
						if told[ch.Target] = append(told[ch.Target], c.now); ch.Verdict == model.Down && c.Doubt() == InAll {
							t.Fatalf("in doubt it tells that %s is down", ch.Target)
						}
					}
				}
			}
		}
		for id, times := range told {
			if n := most(times, flapWindow); n > 1+5*mostTurns {
				t.Fatalf("of %s it told %d times in %v", id, n, flapWindow)
			}
		}
	})
}
