package watch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/model"
	"signpost/internal/store"
)

// relay is one run of the watch and of the look after credentials.
type relay struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// start needs f.mu.
func (f *feed) start(now int64) {
	ctx, cancel := context.WithCancel(context.Background()) // of no call: it ends when the last stream leaves
	r := &relay{cancel: cancel}
	f.relay, f.rev = r, now
	r.running.Go(func() { f.follow(ctx, r, now) })
	r.running.Go(func() { f.recheck(ctx) })
	r.running.Go(func() { f.endExpired(ctx) })
	r.running.Go(func() { f.recheckPeople(ctx) })
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

// publish hands a revision to all who listen. It never waits for a reader. What a
// relay has left when another has taken its place is not for those who came since.
func (f *feed) publish(r *relay, b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.relay != r {
		return
	}
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
	at := store.NewsPosition{Revision: now}
	for {
		err := f.once(ctx, r, &at)
		switch {
		case ctx.Err() != nil:
			return
		case model.KindOf(err) == model.Unavailable:
			f.s.Log.Warn("following changes for streams", "revision", at.Revision, "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(relayPauseMin + rand.N(relayPauseMore)):
			}
		default:
			f.s.Log.Warn("streams of changes end", "revision", at.Revision, "error", err)
			f.giveUp(r, err)
			return
		}
	}
}

// once follows until something ends it; at is then how far was published. Several
// revisions are prepared at once and published in order.
func (f *feed) once(ctx context.Context, r *relay, at *store.NewsPosition) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type pending struct {
		*batch
		ready chan error
	}
	queue := make(chan pending, mostAhead)
	published := at.Revision
	var running sync.WaitGroup
	running.Go(func() {
		for p := range queue {
			if err := <-p.ready; err != nil {
				cancel(err)
				return
			}
			f.publish(r, p.batch)
			published = p.rev
		}
	})
	err := f.s.Store.FollowNews(ctx, at, progressEvery, func(n store.News) error {
		f.s.Store.KeepPast()
		p := pending{newBatch(n), make(chan error, 1)}
		running.Go(func() { p.ready <- f.prepare(ctx, p.batch) })
		select {
		case queue <- p:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(queue)
	running.Wait()
	at.Revision = published
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
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
	if !f.anyWantsHealth() {
		return nil
	}
	stand, err := f.s.standOtherwise(ctx, b, nil)
	b.changes, b.stands = append(b.changes, stand...), err == nil
	return err
}

func (f *feed) anyWantsHealth() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.streams {
		if l.attached && l.wants.kind(kindHealth) {
			return true
		}
	}
	return false
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

// recheck looks every credential but people's tokens up again and again, once for all
// its streams, and ends those of one that is no longer right; of people it looks whether
// they are disabled.
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
		by := map[call.Credential][]*listener{}
		people := map[model.PrincipalName][]*listener{}
		for l := range f.streams {
			if who := l.credential.User; who != nil {
				people[who.Person] = append(people[who.Person], l)
				continue
			}
			by[l.credential] = append(by[l.credential], l)
		}
		f.mu.Unlock()
		// An error is an outage, in which nothing can be taken back, nor is there news.
		_ = f.s.Store.Read(ctx, func(tx *store.Tx) error {
			for cred, listeners := range by {
				who, _, err := f.s.Identify(tx, cred)
				if kind := model.KindOf(err); err != nil && kind != model.Unauthenticated && kind != model.Denied {
					return err
				}
				for _, l := range listeners {
					if err != nil {
						l.cancel(err)
						continue
					}
					now := who
					now.From = l.who.Load().From
					l.who.Store(&now)
				}
			}
			for who, listeners := range people {
				err := facts.CheckEnabled(tx, who)
				if err == nil {
					continue
				}
				if model.KindOf(err) != model.Denied {
					return err
				}
				for _, l := range listeners {
					l.cancel(err)
				}
			}
			return nil
		})
	}
}
