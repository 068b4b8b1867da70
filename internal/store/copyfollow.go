package store

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"signpost/internal/thrift"
)

const (
	// catchUpWithin is how long a call waits for the copy before it asks etcd itself.
	catchUpWithin = 500 * time.Millisecond
	askEvery      = 2 * time.Millisecond
	copyPause     = time.Second // between two tries to read the whole, about
	// copyBacklog is how many octets of changes, about, may come while the whole is read.
	copyBacklog = 64 << 20
)

// KeepCopy holds the state that decisions rest on in memory and follows etcd until
// ctx is done, so that reads cost at most one shared question to etcd and a change
// its commit. Before the copy is there, and whenever it is not at hand, etcd is read
// for every call. It returns ctx's error only, and may be called once.
func (s *Store) KeepCopy(ctx context.Context) error {
	k := &kept{s: s, backlog: copyBacklog, moved: make(chan struct{})}
	s.copy.Store(k)
	for lost := false; ; {
		began := time.Now()
		following, err := k.once(ctx)
		k.publish(nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if following || !lost {
			s.log.Warn("the copy of the state is lost: etcd is read for every call until it is there again", "error", err)
		}
		lost = true
		if following && time.Since(began) > 2*copyPause {
			continue // it was well: the next member may be at once
		}
		if err := sleep(ctx, copyPause/2+jitter(copyPause)); err != nil {
			return err
		}
	}
}

var (
	errHistory = errors.New("keep copy: etcd holds another history than the one followed, or the watch is silent")
	errResumed = errors.New("the connection to etcd broke")
	errSilent  = errors.New("keep copy: the watch does not catch up")
	errFlooded = errors.New("keep copy: more changes come while the whole is read than memory is for")
)

// once reads the whole and follows it until the watch ends; following says whether it
// came to that. After any end all is read again: whatever closed the watch may have
// put another history in the place of ours.
func (k *kept) once(ctx context.Context) (following bool, err error) {
	ctx, cancel := context.WithCancelCause(clientv3.WithRequireLeader(ctx))
	defer cancel(nil)
	ctx = context.WithValue(ctx, streamOpened{}, &opening{again: func() { cancel(errResumed) }})
	watcher := clientv3.NewWatcher(k.s.client)
	defer watcher.Close()
	from, to := k.span()
	events := watcher.Watch(ctx, from, clientv3.WithRange(to),
		clientv3.WithCreatedNotify(), clientv3.WithFragment(), clientv3.WithProgressNotify())
	k.attend(watching{watcher, ctx, cancel})
	defer k.attend(watching{})
	w, err := k.begin(ctx, events)
	if err != nil {
		return false, err
	}
	k.recent.reset(w.rev)
	k.publish(w)
	k.touched.everything()
	go thrift.GiveBack() // it ends soon and touches nothing of ours
	k.s.log.Info("the copy of the state is there", "revision", w.rev, "keys", w.keys.tree.Len())
	for r := range events {
		if ctx.Err() != nil {
			break // it may be of a stream that was opened again
		}
		if err := r.Err(); err != nil {
			return true, translate(err, "keep copy", "")
		}
		if r.Header.ClusterId != w.cluster {
			return true, errHistory
		}
		parts := []clientv3.WatchResponse{r}
		if k.past.wanted() {
			parts = byRevision(r)
		}
		before := w
		for _, e := range r.Events {
			k.remember(before, e)
		}
		for _, part := range parts {
			w = k.after(w, part)
			k.publish(w)
		}
		for _, e := range r.Events {
			k.touched.key(k.s, before, string(e.Kv.Key), e.Kv.Value)
		}
	}
	return true, cmp.Or(context.Cause(ctx), errClosed)
}

// remember notes a change for ChangedSince.
func (k *kept) remember(before *world, e *clientv3.Event) {
	key := string(e.Kv.Key)
	if !strings.HasPrefix(key, k.s.keys.dns()) || k.s.keys.isRev(key) {
		return
	}
	c := changedKey{rev: e.Kv.ModRevision, key: key}
	if z, ok := strings.CutPrefix(key, k.s.keys.zones()); ok {
		name, err := unreverse(z)
		c.same = err == nil && sameNames(name, before.find(key).value, e.Kv.Value)
	}
	k.recent.note(c)
}

// begin reads the whole when the watch is open, and gives it when the watch has shown
// to be alive after that: no etcd is restored under an open stream, so all that was
// read and all that will come is of one history. What comes meanwhile it keeps, up to
// k.backlog octets: the client would keep all of it.
func (k *kept) begin(ctx context.Context, events clientv3.WatchChan) (*world, error) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	read := make(chan loaded, 1)
	var w *world
	var came []clientv3.WatchResponse
	size := int64(0)
	limit := time.NewTimer(readTimeout) // of the watch's silence
	defer limit.Stop()
	ask := time.NewTicker(catchUpWithin / 10)
	defer ask.Stop()
	for {
		select {
		case r, open := <-events:
			switch failed := r.Err(); {
			case !open:
				return nil, cmp.Or(context.Cause(ctx), errClosed)
			case failed != nil:
				return nil, translate(failed, "keep copy", "")
			case ctx.Err() != nil: // it may be of a stream that was opened again
				return nil, context.Cause(ctx)
			case r.Created:
				limit.Stop()
				reading.Go(func() { read <- k.readWhole(ctx) })
			case w == nil:
				came = append(came, r)
				if size += sizeOf(r); size > k.backlog {
					return nil, errFlooded
				}
			case r.Header.ClusterId != w.cluster:
				return nil, errHistory
			default:
				if w = k.after(w, r); r.IsProgressNotify() {
					return w, nil
				}
			}
		case got := <-read:
			if w = got.w; got.err != nil {
				return nil, got.err
			}
			for _, r := range came {
				if r.Header.ClusterId != w.cluster {
					return nil, errHistory
				}
				w = k.after(w, r)
			}
			came = nil
			limit.Reset(readTimeout)
			k.askProgress()
		case <-ask.C:
			if w != nil {
				k.askProgress()
			}
		case <-limit.C:
			return nil, errSilent
		}
	}
}

// loaded is the whole as it was read.
type loaded struct {
	w   *world
	err error
}

func (k *kept) readWhole(ctx context.Context) (out loaded) {
	thrift.Do(func() { out.w, out.err = k.load(ctx) })
	return out
}

// watching is the watch that brings the copy on.
type watching struct {
	watcher clientv3.Watcher
	ctx     context.Context
	end     context.CancelCauseFunc
}

// attend says which watch can be asked for progress and ended.
func (k *kept) attend(w watching) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watch = w
}

// streamOpened is the context key of what wants to know when the client opens the
// stream of a watch again: it does so by itself after a broken connection, and goes
// on from the next revision as if etcd could not have been restored meanwhile.
type streamOpened struct{}

// opening calls again when a second stream is opened.
type opening struct {
	first atomic.Bool
	again func()
}

// noticeStreams is a hook in the client for streamOpened.
func noticeStreams(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if o, ok := ctx.Value(streamOpened{}).(*opening); ok && method == etcdserverpb.Watch_Watch_FullMethodName && o.first.Swap(true) {
		o.again()
	}
	return streamer(ctx, desc, cc, method, opts...)
}

// doubt has all read again.
func (k *kept) doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.watch.end != nil {
		k.watch.end(errHistory)
	}
}

func (k *kept) load(ctx context.Context) (*world, error) {
	from, to := k.span()
	now, err := k.s.get(ctx, readTimeout, k.s.keys.revAll(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	w := newWorld(k.s.keys, now.Header.Revision, now.Header.ClusterId)
	pages := pages{s: k.s, from: from, to: to, rev: w.rev}
	defer pages.close()
	for {
		p := pages.next(ctx)
		if p.err != nil {
			return nil, p.err
		}
		for _, kv := range p.kvs {
			if k.holds(string(kv.Key)) {
				w.keys.put(kv)
			}
		}
		if p.last {
			return w, nil
		}
	}
}

// after is the world after what a watch brought. It shares with w all that did not
// change.
func (k *kept) after(w *world, r clientv3.WatchResponse) *world {
	next := &world{rev: max(w.rev, r.Header.Revision), cluster: w.cluster, keys: w.keys}
	if len(r.Events) == 0 {
		return next // a sign of progress: nothing is outstanding up to its revision
	}
	// A response's header may be ahead of its last event; only what came is known. What
	// came while the whole was read may be in it.
	next.rev = max(w.rev, r.Events[len(r.Events)-1].Kv.ModRevision)
	next.keys = w.keys.clone()
	for _, e := range r.Events {
		key := string(e.Kv.Key)
		switch {
		case e.Kv.ModRevision <= w.rev || !k.holds(key):
		case e.Type == clientv3.EventTypeDelete:
			next.keys.remove(key)
		default:
			next.keys.put(e.Kv)
		}
	}
	return next
}
