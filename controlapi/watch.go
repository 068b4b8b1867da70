package controlapi

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/grpc"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Watch sends what changes, as it changes.
func (s *Service) Watch(in *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.WatchResponse]) (err error) {
	c, err := s.authorize(stream.Context(), access.Watch, at(in.GetFqdn()), in)
	if err != nil {
		return err
	}
	defer c.done(&err)
	wants, err := newWanted(in)
	if err != nil {
		return err
	}
	now, err := startOf(c, in)
	if err != nil {
		return err
	}
	l, err := s.feed.join(c, wants, now)
	if err != nil {
		return err
	}
	defer s.feed.leave(l)
	w := watcher{s: s, listener: l, stream: stream, last: now}
	if from := in.GetFromRevision(); from != 0 {
		w.last = from
	}
	if err = w.catchUp(); err == nil {
		err = w.listen()
	}
	return w.ending(err)
}

// EndStreams ends all streams of changes, and there will be no more: whoever stops
// the service calls it first, for streams end by themselves only when their readers
// do.
func (s *Service) EndStreams() { s.feed.stop() }

// startOf is etcd's revision now, at which the caller's credential holds. It refuses
// a revision to start from that is not there yet.
func startOf(c *call, in *pb.WatchRequest) (now int64, err error) {
	if now, err = c.s.store.Revision(c.ctx); err != nil {
		return 0, err
	}
	err = c.read(func(*store.Tx) error { return nil })
	if err == nil && in.GetFromRevision() > now {
		err = model.E(model.Invalid, "watch", "").In("from_revision").
			Because("etcd is at revision " + strconv.FormatInt(now, 10) + " only; it may have been restored from a backup").
			Hint("read the state anew and follow from now on")
	}
	return now, err
}

// watcher is one stream while it is served.
type watcher struct {
	s *Service
	*listener
	stream grpc.ServerStreamingServer[pb.WatchResponse]
	last   int64 // all up to this was sent
	sent   int   // messages
}

var errCaughtUp = errors.New("caught up with the relay")

// catchUp sends what came until now, and leaves what comes then to the relay.
func (w *watcher) catchUp() error {
	if w.s.feed.attach(w.listener, w.last) {
		return w.send(w.last, nil)
	}
	select {
	case w.s.feed.catching <- struct{}{}:
		defer func() { <-w.s.feed.catching }()
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
	// What a slow reader has not taken waits in memory.
	ctx, cancel := context.WithTimeoutCause(w.ctx, catchUpTime, errSlow)
	defer cancel()
	at := store.AuditPosition{Revision: w.last}
	err := w.s.store.FollowAudit(ctx, &at, caughtUpEvery, func(rev int64, records []*model.AuditRecord) error {
		if err := w.give(ctx, newBatch(rev, records)); err != nil {
			return err
		}
		if !w.s.feed.attach(w.listener, rev) {
			return nil
		}
		return errCaughtUp
	})
	switch {
	case errors.Is(err, errCaughtUp) && w.sent > 0:
		return nil
	case errors.Is(err, errCaughtUp):
		return w.send(w.last, nil)
	case errors.Is(context.Cause(ctx), errSlow):
		w.cancel(errSlow)
	}
	return err
}

// listen sends what the relay brings.
func (w *watcher) listen() error {
	beat := time.NewTimer(w.s.heartbeat)
	defer beat.Stop()
	for {
		var err error
		sent := w.sent
		select {
		case <-w.ctx.Done():
			return w.ctx.Err()
		case b := <-w.batches:
			if err = w.give(w.ctx, b); w.sent > sent {
				beat.Reset(w.s.heartbeat)
			}
		case <-beat.C:
			beat.Reset(w.s.heartbeat)
			err = w.send(w.last, nil)
		}
		if err != nil {
			return err
		}
	}
}

// give sends what the caller wants and may see of one revision.
func (w *watcher) give(ctx context.Context, b *batch) error {
	if b.rev <= w.last {
		return nil
	}
	var events []*pb.Event
	for _, c := range b.changes {
		who := *w.who.Load()
		if w.wants.change(c) && access.Decide(who, c.reading(), c.resource()) == nil {
			ev := c.event
			if ev == nil {
				var err error
				if ev, err = w.s.event(ctx, b.rev, c); err != nil {
					return err
				}
			}
			events = append(events, ev)
		}
		if w.wants.audit(c) && access.Decide(who, access.AuditRead, c.resource()) == nil {
			events = append(events, auditEvent(c.record))
		}
	}
	if len(events) == 0 {
		w.last = b.rev
		return ctx.Err()
	}
	return w.send(b.rev, events)
}

func (w *watcher) send(rev int64, events []*pb.Event) error {
	if err := w.ctx.Err(); err != nil {
		return err // nothing goes to a credential that was taken back
	}
	if err := w.stream.Send(&pb.WatchResponse{Revision: rev, Events: events}); err != nil {
		return errors.Join(context.Canceled, err)
	}
	w.last = rev
	w.sent++
	return nil
}

// ending is what the reader is told of why its stream ends; nothing when it went
// away itself.
func (w *watcher) ending(err error) error {
	resume := "resume from revision " + strconv.FormatInt(w.last, 10)
	switch cause := context.Cause(w.ctx); {
	case errors.Is(cause, errSlow):
		w.s.metrics.cut.Inc()
		return model.E(model.Exhausted, "watch", "").Because("you read too slowly").Hint(resume)
	case errors.Is(cause, errStopping):
		return model.E(model.Unavailable, "watch", "").Because(cause.Error()).Hint(resume + ", here or elsewhere")
	case cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded):
		return cause
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return nil
	}
	return err
}
