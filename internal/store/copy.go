package store

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// kept is the state in the memory of a control service: every key that decisions
// rest on, as of one revision, followed from etcd. It is for deciding without asking
// etcd again and again; what is decided on it is compared when it is committed, and
// what is only answered waits until it has caught up (catchUp).
type kept struct {
	s       *Store
	backlog int64 // octets of changes that may wait while the whole is read
	// now is what there is, nil while it is not known. A *world never changes.
	now     atomic.Pointer[world]
	touched touches
	past    past
	recent  recent

	mu      sync.Mutex
	moved   chan struct{} // closed and made anew whenever now moves
	asking  *question     // the linearizable read that is under way
	waiting *question     // the next one, for those who came too late for it
	watch   watching      // what is followed now
	asked   time.Time     // when the watch was last asked for progress
}

// world is the state at one revision.
type world struct {
	rev     int64
	cluster uint64
	keys    *keptKeys
}

func newWorld(k keys, rev int64, cluster uint64) *world {
	return &world{rev, cluster, newKeptKeys(k.root)}
}

// span is what is kept: v1/check/, v1/ctl/ and v1/dns/, which stand together.
func (k *kept) span() (from, to string) { return k.s.keys.root + keptFrom, k.s.keys.root + keptTo }

const keptFrom, keptTo = "check/", "dns0" // the first after "dns/…"

// longestKept is the length that a keptKey has room for; no key of ours is near it.
const longestKept = 0xffff

// holds reports whether a key is kept. The results of calls are not: there are many,
// they are looked for once, and each is as large as an answer. Neither are the lists of
// what people have, which are looked at when those are to change, certificates, which are
// large and rarely asked for, and when hosts' secrets were last used, which is only shown.
func (k *kept) holds(key string) bool {
	rest, ours := strings.CutPrefix(key, k.s.keys.root)
	return ours && rest >= keptFrom && rest < keptTo && len(key) <= longestKept &&
		!strings.HasPrefix(rest, requestsUnder) && !strings.HasPrefix(rest, holdingsUnder) && !strings.HasPrefix(rest, hostUsesUnder) &&
		!strings.HasPrefix(rest, certsUnder)
}

func (w *world) find(key string) held { return w.keys.find(key) }

// list gives up to limit keys of [from, to); 0: all.
func (w *world) list(from, to string, limit int64) []*mvccpb.KeyValue {
	var out []*mvccpb.KeyValue
	w.keys.between(from, to, func(kv *mvccpb.KeyValue) bool {
		out = append(out, kv)
		return limit == 0 || int64(len(out)) < limit
	})
	return out
}

// publish makes w what is known.
func (k *kept) publish(w *world) {
	k.set(w)
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.moved)
	k.moved = make(chan struct{})
}

// question is one linearizable read of etcd's revision, shared by all who wait.
type question struct {
	done chan struct{}
	rev  int64
	id   uint64
	err  error
}

// catchUp gives the state at a revision that etcd had after catchUp was called, or
// nil when the copy cannot get there soon: then etcd must be asked itself. Errors are
// of kind Unavailable: nobody can say what the state is now.
func (k *kept) catchUp(ctx context.Context) (*world, error) {
	before := k.now.Load()
	if before == nil {
		return nil, nil
	}
	rev, cluster, err := k.revision(ctx)
	if err != nil {
		return nil, err
	}
	if rev < before.rev || cluster != before.cluster {
		k.doubt() // etcd was restored from a backup
		return nil, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, catchUpWithin, errSilent)
	defer cancel()
	w, err := k.reach(ctx, rev)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		k.doubt() // etcd answers, the watch does not
	}
	return w, nil
}

// reach is the state when it has come to a revision; nil when there is none at hand.
// Errors: that of ctx, which ended first.
func (k *kept) reach(ctx context.Context, rev int64) (*world, error) {
	soon := time.NewTicker(askEvery)
	defer soon.Stop()
	for {
		k.mu.Lock()
		moved := k.moved
		k.mu.Unlock()
		w := k.now.Load()
		if w == nil || w.rev >= rev {
			return w, nil
		}
		select {
		case <-moved:
		case <-soon.C:
			k.askProgress()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// askProgress asks the watch how far it is, for those who wait longer than an event
// takes: what made the revision may be nothing that is kept.
func (k *kept) askProgress() {
	k.mu.Lock()
	w := k.watch
	ask := w.watcher != nil && time.Since(k.asked) >= askEvery
	if ask {
		k.asked = time.Now()
	}
	k.mu.Unlock()
	if !ask {
		return
	}
	// The stream is found by the metadata of the watch's own context. An error ends the
	// watch, or is followed by silence, which is noticed.
	ctx, cancel := context.WithTimeout(w.ctx, askEvery)
	defer cancel()
	_ = w.watcher.RequestProgress(ctx)
}

// revision reads etcd's revision. All who come while one read is under way share the
// next, which begins after they came.
func (k *kept) revision(ctx context.Context) (int64, uint64, error) {
	k.mu.Lock()
	q := k.waiting
	if q == nil {
		q = &question{done: make(chan struct{})}
		k.waiting = q
		if k.asking == nil {
			k.askLocked()
		}
	}
	k.mu.Unlock()
	select {
	case <-q.done:
		return q.rev, q.id, q.err
	case <-ctx.Done():
		return 0, 0, translate(ctx.Err(), "read state", "")
	}
}

// askLocked starts the question that is waiting.
func (k *kept) askLocked() {
	q := k.waiting
	k.asking, k.waiting = q, nil
	go func() {
		ctx, cancel := context.WithTimeout(k.s.client.Ctx(), callTimeout)
		defer cancel()
		// The first tries are short: a member that is cut off from the others never answers.
		resp, err := k.s.get(ctx, callTimeout/4, k.s.keys.revAll(), clientv3.WithKeysOnly())
		if err != nil {
			q.err = err
		} else {
			q.rev, q.id = resp.Header.Revision, resp.Header.ClusterId
		}
		k.mu.Lock()
		k.asking = nil
		if k.waiting != nil {
			k.askLocked()
		}
		k.mu.Unlock()
		close(q.done)
	}()
}

// copied is the copy as it is; nil when there is none at hand.
func (s *Store) copied() *world {
	if k := s.copy.Load(); k != nil {
		return k.now.Load()
	}
	return nil
}

// caughtUp is the copy at a revision that etcd had after the call; nil when etcd must
// be asked itself. Errors are of kind Unavailable.
func (s *Store) caughtUp(ctx context.Context) (*world, error) {
	if k := s.copy.Load(); k != nil {
		return k.catchUp(ctx)
	}
	return nil, nil
}
