package monitor

import (
	"context"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
)

const (
	sayAtOnce   = 100 // votes in one call
	firstPause  = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// speak writes what etcd does not have yet, until ctx ends.
func (m *Monitor) speak(ctx context.Context) {
	pause := firstPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = m.sayOnce(ctx); err == nil {
				pause = firstPause
				continue
			}
			m.metrics.failed.Inc()
			m.Log.Debug("votes not written", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause, more = min(2*pause, longestWait), true
		}
	}
}

// sayOnce writes some of what is to be written, and when that is all, the registration.
// more is whether there may be more.
func (m *Monitor) sayOnce(ctx context.Context) (more bool, err error) {
	m.mu.Lock()
	duty := m.duty
	if duty == nil || duty.Context().Err() != nil {
		m.mu.Unlock()
		return false, nil
	}
	votes, removed := m.book.due(sayAtOnce, time.Now()), m.book.removed
	registers := len(votes) == 0 && m.book.mayRegister()
	m.mu.Unlock()
	switch {
	case removed:
		return m.renew(ctx, duty)
	case len(votes) > 0:
		return true, m.vote(ctx, duty, votes)
	case registers:
		return false, m.register(ctx, duty)
	}
	return false, nil
}

// renew begins a new term: an operator has removed the checker.
func (m *Monitor) renew(ctx context.Context, duty *store.Duty) (more bool, err error) {
	isNew, err := duty.NewTerm(ctx)
	if err != nil || !isNew {
		return false, err // what is registered after all will be seen
	}
	m.Log.Info("removed by an operator: voting anew, then registering again", "site", m.Site)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.book.votesIn(duty.Term())
	return true, nil
}

func (m *Monitor) vote(ctx context.Context, duty *store.Duty, votes []store.Ballot) error {
	stale, err := duty.Vote(ctx, votes)
	if err != nil {
		return err
	}
	old := make(map[Endpoint]bool, len(stale))
	for _, v := range stale {
		old[about(v)] = true
	}
	written := votes[:0]
	for _, v := range votes {
		if !old[about(v)] {
			m.metrics.votes.WithLabelValues(v.Vote.Verdict.String()).Inc()
			written = append(written, v)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.book.said(written)
	if len(stale) > 0 {
		return model.E(model.Aborted, "vote on", stale[0].Name.Text()).Because("its check is another by now")
	}
	return nil
}

func (m *Monitor) register(ctx context.Context, duty *store.Duty) error {
	if err := duty.Register(ctx, time.Now()); err != nil {
		return err
	}
	m.Log.Info("registered: from now on its votes count", "site", m.Site, "term", duty.Term())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.book.checker == nil {
		m.book.checker = &model.Checker{Site: m.Site, Term: duty.Term()}
	}
	return nil
}
