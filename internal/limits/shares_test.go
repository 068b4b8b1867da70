package limits

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Who keeps a place gives it to those who wait after a share of time, and not before; with
// nobody waiting they may go on.
func TestSharesAreGivenUpWhenOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShares(2, 5*time.Second)
		start := time.Now()
		var held []context.Context
		for range 2 {
			doing, end, err := s.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, doing)
			go func() { <-doing.Done(); end() }()
		}
		time.Sleep(time.Minute)
		for _, h := range held {
			if h.Err() != nil {
				t.Fatal("a place is given up for nobody")
			}
		}
		_, end, err := s.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start) - time.Minute; waited > time.Second {
			t.Errorf("a place is free after %v", waited)
		}
		end()
		for _, h := range held {
			if h.Err() != nil && !errors.Is(context.Cause(h), ErrShare) {
				t.Errorf("%v", context.Cause(h))
			}
		}
		one, free, err := s.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go s.Wait(t.Context())
		synctest.Wait()
		time.Sleep(4 * time.Second)
		if one.Err() != nil {
			t.Error("a place is given up before its share is over")
		}
		free()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		s.places <- struct{}{}
		if _, _, err := s.Wait(gone); err == nil || s.waiting.Load() > 1 {
			t.Errorf("%v, %d wait", err, s.waiting.Load())
		}
	})
}
