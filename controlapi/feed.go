package controlapi

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// The bounds of streams of changes.
const (
	heartbeat      = 10 * time.Second
	mostBehind     = 256 // revisions that wait for a reader
	mostStreams    = 16  // of one principal
	mostCatchUps   = 4   // at a time: each watches etcd by itself
	catchUpTime    = time.Minute
	progressEvery  = 2 * time.Second
	caughtUpEvery  = 50 * time.Millisecond
	recheckEvery   = 500 * time.Millisecond
	relayPauseMin  = 100 * time.Millisecond
	relayPauseMore = 400 * time.Millisecond
)

// Why a stream ends that its reader did not end; ending says it to the reader.
var (
	errSlow     = errors.New("the reader is too slow")
	errStopping = errors.New("the server is stopping")
)

// feed hands what one watch of etcd brings to all streams. The watch runs while
// there are streams.
type feed struct {
	s        *Service
	catching chan struct{} // holds those who catch up

	mu       sync.Mutex
	streams  map[*listener]bool
	rev      int64 // the relay has handed out all up to this
	relay    *relay
	stopping bool
}

// relay is one run of the watch and of the look after credentials.
type relay struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// listener is one stream.
type listener struct {
	ctx        context.Context
	cancel     context.CancelCauseFunc
	credential credential
	principal  string
	who        atomic.Pointer[access.Principal]
	wants      wanted
	attached   bool        // it is given what the relay brings; under feed.mu
	batches    chan *batch // never blocks the relay: who is full is cut off
}

func newFeed(s *Service) *feed {
	return &feed{s: s, streams: map[*listener]bool{}, catching: make(chan struct{}, mostCatchUps)}
}

// join begins a stream, to be ended with leave. now is a revision just read: the
// relay begins there when it is not running.
func (f *feed) join(c *call, wants wanted, now int64) (*listener, error) {
	l := &listener{credential: c.credential, principal: c.who.String(), wants: wants, batches: make(chan *batch, mostBehind)}
	l.who.Store(&c.who)
	l.ctx, l.cancel = context.WithCancelCause(c.ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	mine := 0
	for o := range f.streams {
		if o.principal == l.principal {
			mine++
		}
	}
	switch {
	case f.stopping:
		return nil, model.E(model.Unavailable, "watch", "").Because(errStopping.Error()).Hint("try another, or again")
	case mine >= mostStreams:
		return nil, model.E(model.Exhausted, "watch", "").Because("you have too many streams open").Hint("close one first, or share one")
	}
	f.streams[l] = true
	f.s.metrics.streams.Set(float64(len(f.streams)))
	if f.relay == nil {
		f.start(now)
	}
	return l, nil
}

// start needs f.mu.
func (f *feed) start(now int64) {
	ctx, cancel := context.WithCancel(context.Background()) // of no call: it ends when the last stream leaves
	r := &relay{cancel: cancel}
	f.relay, f.rev = r, now
	r.running.Go(func() { f.follow(ctx, r, now) })
	r.running.Go(func() { f.recheck(ctx) })
}

// leave ends a stream, and the relay with the last one.
func (f *feed) leave(l *listener) {
	l.cancel(nil)
	f.mu.Lock()
	delete(f.streams, l)
	f.s.metrics.streams.Set(float64(len(f.streams)))
	var last *relay
	if len(f.streams) == 0 {
		last, f.relay = f.relay, nil
	}
	f.mu.Unlock()
	if last != nil {
		last.cancel()
		last.running.Wait()
	}
}

// stop ends all streams, and there will be no more.
func (f *feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopping = true
	for l := range f.streams {
		l.cancel(errStopping)
	}
}

// giveUp ends all streams and the relay that cannot go on.
func (f *feed) giveUp(r *relay, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.streams {
		l.cancel(why)
	}
	if f.relay == r {
		f.relay = nil
	}
	r.cancel()
}

// attach lets the relay feed a stream that has all up to rev, if it has nothing
// more.
func (f *feed) attach(l *listener, rev int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rev > rev {
		return false
	}
	l.attached = true
	return true
}

// publish hands a revision to all who listen. It never waits for a reader.
func (f *feed) publish(b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rev = max(f.rev, b.rev)
	for l := range f.streams {
		if !l.attached {
			continue
		}
		select {
		case l.batches <- b:
		default:
			if len(b.changes) > 0 {
				l.cancel(errSlow)
			}
		}
	}
}

// follow is the one watch. After an outage it goes on where it was; when it cannot,
// all streams end with the reason, and the next one to come starts another relay.
func (f *feed) follow(ctx context.Context, r *relay, now int64) {
	at := store.AuditPosition{Revision: now}
	for {
		err := f.s.store.FollowAudit(ctx, &at, progressEvery, func(rev int64, records []*model.AuditRecord) error {
			b := newBatch(rev, records)
			if err := f.prepare(ctx, b); err != nil {
				return err
			}
			f.publish(b)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return
		case model.KindOf(err) == model.Unavailable:
			f.s.log.Warn("following changes for streams", "revision", at.Revision, "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(relayPauseMin + rand.N(relayPauseMore)):
			}
		default:
			f.s.log.Warn("streams of changes end", "revision", at.Revision, "error", err)
			f.giveUp(r, err)
			return
		}
	}
}

// prepare reads what is there since the changes that any stream wants to see, once
// for all of them.
func (f *feed) prepare(ctx context.Context, b *batch) error {
	for _, c := range b.changes {
		if !f.anyWants(c) {
			continue
		}
		ev, err := f.s.event(ctx, b.rev, c)
		if err != nil {
			return err
		}
		c.event = ev
	}
	return nil
}

func (f *feed) anyWants(c *changed) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.streams {
		if l.attached && l.wants.change(c) {
			return true
		}
	}
	return false
}

// recheck looks every credential up again and again, once for all its streams, and
// ends those of one that is no longer right.
func (f *feed) recheck(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.mu.Lock()
		by := map[credential][]*listener{}
		for l := range f.streams {
			by[l.credential] = append(by[l.credential], l)
		}
		f.mu.Unlock()
		// An error is an outage, in which nothing can be taken back, nor is there news.
		_ = f.s.store.Read(ctx, func(tx *store.Tx) error {
			for cred, listeners := range by {
				who, err := cred.identify(tx)
				if err != nil && model.KindOf(err) != model.Unauthenticated {
					return err
				}
				for _, l := range listeners {
					if err != nil {
						l.cancel(err)
					} else {
						l.who.Store(&who)
					}
				}
			}
			return nil
		})
	}
}
