package monitor

import (
	"iter"
	"time"

	"signpost/internal/model"
)

// sink takes what is followed for a Monitor.
type sink struct{ *Monitor }

// Load is store.Sink's.
func (s sink) Load(rev int64, _ uint64, all iter.Seq2[model.Change, error]) error {
	w, err := readWhole(s.Site, func(yield func(model.Change, error) bool) {
		for c, err := range all {
			s.beat(c)
			if !yield(c, err) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.book.loaded {
		close(s.loaded)
	}
	s.book.load(w, rev)
	s.arrange()
	return nil
}

// Next is store.Sink's.
func (s sink) Next(_ int64, changes []model.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		s.beat(c)
		s.book.take(c)
	}
	s.arrange()
}

// Confirm is store.Sink's.
func (s sink) Confirm(at time.Time) {
	s.beats.prove(s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh = at
}

// Trouble is store.Sink's.
func (s sink) Trouble(what string, err error) {
	s.metrics.troubles.WithLabelValues(what).Inc()
	s.Log.Warn("following etcd", "trouble", what, "error", err)
}

func (s sink) beat(c model.Change) {
	if c.Key.Kind == model.BeatKey && c.Beat != nil {
		s.beats.saw(Endpoint{Host{c.Key.Zone, c.Key.Name}, c.Key.Endpoint}, c.Beat.Generation, c.ModRevision, s.now())
	}
}
