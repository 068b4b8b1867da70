package store

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"signpost/internal/model"
)

// epoch is one history of etcd: the first, or one that a restore began.
type epoch struct {
	began  time.Time // nobody was told anything of it before
	from   int       // the epoch that it shares the states up to fork with
	fork   int64
	base   int64   // the revision that it began with: fork, or what that was raised to
	states []state // by revision
}

// state is what etcd holds from one revision on. keys says for each key under the
// prefix its mod revision and value.
type state struct {
	rev    int64
	acked  time.Time // nobody knew of it for certain before
	marked bool      // it was made as the control service makes changes
	keys   map[string]string
}

func entry(mod int64, value string) string { return fmt.Sprintf("%d %q", mod, value) }

// at is the state at a revision, nil when there was none yet.
func (e *epoch) at(rev int64) map[string]string {
	i := e.index(rev)
	if i < 0 {
		return nil
	}
	return e.states[i].keys
}

func (e *epoch) index(rev int64) int {
	i, _ := slices.BinarySearchFunc(e.states, rev+1, func(s state, r int64) int { return int(s.rev - r) })
	return i - 1
}

func (e *epoch) head() state { return e.states[len(e.states)-1] }

// followed is what of a state Follow tells.
func followed(all map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range all {
		if _, known, err := snapshotKeys.parse(k); known && err == nil && strings.HasPrefix(k, "dns/") {
			out[k] = v
		}
	}
	return out
}

// copied is what of a state a control service keeps.
func copied(all map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range all {
		if !strings.HasPrefix(k, "audit/") && !strings.HasPrefix(k, "ctl/request/") && !strings.HasPrefix(k, "live/") && !strings.HasPrefix(k, "beat/") {
			out[k] = v
		}
	}
	return out
}

// watcherModel says whether what one follower showed can be true. A follower is in
// one of the epochs at a time and goes on to a later one only by reading the whole.
type watcherModel struct {
	epochs   *[]*epoch
	view     func(map[string]string) map[string]string
	possible []int // epochs of which the last state can be
	rev      int64
	state    map[string]string
}

// matching is the epochs in which the state was this at the revision.
func (m *watcherModel) matching(rev int64, state map[string]string) (out []int) {
	for i, e := range *m.epochs {
		if e.head().rev >= rev && maps.Equal(m.view(e.at(rev)), state) {
			out = append(out, i)
		}
	}
	return out
}

// shared takes account of restores that lost nothing of what was followed.
func (m *watcherModel) shared() {
	for i, e := range *m.epochs {
		if i > 0 && m.sharedWith(e) && !slices.Contains(m.possible, i) {
			m.possible = append(m.possible, i)
		}
	}
}

// sharedWith reports whether all that was seen is of an epoch too: of what was before the
// backup that it began with, or of another one that began with the same backup, raised alike.
func (m *watcherModel) sharedWith(e *epoch) bool {
	return m.rev <= e.fork && slices.Contains(m.possible, e.from) || slices.ContainsFunc(m.possible, func(i int) bool {
		o := (*m.epochs)[i]
		return i > 0 && m.rev <= min(e.base, o.base) && e.from == o.from && e.fork == o.fork && maps.Equal(m.view(e.at(m.rev)), m.state)
	})
}

// load is the whole state; nothing of it may be of an epoch that was over.
func (m *watcherModel) load(rev int64, state map[string]string) error {
	m.shared()
	can := m.matching(rev, state)
	switch {
	case len(can) == 0:
		return fmt.Errorf("etcd never was this at revision %d: %v", rev, state)
	case len(m.possible) > 0 && slices.Max(can) < m.possible[0]:
		return fmt.Errorf("the state at revision %d is of epoch %v, after one of epoch %v", rev, can, m.possible)
	case len(m.possible) > 0 && rev < m.rev && slices.Max(can) == m.possible[0]:
		return fmt.Errorf("revision %d after %d, and no restore", rev, m.rev)
	}
	m.possible, m.rev, m.state = can, rev, state
	return nil
}

// next is the state one change later.
func (m *watcherModel) next(rev int64, state map[string]string) error {
	if rev <= m.rev {
		return fmt.Errorf("revision %d came after %d", rev, m.rev)
	}
	m.shared()
	can := slices.DeleteFunc(m.matching(rev, state), func(i int) bool {
		// Nothing between the two may have changed what is followed.
		e := (*m.epochs)[i]
		before := e.index(rev) - 1
		return !slices.Contains(m.possible, i) || before < 0 || e.states[before].rev > m.rev && !maps.Equal(m.view(e.states[before].keys), m.state)
	})
	if len(can) == 0 {
		return fmt.Errorf("revision %d after %d of epoch %v: etcd never was this: %v", rev, m.rev, m.possible, state)
	}
	m.possible, m.rev, m.state = can, rev, state
	return nil
}

// confirm: the state was etcd's at that moment, or has come since.
func (m *watcherModel) confirm(at time.Time) error {
	m.shared()
	first := 0
	for i, e := range *m.epochs {
		if !e.began.After(at) {
			first = i
		}
	}
	for i := first; i < len(*m.epochs); i++ {
		if !slices.Contains(m.possible, i) {
			continue
		}
		for _, s := range slices.Backward((*m.epochs)[i].states) {
			if maps.Equal(m.view(s.keys), m.state) {
				return nil
			}
			if s.marked && s.acked.Before(at) {
				break // this one should be there, and is not
			}
		}
	}
	return fmt.Errorf("confirmed at revision %d of epoch %v, but %v ago there was more", m.rev, m.possible, time.Since(at))
}

// watcherSink is a Sink that keeps what it is told for the model.
type watcherSink struct {
	mu       sync.Mutex
	rev      int64
	cluster  uint64
	held     map[string]model.Change
	told     []telling
	troubles []string
	onLoad   func() // called once at the first key of a Load
}

// telling is one call of a Sink's.
type telling struct {
	what  string
	rev   int64
	state map[string]string
	at    time.Time
}

func (s *watcherSink) Load(rev int64, cluster uint64, all iter.Seq2[model.Change, error]) error {
	held := map[string]model.Change{}
	for c, err := range all {
		if err != nil {
			return err
		}
		s.mu.Lock()
		hook := s.onLoad
		s.onLoad = nil
		s.mu.Unlock()
		if hook != nil {
			hook()
		}
		held[snapshotKeys.of(c.Key)] = c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.rev, s.cluster = held, rev, cluster
	s.told = append(s.told, telling{what: "load", rev: rev, state: s.stateLocked()})
	return nil
}

func (s *watcherSink) Next(rev int64, changes []model.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if key := snapshotKeys.of(c.Key); c.Deleted {
			delete(s.held, key)
		} else {
			s.held[key] = c
		}
	}
	s.rev = rev
	s.told = append(s.told, telling{what: "next", rev: rev, state: s.stateLocked()})
}

func (s *watcherSink) Confirm(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, telling{what: "confirm", at: at})
}

func (s *watcherSink) Trouble(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.troubles = append(s.troubles, fmt.Sprintf("%s: %v", what, err))
}

func (s *watcherSink) stateLocked() map[string]string {
	out := map[string]string{}
	for key, c := range s.held {
		out[key] = entry(c.ModRevision, string(c.Raw))
	}
	return out
}

// check puts what was told since before the model.
func (s *watcherSink) check(m *watcherModel) error {
	s.mu.Lock()
	told := s.told
	s.told = nil
	s.mu.Unlock()
	for _, t := range told {
		var err error
		switch t.what {
		case "load":
			err = m.load(t.rev, t.state)
		case "next":
			err = m.next(t.rev, t.state)
		case "confirm":
			err = m.confirm(t.at)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.what, err)
		}
	}
	return nil
}
