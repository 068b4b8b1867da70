package renewal

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/acme"
)

// desk is one in a bubble of time, and an authority that says what a test wants.
type desk struct {
	*Desk
	asked int
	says  Answer
	err   error
}

func newDesk(ctx context.Context) *desk { return &desk{Desk: New(ctx, time.Now)} }

func (d *desk) ask(ctx context.Context, id string) bool {
	return d.Ask(ctx, id, func(context.Context) (Answer, error) {
		d.asked++
		return d.says, d.err
	})
}

func away(until time.Time) error {
	return &acme.Failure{Why: acme.Unreachable, Until: until}
}

// After each answer the authority is left alone for a time, and then asked again.
func TestWhenItIsAskedAgain(t *testing.T) {
	for _, tt := range []struct {
		says  string
		again time.Duration
		err   error
		wait  time.Duration
	}{
		{"a time", 2 * time.Hour, nil, 2 * time.Hour},
		{"no time", 0, nil, 6 * time.Hour},
		{"at once", time.Second, nil, time.Minute},
		{"next year", 365 * 24 * time.Hour, nil, 24 * time.Hour},
		{"away", 0, away(time.Time{}), time.Minute},
		{"too much", 0, &acme.Failure{Why: acme.Limited}, time.Minute},
		{"unknown", 0, &acme.Failure{Why: acme.Refused}, 6 * time.Hour},
		{"our side is away", 0, errors.New("no majority"), 6 * time.Hour},
	} {
		t.Run(tt.says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t.Context())
				d.says, d.err = Answer{Changed: true, Again: tt.again}, tt.err
				if changed := d.ask(t.Context(), "one"); d.asked != 1 || changed != (tt.err == nil) {
					t.Errorf("asked %d times, changed %v", d.asked, changed)
				}
				time.Sleep(tt.wait - time.Second)
				if d.ask(t.Context(), "one") || d.asked != 1 {
					t.Error("it is asked again too soon")
				}
				time.Sleep(time.Second)
				if d.ask(t.Context(), "one"); d.asked != 2 {
					t.Error("it is not asked again when it is time")
				}
			})
		})
	}
}

// An authority that is away is asked about no certificate, less and less often; one answer
// ends that.
func TestAnAuthorityThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t.Context())
		d.err = away(time.Time{})
		for i, minutes := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360} {
			wait := time.Duration(minutes) * time.Minute
			d.ask(t.Context(), "one")
			d.ask(t.Context(), "two")
			if d.asked != i+1 {
				t.Fatalf("asked %d times, not %d", d.asked, i+1)
			}
			time.Sleep(wait - time.Second)
			if d.ask(t.Context(), "two"); d.asked != i+1 {
				t.Fatalf("it is asked within %v of the %d. time", wait, i+1)
			}
			time.Sleep(time.Second)
		}
		d.err = away(time.Now().Add(7 * time.Hour))
		d.ask(t.Context(), "one")
		time.Sleep(7*time.Hour - time.Second)
		was := d.asked
		if d.ask(t.Context(), "two"); d.asked != was {
			t.Error("it is asked before the time that it named")
		}
		time.Sleep(time.Second)
		d.err = nil
		d.ask(t.Context(), "one")
		d.err = away(time.Time{})
		d.ask(t.Context(), "two")
		time.Sleep(time.Minute)
		if d.ask(t.Context(), "two"); d.asked != was+3 {
			t.Errorf("after it was there it is left alone for longer than at first")
		}
	})
}

// Whoever asks at the same time waits for the same answer, not for long; who is gone does
// not end it.
func TestOneQuestionForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t.Context())
		var asked atomic.Int32
		slow := func(takes time.Duration) func(context.Context) (Answer, error) {
			return func(context.Context) (Answer, error) {
				asked.Add(1)
				time.Sleep(takes)
				return Answer{Changed: true, Again: time.Hour}, nil
			}
		}
		both := make(chan bool, 2)
		for range 2 {
			go func() { both <- d.Ask(t.Context(), "one", slow(2*time.Second)) }()
		}
		if a, b := <-both, <-both; !a || !b || asked.Load() != 1 {
			t.Errorf("%v, %v, asked %d times", a, b, asked.Load())
		}
		began := time.Now()
		if d.Ask(t.Context(), "two", slow(time.Minute)) || time.Since(began) != 3*time.Second {
			t.Errorf("who asks waits for %v", time.Since(began))
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if d.Ask(gone, "two", slow(0)) || asked.Load() != 2 {
			t.Errorf("asked %d times", asked.Load())
		}
		time.Sleep(time.Minute)
		if d.ask(t.Context(), "two"); d.asked != 0 {
			t.Error("the answer that came later is forgotten")
		}
		time.Sleep(time.Hour)
	})
}

func TestWhatWasSaidOtherwise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t.Context())
		d.Told("one", 2*time.Hour)
		if d.ask(t.Context(), "one"); d.asked != 0 {
			t.Error("it is asked what it has just said")
		}
		time.Sleep(2 * time.Hour)
		if d.ask(t.Context(), "one"); d.asked != 1 {
			t.Error("it is never asked again")
		}
		if d.Held("one") {
			t.Error("it is held from the beginning")
		}
		d.Hold("one")
		time.Sleep(24*time.Hour - time.Second)
		if !d.Held("one") || d.Held("two") {
			t.Error("it is not held for a day, or another is")
		}
		time.Sleep(time.Second)
		if d.Held("one") {
			t.Error("it is held for ever")
		}
	})
}

func TestNothingIsAskedAtTheEnd(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	d := newDesk(ctx)
	end()
	if d.ask(t.Context(), "one") || d.asked != 0 {
		t.Error("it is asked")
	}
}
