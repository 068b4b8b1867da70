package monitor

import (
	"context"
	"errors"
	"time"

	"signpost/internal/health"
	"signpost/internal/model"
	"signpost/internal/store"
)

// askAgain is after what time etcd is asked again for what it has refused us.
const askAgain = 10 * time.Second

// live shows the site's sign of life whenever nobody else does, until ctx ends.
func (m *Monitor) live(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-m.loaded:
	}
	for ctx.Err() == nil {
		duty, err := m.Store.StandBy(ctx, m.Site, m.waits)
		if err == nil {
			m.onDuty(ctx, duty)
			continue
		}
		if ctx.Err() == nil {
			m.Log.Error("no sign of life can be given", "site", m.Site, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(askAgain):
		}
	}
}

// waits is told whose the site's sign of life is. As long as it is another's we do not
// check.
func (m *Monitor) waits(other *model.CheckerLife, err error) {
	m.mu.Lock()
	end := func() {}
	switch {
	case err != nil:
		m.Log.Warn("no sign of life can be given yet", "site", m.Site, "error", err)
	case other != nil && other.Holder != m.holder: // ours may outlive its loss a little
		if other.Holder != m.other {
			m.Log.Info("standing by: another monitor checks for this site", "site", m.Site, "since", other.StartTime)
		}
		end, m.other = m.rest(), other.Holder
	}
	m.mu.Unlock()
	end()
}

// onDuty checks for the site while its sign of life is ours. When that is lost nothing is
// written any more; what was found out is kept until another shows his.
func (m *Monitor) onDuty(ctx context.Context, duty *store.Duty) {
	m.mu.Lock()
	m.duty, m.holder, m.other = duty, duty.Holder(), ""
	if m.rounds == nil {
		m.begin(ctx)
		m.Log.Info("checking", "site", m.Site, "targets", len(m.book.targets))
	}
	m.book.votesIn(duty.Term())
	m.mu.Unlock()
	m.wake()
	<-duty.Context().Done()
	if ctx.Err() == nil {
		m.Log.Warn("the sign of life has ended: nothing is written", "why", context.Cause(duty.Context()))
	}
	m.mu.Lock()
	m.duty = nil
	m.mu.Unlock()
	duty.Release()
}

// show says with the sign of life how it is with us.
func (m *Monitor) show(ctx context.Context) {
	m.mu.Lock()
	duty, doubt, targets := m.duty, m.doubt != health.NoDoubt, len(m.book.targets)
	m.mu.Unlock()
	if duty == nil {
		return
	}
	if err := duty.Say(ctx, doubt, targets); err != nil && ctx.Err() == nil {
		m.Log.Debug("sign of life not renewed", "error", err)
	}
}

// Errors of Ready.
var (
	errNotSeen   = errors.New("what is to be checked was not seen yet, or not of late")
	errNoDuty    = errors.New("there is neither a sign of life of ours nor of another monitor of this site")
	errNotCounts = errors.New("the checker is not registered yet: a full first round comes before, and nothing is written while frozen or in doubt")
)

// stale is how old the last proof may be that what we hold is etcd's.
const stale = 15 * time.Second

// Ready says why this monitor does not do what it is for: neither checking, and counted,
// nor standing by.
func (m *Monitor) Ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.book.loaded || time.Since(m.fresh) > stale:
		return errNotSeen
	case m.other != "":
		return nil
	case m.duty == nil:
		return errNoDuty
	case m.book.checker == nil:
		return errNotCounts
	}
	return nil
}
