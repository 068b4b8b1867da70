package store

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// watch gives the sink one revision after another until something ends it, and
// probes meanwhile whether etcd has more.
func (f *follower) watch(ctx context.Context) *ending {
	// Without a leader a watch is silent for ever; this closes it.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	responses := make(chan clientv3.WatchResponse)
	from := f.at.rev + 1
	running.Go(func() { f.s.receive(ctx, from, responses) })
	probes := make(chan probed, 1)
	probing := false
	tick := time.NewTicker(f.o.ProbeEvery)
	defer tick.Stop()
	doubt := time.NewTimer(time.Until(f.doubt))
	defer doubt.Stop()
	compared := make(chan *ending, 1)
	f.awaited = awaited{}
	for {
		var end *ending
		select {
		case <-ctx.Done():
			return &ending{}
		case <-doubt.C:
			held, ok := f.sink.(Comparer)
			if !ok {
				return &ending{whole: true}
			}
			compare, rev := held.Held(), f.at.rev
			running.Go(func() { compared <- f.compare(ctx, rev, compare) })
		case end = <-compared:
			f.trustAgain()
			doubt.Reset(time.Until(f.doubt))
		case r, open := <-responses:
			end = f.take(r, open)
		case <-tick.C:
			if !probing {
				probing = true
				p := probe{store: f.s, limit: f.o.ProbeEvery / 2, at: f.at, proven: f.proven, seen: f.seen}
				running.Go(func() { probes <- p.run(ctx) })
			}
		case p := <-probes:
			probing = false
			end = f.judge(p)
		}
		if end != nil {
			return end
		}
	}
}

// receive hands on what a watch of v1/dns/ from a revision brings, and closes out
// when the watch is closed. Each watch has a stream of its own, which the client
// opens at the next member in turn.
func (s *Store) receive(ctx context.Context, from int64, out chan<- clientv3.WatchResponse) {
	defer close(out)
	w := clientv3.NewWatcher(s.client)
	defer w.Close()
	// Fragments of a large revision are put together by the client; etcd never spreads
	// a revision over several responses otherwise. Progress notifications, every ten
	// minutes, keep a quiet watch from being compacted away.
	for r := range w.Watch(ctx, s.keys.dns(), clientv3.WithRange(prefixEnd(s.keys.dns())),
		clientv3.WithRev(from), clientv3.WithFragment(), clientv3.WithProgressNotify()) {
		select {
		case out <- r:
		case <-ctx.Done():
			return
		}
	}
}

// take delivers the revisions of one response.
func (f *follower) take(r clientv3.WatchResponse, open bool) *ending {
	if !open {
		return &ending{what: TroubleWatch, err: errClosed}
	}
	if err := r.Err(); errors.Is(err, rpctypes.ErrCompacted) {
		return &ending{TroubleCompacted, true, translate(err, "follow", "")}
	} else if err != nil {
		return &ending{what: TroubleWatch, err: translate(err, "follow", "")}
	}
	if err := f.seen.restored(r.Header.ClusterId, f.seen.rev); err != nil {
		return &ending{TroubleRestored, true, err}
	}
	if r.IsProgressNotify() {
		f.advance(r.Header.Revision)
		return nil
	}
	for events := r.Events; len(events) > 0; {
		rev, n := events[0].Kv.ModRevision, 1
		for n < len(events) && events[n].Kv.ModRevision == rev {
			n++
		}
		if rev <= f.at.rev {
			return &ending{TroubleRestored, true, errors.New("follow: a revision came a second time")}
		}
		if end := f.deliver(rev, events[:n]); end != nil {
			return end
		}
		events = events[n:]
	}
	return nil
}

// deliver gives the sink one revision.
func (f *follower) deliver(rev int64, events []*clientv3.Event) *ending {
	changes := make([]model.Change, 0, len(events))
	for _, e := range events {
		deleted := e.Type == clientv3.EventTypeDelete
		if !deleted && string(e.Kv.Key) == f.s.keys.schema() {
			if err := checkSchema(e.Kv.Value); err != nil {
				return &ending{TroubleSchema, true, err}
			}
		}
		if c, ok := f.change(e.Kv, deleted); ok {
			changes = append(changes, c)
		}
	}
	if len(changes) > 0 {
		f.sink.Next(rev, changes)
	}
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			f.at.forget(e.Kv)
		} else {
			f.at.note(f.revs, e.Kv)
		}
	}
	f.advance(rev)
	f.arrived()
	return nil
}

// trustAgain puts off the next periodic look at the whole.
func (f *follower) trustAgain() {
	f.doubt = time.Now().Add(f.o.RereadEvery - f.o.RereadEvery/4 + jitter(f.o.RereadEvery/2))
}

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

func (f *follower) advance(rev int64) {
	f.at.rev = max(f.at.rev, rev)
	f.seen.rev = max(f.seen.rev, rev)
}

// note takes account of a key that the sink was given. The best witness is the newest
// that says something.
func (p *position) note(revs []byte, kv *mvccpb.KeyValue) {
	if kv.ModRevision > p.witness.mod || kv.ModRevision == p.witness.mod && len(kv.Value) > 0 {
		p.witness = witness{string(kv.Key), kv.ModRevision, kv.Value}
	}
	if kv.ModRevision > p.newest && bytes.HasPrefix(kv.Key, revs) {
		p.newest = kv.ModRevision
	}
}

func (p *position) forget(kv *mvccpb.KeyValue) {
	if p.witness.key == string(kv.Key) {
		p.witness = witness{}
	}
}
