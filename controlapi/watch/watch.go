// Package watch answers one question: what changes, as it changes, as far as the caller
// may know?
package watch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/limits"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for streams of changes.
type Service struct {
	pb.UnimplementedWatchServiceServer
	*call.Desk
	heartbeat time.Duration
	feed      *feed
	streams   prometheus.Gauge
	cut       prometheus.Counter
}

// New makes the service; beat is the longest silence of a stream, 0: 10 s.
func New(d *call.Desk, beat time.Duration, reg prometheus.Registerer) (*Service, error) {
	s := &Service{
		Desk: d, heartbeat: cmp.Or(beat, heartbeat),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signpost_watch_streams", Help: "Streams of changes that are open.",
		}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "signpost_watch_cut_total", Help: "Streams of changes that were ended because they were read too slowly.",
		}),
	}
	s.feed = newFeed(s)
	return s, call.Register(reg, s.streams, s.cut)
}

// Watch sends what changes, as it changes.
func (s *Service) Watch(in *pb.WatchRequest, stream grpc.ServerStreamingServer[pb.WatchResponse]) (err error) {
	c, err := s.Authorize(stream.Context(), access.Watch, call.At(cmp.Or(in.GetFqdn(), in.GetZone())), in)
	if err != nil {
		return err
	}
	defer c.Done(&err)
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

// EndStreams ends all streams of changes, and there will be no more.
func (s *Service) EndStreams() { s.feed.stop() }

// startOf is etcd's revision now, at which the caller's credential holds. It refuses
// a revision to start from that is not there yet.
func startOf(c *call.Call, in *pb.WatchRequest) (now int64, err error) {
	if now, err = c.Desk.Store.Revision(c.Ctx); err != nil {
		return 0, err
	}
	err = c.Read(func(*store.Tx) error { return nil })
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
	// One of each principal at a time: nobody keeps all the others waiting.
	end, err := w.s.Turns.Wait(w.ctx, "watch "+w.principal)
	if err != nil {
		return err
	}
	defer end()
	// Of all who catch up, who takes long gives way to those who wait and resumes.
	mine, endShare, err := w.s.feed.catching.Wait(w.ctx)
	if err != nil {
		return err
	}
	// What a slow reader has not taken waits in memory. One that takes nothing at all is not
	// waited for: sending to it does not end with ctx, the share and the watch do.
	ctx, cancel := context.WithTimeoutCause(mine, catchUpTime, errSlow)
	defer cancel()
	context.AfterFunc(ctx, endShare)
	at := store.NewsPosition{Revision: w.last}
	err = w.s.Store.FollowNews(ctx, &at, caughtUpEvery, func(n store.News) error {
		if err := w.give(ctx, newBatch(n)); err != nil {
			return err
		}
		if !w.s.feed.attach(w.listener, n.Revision) {
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
	case errors.Is(context.Cause(ctx), limits.ErrShare):
		w.cancel(limits.ErrShare)
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
	changes := b.changes
	if !b.stands && w.wants.kind(kindHealth) {
		stand, err := w.s.standOtherwise(ctx, b, w.wants.host)
		if err != nil {
			return err
		}
		changes = append(slices.Clip(changes), stand...)
	}
	var events []*pb.Event
	for _, c := range changes {
		mayRead, err := w.may(b.rev, c, c.reading(), w.wants.change(c))
		if err != nil {
			return err
		}
		if mayRead {
			ev := c.event
			if ev == nil {
				var err error
				if ev, err = w.s.event(ctx, b.rev, c); err != nil {
					return err
				}
			}
			events = append(events, ev)
		}
		if mayRead, err = w.may(b.rev, c, access.AuditRead, w.wants.audit(c)); err != nil {
			return err
		}
		if mayRead {
			events = append(events, auditEvent(c.record))
		}
	}
	if len(events) == 0 {
		w.last = b.rev
		return ctx.Err()
	}
	return w.send(b.rev, events)
}

// errBehind is that what is at hand is older than a change; Peek then looks again.
var errBehind = errors.New("the copy is older than the change")

// may says whether a change of revision rev that is wanted may be shown. To people it is by
// what they are at that revision or later to what was changed, if it has the owner that it
// had then; of a host that is gone or another's its owner of then still is.
func (w *watcher) may(rev int64, c *changed, a access.Action, wanted bool) (bool, error) {
	if !wanted || c.isMany() {
		return wanted, nil
	}
	who, r := *w.who.Load(), c.resource()
	if who.Kind != access.User || who.Operator && who.Narrow == nil {
		return call.Known(who, a, r) == nil, nil
	}
	err := w.s.Store.Peek(w.ctx, func(tx *store.Tx) error {
		now, err := tx.Revision()
		if err == nil && now < rev {
			err = errBehind
		}
		if err == nil {
			r, err = facts.Known(tx, who, a, c.resource(), w.s.Now())
		}
		if err == nil && r.Zone != "" {
			var z *model.Zone
			if z, err = tx.Zone(r.Zone); err == nil && !facts.IsOf(z, c.record) {
				r.Policy = nil // who administers it now did not then
			}
		}
		return err
	})
	if r.Host == "" && c.record.Owner != "" {
		r.Host = r.Name
	}
	if r.Owner != c.record.Owner {
		r.Owner, r.Editors, r.Offered = c.record.Owner, nil, ""
	}
	return err == nil && call.Known(who, a, r) == nil, err
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
		w.s.cut.Inc()
		return model.E(model.Exhausted, "watch", "").Because("you read too slowly").Hint(resume)
	case errors.Is(cause, limits.ErrShare):
		return model.E(model.Unavailable, "watch", "").Because("you have caught up for long, and " + cause.Error()).Hint(resume)
	case errors.Is(cause, errStopping):
		return model.E(model.Unavailable, "watch", "").Because(cause.Error()).Hint(resume + ", here or elsewhere")
	case cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded):
		return cause
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return nil
	}
	return err
}
