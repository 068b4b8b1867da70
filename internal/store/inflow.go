package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// inflow is one watch of all that is followed: one of each span, all in one stream.
type inflow struct {
	s       *Store
	spans   []span
	from    []int64 // the revision that the watch of each begins with
	limit   int64   // of waiting
	out     chan inflowing
	waiting atomic.Int64 // octets in out, about
	err     error        // why out was closed
}

// inflowing is what the watch of a span brings.
type inflowing struct {
	clientv3.WatchResponse
	span int
}

func (f *follower) inflow() *inflow {
	in := &inflow{s: f.s, spans: f.spans, limit: f.o.Backlog, out: make(chan inflowing, 1024)}
	for i := range f.spans {
		in.from = append(in.from, f.upTo(i)+1)
	}
	return in
}

var errBehind = errors.New("follow: changes come faster than they are taken")

// run hands on what the watches bring, first the news that each is open, and closes out
// when one has ended. The client would keep what is not taken without a limit, and
// would open a broken stream again by itself, though etcd may have been restored
// meanwhile: both end the watch instead.
func (in *inflow) run(ctx context.Context) {
	defer close(in.out)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ctx = context.WithValue(ctx, streamOpened{}, &opening{again: func() { cancel(errResumed) }})
	// Each inflow has a stream of its own, which the client opens at the next member in turn.
	w := clientv3.NewWatcher(in.s.client)
	defer w.Close()
	var taking sync.WaitGroup
	for i, s := range in.spans {
		// Fragments of a large revision are put together by the client; etcd never spreads
		// a revision over several responses otherwise. Progress notifications, every ten
		// minutes, keep a quiet watch from being compacted away.
		watch := w.Watch(ctx, s.from, clientv3.WithRange(s.to), clientv3.WithRev(in.from[i]),
			clientv3.WithCreatedNotify(), clientv3.WithFragment(), clientv3.WithProgressNotify())
		taking.Go(func() { cancel(in.hand(ctx, i, watch)) })
	}
	taking.Wait()
	in.err = context.Cause(ctx)
}

// hand gives on what the watch of a span brings, until it or ctx ends. ctx has ended before
// a stream that was opened again brings anything; the client may yet give that on.
func (in *inflow) hand(ctx context.Context, of int, watch clientv3.WatchChan) error {
	for r := range watch {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		size := sizeOf(r)
		if all := in.waiting.Add(size); all > in.limit && all > size {
			return errBehind
		}
		select {
		case in.out <- inflowing{r, of}:
		default:
			return errBehind
		}
	}
	return errClosed
}

// sizeOf is about how much memory the changes of a response take.
func sizeOf(r clientv3.WatchResponse) int64 {
	n := 0
	for _, e := range r.Events {
		n += 200 + len(e.Kv.Key) + len(e.Kv.Value)
	}
	return int64(n)
}
