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

// load gives the sink the whole state. The first page is read linearizably and sets
// the revision at which the others are read.
func (f *follower) load(ctx context.Context) *ending {
	begin := time.Now()
	first := f.page(ctx, f.s.keys.dns(), 0)
	if first.err != nil {
		return &ending{TroubleRead, true, first.err}
	}
	if err := f.seen.restored(first.cluster, first.rev); err != nil {
		f.trouble(TroubleRestored, err)
	}
	f.seen = history{first.cluster, first.rev}
	if err := f.schemaAt(ctx, first.rev); err != nil {
		return err
	}
	w := whole{f: f, at: position{rev: first.rev}}
	err := f.sink.Load(first.rev, first.cluster, w.all(ctx, first))
	switch {
	case w.err != nil:
		return &ending{TroubleRead, true, w.err}
	case err != nil:
		return &ending{TroubleRead, true, err}
	case !w.complete:
		return &ending{TroubleRead, true, errors.New("follow: the state was not taken to its end")}
	}
	f.at, f.proven = w.at, w.at
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

// page is a number of keys in order. next is where the next page starts, or "".
type page struct {
	kvs     []*mvccpb.KeyValue
	next    string
	rev     int64
	cluster uint64
	err     error
}

func (f *follower) page(ctx context.Context, from string, rev int64, opts ...clientv3.OpOption) page {
	opts = append(opts, clientv3.WithRange(prefixEnd(f.s.keys.dns())), clientv3.WithLimit(f.o.PageSize), clientv3.WithRev(rev))
	resp, err := f.s.get(ctx, readTimeout, from, opts...)
	if err != nil {
		return page{err: err}
	}
	p := page{kvs: resp.Kvs, rev: resp.Header.Revision, cluster: resp.Header.ClusterId}
	if resp.More {
		p.next = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
	return p
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
	at       position
	complete bool
	err      error
}

// all reads one page ahead.
func (w *whole) all(ctx context.Context, first page) iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var reading sync.WaitGroup
		defer reading.Wait()
		defer cancel()
		for p := first; ; {
			ahead := make(chan page, 1)
			if next := p.next; next != "" {
				reading.Go(func() { ahead <- w.f.page(ctx, next, w.at.rev) })
			}
			for _, kv := range p.kvs {
				w.at.note(w.f.revs, kv)
				if c, ok := w.f.change(kv, false); ok && !yield(c, nil) {
					return
				}
			}
			if p.next == "" {
				w.complete = true
				return
			}
			if p = <-ahead; p.err != nil {
				w.err = p.err
				yield(model.Change{}, p.err)
				return
			}
		}
	}
}

// change makes of a key what the sink is told; not ok: nothing.
func (f *follower) change(kv *mvccpb.KeyValue, deleted bool) (model.Change, bool) {
	key, known, err := f.s.keys.parse(string(kv.Key))
	if err != nil {
		f.trouble(TroubleValue, err)
	}
	if !known {
		return model.Change{}, false
	}
	if deleted {
		return model.Change{Key: key, ModRevision: kv.ModRevision, Deleted: true}, true
	}
	c := decodeChange(key, kv.ModRevision, kv.Value)
	if c.Bad != nil {
		f.trouble(TroubleValue, fmt.Errorf("key %q of revision %d: %w", kv.Key, kv.ModRevision, c.Bad))
	}
	return c, true
}

// decodeChange reads a value of a key under v1/dns/.
func decodeChange(key model.Key, rev int64, raw []byte) model.Change {
	c := model.Change{Key: key, ModRevision: rev, Raw: raw}
	switch key.Kind {
	case model.ZoneKey:
		c.Zone, c.Bad = decodeZone(key.Zone, raw, rev)
	case model.NameKey:
		c.Name, c.Bad = decodeName(raw, rev)
	}
	return c
}
