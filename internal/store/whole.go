package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// load gives the sink the whole state. The newest mark is read linearizably and sets
// the revision at which all else is read.
func (f *follower) load(ctx context.Context) *ending {
	begin := time.Now()
	newest, err := f.s.newestMark(ctx, readTimeout)
	if err != nil {
		return &ending{TroubleRead, true, err}
	}
	at := position{rev: newest.Header.Revision}
	for _, kv := range newest.Kvs {
		at.note(f.revs, kv)
	}
	seen := history{newest.Header.ClusterId, at.rev}
	if err := f.seen.restored(seen.cluster, seen.rev); err != nil {
		f.trouble(TroubleRestored, err)
	}
	f.seen = seen
	if err := f.schemaAt(ctx, at.rev); err != nil {
		return err
	}
	w := whole{f: f, begin: at, at: at}
	err = f.sink.Load(at.rev, seen.cluster, w.all(ctx))
	switch {
	case w.err != nil:
		return &ending{TroubleRead, true, w.err}
	case err != nil:
		return &ending{TroubleRead, true, err}
	case !w.complete:
		return &ending{TroubleRead, true, errors.New("follow: the state was not taken to its end")}
	}
	f.at = w.at
	for i := range f.came {
		f.came[i] = at.rev
	}
	f.trustAgain()
	f.confirm(begin)
	return nil
}

// schemaAt is an ending when replicas of this version must not use the state.
func (f *follower) schemaAt(ctx context.Context, rev int64) *ending {
	resp, err := f.s.get(ctx, readTimeout, f.s.keys.schema(), clientv3.WithRev(rev))
	if err != nil {
		return &ending{TroubleRead, true, err}
	}
	for _, kv := range resp.Kvs {
		if err := checkSchema(kv.Value); err != nil {
			return &ending{TroubleSchema, true, err}
		}
	}
	return nil
}

func checkSchema(raw []byte) error {
	bad := func(why, hint string) error {
		return model.E(model.Precondition, "read the schema of the state", string(raw)).Because(why).Hint(hint)
	}
	switch n, err := strconv.Atoi(string(raw)); {
	case err != nil || n < 1:
		return bad("it is no number", "repair v1/dns/schema")
	case n > Schema:
		return bad("this version reads at most "+strconv.Itoa(Schema), "upgrade this binary")
	}
	return nil
}

// pages reads a span at a revision.
func (f *follower) pages(of span, rev int64) *pages {
	return &pages{s: f.s, from: of.from, to: of.to, rev: rev, limit: f.o.PageSize}
}

// tries is how many members are asked before a read is given up.
const tries = 3

// get is a linearizable read. Each try has twice the time of the one before: a line
// that swallows everything looks usable to the client until it is given up, and the
// next try goes to the next member; a slow line needs patience.
func (s *Store) get(ctx context.Context, limit time.Duration, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	for n := 1; ; n, limit = n+1, 2*limit {
		try, cancel := context.WithTimeout(ctx, limit)
		resp, err := s.client.Get(try, key, opts...)
		late := try.Err() != nil
		cancel()
		if err == nil {
			return resp, nil
		}
		if !late || n == tries || ctx.Err() != nil {
			return nil, translate(err, "read state", "")
		}
	}
}

// whole is one reading of the whole state.
type whole struct {
	f        *follower
	begin    position // what was known before the first page
	at       position
	complete bool
	err      error
}

// all reads one page ahead, and what is in it.
func (w *whole) all(ctx context.Context) iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var reading sync.WaitGroup
		ahead := make(chan page)
		reading.Go(func() { w.readAhead(ctx, ahead) })
		defer reading.Wait()
		defer cancel()
		for !w.complete {
			var p page
			select {
			case p = <-ahead:
			case <-ctx.Done(): // then it may be that nothing more comes
				p.err = ctx.Err()
			}
			if p.err != nil {
				w.err = p.err
				yield(model.Change{}, p.err)
				return
			}
			for i, kv := range p.kvs {
				if !p.beside {
					w.at.note(w.f.revs, kv)
				}
				if c, ok := w.f.shown(kv, p.found[i]); ok && !yield(c, nil) {
					return
				}
			}
			if p.last {
				if w.err = w.same(ctx); w.err != nil {
					yield(model.Change{}, w.err)
					return
				}
				w.complete = true
			}
		}
	}
}

// readAhead gives pages until one is the last or an error, or ctx is done.
func (w *whole) readAhead(ctx context.Context, to chan<- page) {
	reader := newBulk(w.f.s.keys)
	for i, span := range w.f.spans {
		if !w.readSpan(ctx, i, span, reader, to) {
			return
		}
	}
}

// readSpan reports whether it has come to the end of a span that is not the last.
func (w *whole) readSpan(ctx context.Context, i int, of span, reader *bulk, to chan<- page) bool {
	pages := w.f.pages(of, w.at.rev)
	defer pages.close()
	for {
		p := pages.next(ctx)
		end := p.last
		p.last, p.beside = end && i == len(w.f.spans)-1, i > 0
		for _, kv := range p.kvs {
			reader.add(kv.Key, kv.ModRevision, kv.Value)
		}
		p.found = reader.take()
		select {
		case to <- p:
		case <-ctx.Done():
			return false
		}
		if end || p.err != nil {
			return end && !p.last
		}
	}
}

// same is an error when etcd was restored from a backup while the pages were read.
func (w *whole) same(ctx context.Context) error {
	end, err := probe{store: w.f.s, limit: readTimeout, at: w.begin}.hear(ctx, nil)
	if end != nil {
		return end.err
	}
	return err
}

// change makes of a key what the sink is told; not ok: nothing.
func (f *follower) change(kv *mvccpb.KeyValue, deleted bool) (model.Change, bool) {
	key, known, err := f.s.keys.parse(string(kv.Key))
	found := found{change: model.Change{Key: key, ModRevision: kv.ModRevision, Deleted: true}, known: known, err: err}
	if known && !deleted {
		found.change = decodeChange(key, kv.ModRevision, kv.Value)
	}
	return f.shown(kv, found)
}

// shown tells the sink of what cannot be read.
func (f *follower) shown(kv *mvccpb.KeyValue, found found) (c model.Change, ok bool) {
	if found.err != nil {
		f.trouble(TroubleValue, found.err)
	}
	if c = found.change; found.known && c.Bad != nil {
		f.trouble(TroubleValue, fmt.Errorf("key %q of revision %d: %w", kv.Key, kv.ModRevision, c.Bad))
	}
	return c, found.known
}

// decodeChange reads a value that is followed.
func decodeChange(key model.Key, rev int64, raw []byte) model.Change {
	c := model.Change{Key: key, ModRevision: rev, Raw: raw}
	switch key.Kind {
	case model.ZoneKey:
		c.Zone, c.Bad = decodeZone(key.Zone, raw, rev)
	case model.NameKey:
		c.Name, c.Bad = decodeName(raw, rev)
	default:
		decodeJudged(&c)
	}
	return c
}
