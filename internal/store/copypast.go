package store

import (
	"context"
	"sort"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	mostPast   = 64               // revisions that are kept of what was
	pastWanted = 30 * time.Second // they are kept for so long after KeepPast
	pastWithin = 100 * time.Millisecond
)

// past is what the copy was at its last revisions, kept while somebody asks for it. They
// share all that did not change.
type past struct {
	mu     sync.Mutex
	asked  time.Time
	worlds []*world // by revision
}

// wanted reports whether somebody has asked lately; if not, what was is forgotten.
func (p *past) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.asked) < pastWanted {
		return true
	}
	p.asked, p.worlds = time.Time{}, nil
	return false
}

// note takes what there is now; nil: it is not known, and what was may be of another
// history. It needs p.mu.
func (p *past) note(w *world) {
	switch {
	case w == nil || p.asked.IsZero():
		p.worlds = nil
		return
	case len(p.worlds) == mostPast:
		p.worlds = append(p.worlds[:0:0], p.worlds[mostPast/2:]...)
	}
	p.worlds = append(p.worlds, w)
}

// at is the state at a revision that has been reached; nil when it is not kept.
func (p *past) at(rev int64) *world {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := sort.Search(len(p.worlds), func(i int) bool { return p.worlds[i].rev > rev })
	if i == 0 {
		return nil
	}
	return p.worlds[i-1]
}

// set makes w what is known.
func (k *kept) set(w *world) {
	k.past.mu.Lock()
	defer k.past.mu.Unlock()
	k.past.note(w)
	k.now.Store(w)
}

// KeepPast has the copy keep its last revisions, for ReadAt and ReadPast soon.
func (s *Store) KeepPast() {
	k := s.copy.Load()
	if k == nil {
		return
	}
	k.past.mu.Lock()
	defer k.past.mu.Unlock()
	k.past.asked = time.Now()
	if w := k.now.Load(); w != nil && len(k.past.worlds) == 0 {
		k.past.worlds = []*world{w}
	}
}

// ReadPast is ReadAt, of what is in memory only; false: it is not.
func (s *Store) ReadPast(ctx context.Context, rev int64, look func(*Tx) error) (bool, error) {
	w := s.pastAt(ctx, rev)
	if w == nil {
		return false, nil
	}
	return true, look(s.readingAt(ctx, w, rev))
}

// pastAt is the state at a revision that there has been; nil when etcd must be asked for it.
func (s *Store) pastAt(ctx context.Context, rev int64) *world {
	k := s.copy.Load()
	if k == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pastWithin)
	defer cancel()
	if w, err := k.reach(ctx, rev); err != nil || w == nil {
		return nil
	}
	return k.past.at(rev)
}

func (s *Store) readingAt(ctx context.Context, w *world, rev int64) *Tx {
	tx := s.newTx(ctx, w)
	tx.looks, tx.rev = true, rev
	return tx
}

// byRevision is a response of a watch, one for each revision in it.
func byRevision(r clientv3.WatchResponse) []clientv3.WatchResponse {
	if len(r.Events) == 0 {
		return []clientv3.WatchResponse{r}
	}
	var out []clientv3.WatchResponse
	for events := r.Events; len(events) > 0; {
		n := 1
		for n < len(events) && events[n].Kv.ModRevision == events[0].Kv.ModRevision {
			n++
		}
		one := r
		one.Events = events[:n]
		out, events = append(out, one), events[n:]
	}
	return out
}
