package agent

import (
	"context"
	"log/slog"
	"sync/atomic"
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
}

func (h *health) now() healthState { return healthState(h.state.Load()) }

// note takes one attempt into account and reports whether the mind has changed.
//
//	state     attempt                     becomes
//	unknown   success                     well
//	unknown   failure, count in a row     unwell
//	well      failure, count in a row     unwell
//	unwell    success, count in a row     well
func (h *health) note(fine bool) bool {
	was := h.now()
	if fine == (was == well) && was != unknown {
		h.row = 0
		return false
	}
	h.row++
	if h.row < h.count && !(was == unknown && fine) {
		return false
	}
	h.row = 0
	next := unwell
	if fine {
		next = well
	}
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
		if a.health.note(err == nil) {
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
