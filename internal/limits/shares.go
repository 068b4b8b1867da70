package limits

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrShare is why somebody had to give way.
var ErrShare = errors.New("others wait, too")

// Shares lets so many do something costly at a time; more wait, the first to come first.
// Whoever has done it for their share of time gives way when others wait. It is safe for
// concurrent use.
type Shares struct {
	places  chan struct{}
	share   time.Duration
	waiting atomic.Int64
}

// NewShares makes Shares of which nobody has one.
func NewShares(places int, share time.Duration) *Shares {
	return &Shares{places: make(chan struct{}, places), share: share}
}

// Wait waits for a place, to be ended with end. doing ends with the cause ErrShare when
// it is to be given up. Errors: that of ctx.
func (s *Shares) Wait(ctx context.Context) (doing context.Context, end func(), err error) {
	s.waiting.Add(1)
	select {
	case s.places <- struct{}{}:
		s.waiting.Add(-1)
	case <-ctx.Done():
		s.waiting.Add(-1)
		return nil, nil, ctx.Err()
	}
	doing, cancel := context.WithCancelCause(ctx)
	go s.giveWay(doing, cancel)
	return doing, func() { cancel(nil); <-s.places }, nil
}

func (s *Shares) giveWay(doing context.Context, cancel context.CancelCauseFunc) {
	for wait := s.share; ; wait = max(s.share/20, time.Millisecond) {
		select {
		case <-doing.Done():
			return
		case <-time.After(wait):
		}
		if s.waiting.Load() > 0 {
			cancel(ErrShare)
			return
		}
	}
}
