package store

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// catchUpWithin is how long a call waits for the copy before it asks etcd itself.
	catchUpWithin = 500 * time.Millisecond
	askEvery      = 2 * time.Millisecond
	copyPage      = 10_000
	copyPause     = time.Second // between two tries to read the whole, about
)

// KeepCopy holds the state that decisions rest on in memory and follows etcd until
// ctx is done, so that reads cost at most one shared question to etcd and a change
// its commit. Before the copy is there, and whenever it is not at hand, etcd is read
// for every call. It returns ctx's error only, and may be called once.
func (s *Store) KeepCopy(ctx context.Context) error {
	k := &kept{s: s, moved: make(chan struct{})}
	s.copy.Store(k)
	for lost := false; ; {
		following, err := k.once(ctx)
		k.publish(nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if following || !lost {
			s.log.Warn("the copy of the state is lost: etcd is read for every call until it is there again", "error", err)
		}
		lost = true
		if err := sleep(ctx, copyPause/2+jitter(copyPause)); err != nil {
			return err
		}
	}
}

var errHistory = errors.New("keep copy: etcd holds another history than the one followed")

// once reads the whole and follows it until the watch ends; following says whether it
// came to that. After any end all is read again: whatever closed the watch may have
// put another history in the place of ours.
func (k *kept) once(ctx context.Context) (following bool, err error) {
	w, err := k.load(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	watcher := clientv3.NewWatcher(k.s.client)
	defer watcher.Close()
	from, to := k.span()
	events := watcher.Watch(ctx, from, clientv3.WithRange(to), clientv3.WithRev(w.rev+1),
		clientv3.WithFragment(), clientv3.WithProgressNotify())
	k.attend(watcher, cancel)
	defer k.attend(nil, nil)
	k.publish(w)
	for r := range events {
		if err := r.Err(); err != nil {
			return true, translate(err, "keep copy", "")
		}
		if r.Header.ClusterId != w.cluster {
			return true, errHistory
		}
		w = k.after(w, r)
		k.publish(w)
	}
	return true, errClosed
}

// attend says which watch can be asked for progress and how it is ended.
func (k *kept) attend(w clientv3.Watcher, end context.CancelFunc) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watcher, k.end = w, end
}

// doubt has all read again.
func (k *kept) doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.end != nil {
		k.end()
	}
}

func (k *kept) load(ctx context.Context) (*world, error) {
	from, to := k.span()
	var w *world
	for {
		var rev int64
		if w != nil {
			rev = w.rev
		}
		resp, err := k.s.get(ctx, readTimeout, from, clientv3.WithRange(to), clientv3.WithLimit(copyPage), clientv3.WithRev(rev))
		if err != nil {
			return nil, err
		}
		if w == nil {
			w = newWorld(resp.Header.Revision, resp.Header.ClusterId)
		}
		for _, kv := range resp.Kvs {
			if key := string(kv.Key); k.holds(key) {
				w.keys.ReplaceOrInsert(keptOf(kv))
			}
		}
		if !resp.More {
			return w, nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// after is the world after what a watch brought. It shares with w all that did not
// change.
func (k *kept) after(w *world, r clientv3.WatchResponse) *world {
	next := &world{rev: max(w.rev, r.Header.Revision), cluster: w.cluster, keys: w.keys}
	if len(r.Events) == 0 {
		return next // a sign of progress: nothing is outstanding up to its revision
	}
	// A response's header may be ahead of its last event; only what came is known.
	next.rev = r.Events[len(r.Events)-1].Kv.ModRevision
	next.keys = w.keys.Clone()
	for _, e := range r.Events {
		key := string(e.Kv.Key)
		switch {
		case !k.holds(key):
		case e.Type == clientv3.EventTypeDelete:
			next.keys.Delete(keptKey{key: key})
		default:
			next.keys.ReplaceOrInsert(keptOf(e.Kv))
		}
	}
	return next
}
