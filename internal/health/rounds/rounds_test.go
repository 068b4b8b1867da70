package rounds

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"signpost/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world runs rounds in a bubble and counts what they do.
type world struct {
	*Rounds[string]
	mu      sync.Mutex
	tried   map[string]int
	flying  int
	most    int // at one time
	reports map[string][]time.Duration
	begin   time.Time
	stop    context.CancelFunc
	ended   chan struct{}
}

// start begins rounds with chance from a seed that is printed.
func start(t *testing.T, r *Rounds[string]) *world {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r.Float64 = rand.New(rand.NewPCG(seed, 0)).Float64
	w := &world{Rounds: r, tried: map[string]int{}, reports: map[string][]time.Duration{}, begin: time.Now(), ended: make(chan struct{})}
	r.Report = func(id string, _ model.Attempt) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.reports[id] = append(w.reports[id], time.Since(w.begin))
	}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { defer close(w.ended); r.Run(ctx) }()
	return w
}

// tries and came are how often a target was tried, and when that was reported.
func (w *world) tries(id string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tried[id]
}

func (w *world) came(id string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reports[id])
}

func (w *world) end() { w.stop(); <-w.ended }

// target is one whose attempts take a while.
func (w *world) target(id, owner, key string, every, takes time.Duration) Target[string] {
	return Target[string]{ID: id, Owner: owner, Key: key, Every: every, Try: func(ctx context.Context) model.Attempt {
		w.mu.Lock()
		w.tried[id]++
		w.flying++
		w.most = max(w.most, w.flying)
		w.mu.Unlock()
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
		w.mu.Lock()
		w.flying--
		w.mu.Unlock()
		return model.Attempt{Took: takes}
	}}
}

func TestEveryTargetIsTriedInItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &Rounds[string]{})
		var all []Target[string]
		for i := range 100 {
			all = append(all, w.target(fmt.Sprint("fast", i), "o", "", time.Second, 100*time.Millisecond), w.target(fmt.Sprint("slow", i), "o", "", time.Minute, 2*time.Second))
		}
		w.Set(all, nil)
		time.Sleep(10 * time.Minute)
		w.end()
		for i := range 100 {
			for kind, every := range map[string]time.Duration{"fast": time.Second, "slow": time.Minute} {
				came := w.came(fmt.Sprint(kind, i))
				last := time.Duration(0)
				for _, at := range append(came, 10*time.Minute) {
					if at-last > every*11/10+2100*time.Millisecond {
						t.Fatalf("%s%d: nothing from %v to %v", kind, i, last, at)
					}
					last = at
				}
				if got, want := float64(len(came)), 10*time.Minute.Seconds()/every.Seconds(); got < 0.9*want-1 || got > want/0.9+1 {
					t.Errorf("%s%d was tried %v times, wanted %v", kind, i, got, want)
				}
			}
		}
		if w.most > 60 {
			t.Errorf("%d attempts were made at one time: they are not spread", w.most)
		}
	})
}

// TestTenThousandTargets is ten seconds of what one checker may have to do when all is
// well, and when nothing answers within two seconds.
func TestTenThousandTargets(t *testing.T) {
	for takes, most := range map[time.Duration]int{20 * time.Millisecond: 150, 2 * time.Second: DefaultAtOnce} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, &Rounds[string]{})
			all := make([]Target[string], 10000)
			for i := range all {
				all[i] = w.target(fmt.Sprint(i), fmt.Sprint("owner", i%100), "", 5*time.Second, takes)
			}
			w.Set(all, nil)
			time.Sleep(10 * time.Second)
			w.end()
			attempts := 0
			for _, n := range w.tried {
				attempts += n
			}
			if len(w.tried) != len(all) || attempts < 19000 || attempts > 21500 {
				t.Errorf("%v each: %d targets were tried %d times in 10 s, wanted about 20000", takes, len(w.tried), attempts)
			}
			if w.most > most {
				t.Errorf("%v each: %d attempts at one time, wanted at most %d", takes, w.most, most)
			}
		})
	}
}

func TestNoMoreAtOnceThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &Rounds[string]{AtOnce: 7})
		var all []Target[string]
		for i := range 50 {
			all = append(all, w.target(fmt.Sprint(i), "o", "", time.Second, 500*time.Millisecond))
		}
		w.Set(all, nil)
		time.Sleep(time.Minute)
		w.end()
		if w.most != 7 {
			t.Errorf("%d at one time", w.most)
		}
		for i := range 50 {
			if n := w.tries(fmt.Sprint(i)); n < 12 {
				t.Errorf("target %d was tried %d times: the others took its turn", i, n)
			}
		}
	})
}

func TestABudgetSlowsItsOwnerOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &Rounds[string]{Budget: 10})
		var all []Target[string]
		for i := range 100 {
			all = append(all, w.target(fmt.Sprint("greedy", i), "greedy", "", time.Second, 0))
		}
		all = append(all, w.target("modest", "modest", "", time.Second, 0))
		w.Set(all, nil)
		time.Sleep(100 * time.Second)
		w.end()
		greedy, least := 0, 1000
		for i := range 100 {
			n := w.tries(fmt.Sprint("greedy", i))
			greedy, least = greedy+n, min(least, n)
		}
		if greedy < 950 || greedy > 1020 {
			t.Errorf("%d attempts in 100 s with a budget of 10 a second", greedy)
		}
		if least < 7 {
			t.Errorf("one of them was tried %d times only, the mean is 10", least)
		}
		if n := w.tries("modest"); n < 90 {
			t.Errorf("another owner's was tried %d times in 100 s", n)
		}
	})
}

func TestWhatIsTheSameIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &Rounds[string]{})
		w.Set([]Target[string]{w.target("a", "o", "key", time.Second, 0), w.target("b", "p", "key", time.Second, 0), w.target("c", "o", "other", time.Second, 0)}, nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if w.tries("b") != 0 || w.tries("a") == 0 || len(w.came("a")) != w.tries("a") || len(w.came("b")) != w.tries("a") {
			t.Errorf("tried %d, reported %d and %d", w.tries("a"), len(w.came("a")), len(w.came("b")))
		}
		before := len(w.came("a"))
		w.Set(nil, []string{"a"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(w.came("b")); got < before+8 || len(w.came("a")) != before {
			t.Errorf("with one gone: %d for the one that is left, %d more for it", got, len(w.came("a"))-before)
		}
		before = w.tries("a")
		w.Set(nil, []string{"b"})
		time.Sleep(10 * time.Second)
		w.end()
		if w.tries("a") != before || len(w.byKey) != 1 || len(w.budgets) != 1 || len(w.due) != 1 {
			t.Errorf("with both gone: %d more; %d keys, %d budgets, %d turns", w.tries("a")-before, len(w.byKey), len(w.budgets), len(w.due))
		}
	})
}

// TestWhatWasBegunBeforeAReplacementIsNotReportedForIt, whether it has a key or not.
func TestWhatWasBegunBeforeAReplacementIsNotReportedForIt(t *testing.T) {
	for _, key := range []string{"", "key"} {
		synctest.Test(t, func(t *testing.T) {
			w := start(t, &Rounds[string]{})
			old := w.target("a", "o", key, 10*time.Second, 5*time.Second)
			w.Set([]Target[string]{old, w.target("b", "o", key, 10*time.Second, 5*time.Second)}, nil)
			for synctest.Wait(); w.tries("a") == 0; synctest.Wait() {
				time.Sleep(time.Second)
			}
			w.Set([]Target[string]{w.target("a", "o", key, 10*time.Second, 5*time.Second)}, nil)
			for synctest.Wait(); len(w.came("b")) == 0; synctest.Wait() {
				time.Sleep(time.Second)
			}
			first := w.came("b")[0]
			for synctest.Wait(); len(w.came("a")) == 0; synctest.Wait() {
				time.Sleep(time.Second)
			}
			if key != "" && w.came("a")[0] <= first {
				t.Errorf("it was reported at %v, with what was begun before", w.came("a")[0])
			}
			if n := w.tries("a"); n < 2 {
				t.Errorf("key %q: reported after %d attempts", key, n)
			}
			w.end()
		})
	}
}

// TestWhatIsDroppedWhileUnderWayIsNotTriedAgain, and leaves nothing behind.
func TestWhatIsDroppedWhileUnderWayIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &Rounds[string]{})
		w.Set([]Target[string]{w.target("a", "o", "key", 10*time.Second, 5*time.Second)}, nil)
		for synctest.Wait(); w.tries("a") == 0; synctest.Wait() {
			time.Sleep(time.Second)
		}
		w.Set(nil, []string{"a", "unknown"})
		time.Sleep(time.Minute)
		w.end()
		if w.tries("a") != 1 || len(w.came("a")) != 0 || len(w.due)+len(w.byID)+len(w.byKey)+len(w.budgets) != 0 {
			t.Errorf("tried %d times, reported %d times; %d turns, %d targets, %d keys, %d budgets are left",
				w.tries("a"), len(w.came("a")), len(w.due), len(w.byID), len(w.byKey), len(w.budgets))
		}
	})
}

func TestRunWaitsForWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &Rounds[string]{})
		w.Set([]Target[string]{w.target("a", "o", "", time.Second, time.Hour)}, nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := w.tries("a"); n != 1 {
			t.Fatalf("%d attempts were begun", n)
		}
		w.end()
		if w.flying != 0 || len(w.reports) != 0 {
			t.Errorf("%d are under way after the end, %d reports", w.flying, len(w.reports))
		}
	})
}
