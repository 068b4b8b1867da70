package agent

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	checker "signpost/internal/health"
)

// healthState is what a machine thinks of itself.
type healthState int32

const (
	unknown healthState = iota
	well
	unwell
)

type health struct {
	state   atomic.Int32
	changed chan struct{}
	count   int
	row     int // attempts in a row that speak against state
	ailed   checker.Turns
	turned  time.Duration // when the state last changed, since the start
}

func (h *health) now() healthState { return healthState(h.state.Load()) }

// note takes one attempt into account, made so long after the start, and reports whether
// the mind has changed.
//
//	state     attempt                                     becomes
//	unknown   success                                     well
//	unknown   failure, count in a row                     unwell
//	well      failure, count in a row                     unwell
//	unwell    success, count in a row, and held long      well
//	          enough
//
// One that flaps is held as checkers hold an endpoint: its drain would come and go, and the
// name with it, as often as its health.
func (h *health) note(fine bool, now time.Duration) bool {
	was := h.now()
	if fine == (was == well) && was != unknown {
		h.row = 0
		return false
	}
	h.row++
	if h.row < h.count && !(was == unknown && fine) {
		return false
	}
	next := unwell
	switch {
	case fine && was == unwell && now-h.turned < h.ailed.Hold():
		return false
	case fine:
		next = well
	case was == well:
		if now-h.turned >= checker.Calm {
			h.ailed = 0
		}
		h.ailed++
	}
	h.row, h.turned = 0, now
	h.state.Store(int32(next))
	select {
	case h.changed <- struct{}{}:
	default:
	}
	return true
}

// tryHealth tries until ctx ends.
func (a *Agent) tryHealth(ctx context.Context) {
	for {
		done := a.pulse.busy(trying)
		err := a.Health(ctx)
		done()
		if ctx.Err() != nil {
			return
		}
		if a.health.note(err == nil, time.Since(a.pulse.start)) {
			if err != nil {
				a.news.say(self, slog.LevelWarn, "not well", "error", err)
			} else {
				a.news.say(self, slog.LevelInfo, "well")
			}
		}
		if !rest(ctx, jittered(a.HealthEvery, 0.1, a.Draw())) {
			return
		}
	}
}
