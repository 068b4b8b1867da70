package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// watch gives the sink one revision after another until something ends it, and
// probes meanwhile whether etcd has more. It takes nothing before a probe that began
// when the watch was open has found that it goes on from where the sink is: what a
// restored etcd says next would be put on top of what it never had. From then on the
// stream itself is the proof, for no etcd is restored under an open one.
func (f *follower) watch(ctx context.Context) *ending {
	// Without a leader a watch is silent for ever; this closes it.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	in := f.inflow()
	running.Go(func() { in.run(ctx) })
	door := door{spans: len(f.spans)}
	probes := make(chan probed, 1)
	probing := false
	look := func() {
		probing = true
		p := probe{store: f.s, limit: f.o.ProbeEvery / 2, at: f.at, seen: f.seen, opens: door.opened() && !door.believed}
		running.Go(func() { probes <- p.run(ctx) })
	}
	tick := time.NewTicker(f.o.ProbeEvery)
	defer tick.Stop()
	doubt := time.NewTimer(time.Until(f.doubt))
	defer doubt.Stop()
	compared := make(chan *ending, 1)
	f.awaited = awaited{}
	for {
		responses := in.out
		if door.opened() && !door.believed {
			responses = nil
		}
		var end *ending
		select {
		case <-ctx.Done():
			return &ending{}
		case <-doubt.C:
			held, ok := f.sink.(Comparer)
			if !ok || len(f.spans) > 1 {
				return &ending{whole: true}
			}
			compare, rev := held.Held(), f.at.rev
			running.Go(func() { compared <- f.compare(ctx, rev, compare) })
		case end = <-compared:
			f.trustAgain()
			doubt.Reset(time.Until(f.doubt))
		case r, open := <-responses:
			switch {
			case !open:
				end = &ending{what: TroubleWatch, err: in.err}
			default:
				if end = f.takeAll(in, door.take(r)); r.Created && door.opened() && !probing {
					look()
				}
			}
		case <-tick.C:
			if !probing {
				look()
			}
		case p := <-probes:
			probing = false
			if end = f.judge(p); end == nil && p.err == nil && p.opens {
				f.believed = time.Now()
				end = f.takeAll(in, door.believe())
			} else if end == nil && door.opened() && !door.believed && !p.opens {
				look()
			}
		}
		if end != nil {
			return end
		}
	}
}

// door keeps what a watch brings until all its spans are open and it is believed. Errors
// come through: they end the watch.
type door struct {
	spans, created int
	believed       bool
	early          []inflowing
}

func (d *door) opened() bool { return d.created == d.spans }

// take is what may be taken now that r has come.
func (d *door) take(r inflowing) []inflowing {
	switch {
	case r.Created:
		d.created++
		return nil
	case !d.believed && r.Err() == nil:
		d.early = append(d.early, r)
		return nil
	}
	return []inflowing{r}
}

// believe is what has come before.
func (d *door) believe() []inflowing {
	early := d.early
	d.early, d.believed = nil, true
	return early
}

func (f *follower) takeAll(in *inflow, responses []inflowing) *ending {
	for _, r := range responses {
		in.waiting.Add(-sizeOf(r.WatchResponse))
		if end := f.take(r); end != nil {
			return end
		}
	}
	return nil
}

// take delivers the revisions of one response.
func (f *follower) take(r inflowing) *ending {
	if err := r.Err(); errors.Is(err, rpctypes.ErrCompacted) {
		return &ending{TroubleCompacted, true, translate(err, "follow", "")}
	} else if err != nil {
		return &ending{what: TroubleWatch, err: translate(err, "follow", "")}
	}
	if err := f.seen.restored(r.Header.ClusterId, f.seen.rev); err != nil {
		return &ending{TroubleRestored, true, err}
	}
	if r.IsProgressNotify() {
		f.passed(r.span, r.Header.Revision)
		return nil
	}
	for events := r.Events; len(events) > 0; {
		rev, n := events[0].Kv.ModRevision, 1
		for n < len(events) && events[n].Kv.ModRevision == rev {
			n++
		}
		if rev <= f.upTo(r.span) {
			return &ending{TroubleRestored, true, errors.New("follow: a revision came a second time")}
		}
		if end := f.deliver(r.span, rev, events[:n]); end != nil {
			return end
		}
		events = events[n:]
	}
	return nil
}

// deliver gives the sink what one revision has of a span.
func (f *follower) deliver(of int, rev int64, events []*clientv3.Event) *ending {
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
	if of > 0 {
		f.passed(of, rev)
		return nil
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
