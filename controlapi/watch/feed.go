package watch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"signpost/controlapi/call"
	"signpost/internal/access"
	"signpost/internal/limits"
	"signpost/internal/model"
)

// The bounds of streams of changes.
const (
	heartbeat      = 10 * time.Second
	mostBehind     = 256 // revisions that wait for a reader
	mostStreams    = 16  // of one principal
	mostAhead      = 16  // revisions that the relay prepares at once
	mostCatchUps   = 4   // at a time: each watches etcd by itself
	catchUpTime    = time.Minute
	catchUpShare   = 5 * time.Second // of this, when others wait to catch up
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
	catching *limits.Shares

	mu       sync.Mutex
	streams  map[*listener]bool
	rev      int64 // the relay has handed out all up to this
	relay    *relay
	stopping bool
}

// listener is one stream.
type listener struct {
	ctx        context.Context
	cancel     context.CancelCauseFunc
	credential call.Credential
	principal  string
	who        atomic.Pointer[access.Principal]
	wants      wanted
	attached   bool        // it is given what the relay brings; under feed.mu
	batches    chan *batch // never blocks the relay: who is full is cut off
}

func newFeed(s *Service) *feed {
	return &feed{s: s, streams: map[*listener]bool{}, catching: limits.NewShares(mostCatchUps, catchUpShare)}
}

// join begins a stream, to be ended with leave. now is a revision just read: the
// relay begins there when it is not running.
func (f *feed) join(c *call.Call, wants wanted, now int64) (*listener, error) {
	l := &listener{credential: c.Credential, principal: c.Who.Name(), wants: wants, batches: make(chan *batch, mostBehind)}
	l.who.Store(&c.Who)
	l.ctx, l.cancel = context.WithCancelCause(c.Ctx)
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
	f.s.streams.Set(float64(len(f.streams)))
	if f.relay == nil {
		f.start(now)
	}
	return l, nil
}

// leave ends a stream, and the relay with the last one.
func (f *feed) leave(l *listener) {
	l.cancel(nil)
	f.mu.Lock()
	delete(f.streams, l)
	f.s.streams.Set(float64(len(f.streams)))
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
