package limits

import (
	"context"
	"sync"
)

// Turns lets each principal do one costly thing at a time; more of the same principal's
// wait. It holds nothing of principals who do nothing. It is safe for concurrent use.
type Turns struct {
	mu sync.Mutex
	of map[string]*turn
}

type turn struct {
	held  chan struct{}
	users int // that hold it or wait
}

// NewTurns makes Turns that nobody has.
func NewTurns() *Turns { return &Turns{of: map[string]*turn{}} }

// Wait waits for a turn, to be ended with end. Errors: that of ctx.
func (t *Turns) Wait(ctx context.Context, who string) (end func(), err error) {
	t.mu.Lock()
	one := t.of[who]
	if one == nil {
		one = &turn{held: make(chan struct{}, 1)}
		t.of[who] = one
	}
	one.users++
	t.mu.Unlock()
	select {
	case one.held <- struct{}{}:
		return func() { <-one.held; t.leave(who, one) }, nil
	case <-ctx.Done():
		t.leave(who, one)
		return nil, ctx.Err()
	}
}

func (t *Turns) leave(who string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.of, who)
	}
}
