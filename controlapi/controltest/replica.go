package controltest

import (
	"iter"
	"sync"
	"testing"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// replica is a name server's view.
type replica struct {
	t     *testing.T
	mu    sync.Mutex
	moved *sync.Cond
	view  *zone.View
	held  bool // the guard has ever held a zone
}

func (s *Server) Replica(t *testing.T) *replica {
	r := &replica{t: t}
	r.moved = sync.NewCond(&r.mu)
	var following sync.WaitGroup
	following.Go(func() { _ = s.Store.Follow(t.Context(), r, store.FollowOptions{}) }) // it returns ctx's error only
	t.Cleanup(following.Wait)
	return r
}

func (r *replica) take(v *zone.View, err error) error {
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.view, r.held = v, r.held || len(v.Held()) > 0
	r.moved.Broadcast()
	return nil
}

// At waits for a revision and gives the view and whether the guard ever held.
func (r *replica) At(rev int64) (*zone.View, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.view == nil || r.view.Revision() < rev {
		r.moved.Wait()
	}
	return r.view, r.held
}

func (r *replica) Load(rev int64, _ uint64, all iter.Seq2[model.Change, error]) error {
	return r.take(zone.Build(rev, r.view, all))
}

func (r *replica) Confirm(time.Time) {}

func (r *replica) Trouble(what string, err error) { r.t.Log(what, err) }

func (r *replica) Next(rev int64, changes []model.Change) {
	_ = r.take(r.view.Apply(rev, changes), nil)
}
