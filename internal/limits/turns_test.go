package limits

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOneTurnAtATimeForEach(t *testing.T) {
	turns := NewTurns()
	end, err := turns.Wait(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := turns.Wait(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.Wait(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a second turn: %v", err)
	}
	end()
	var now, most atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			end, err := turns.Wait(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			now.Add(-1)
			end()
		})
	}
	wg.Wait()
	if most.Load() != 1 || len(turns.of) != 0 {
		t.Errorf("%d at a time, %d are remembered", most.Load(), len(turns.of))
	}
}
