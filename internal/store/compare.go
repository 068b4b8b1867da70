package store

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"signpost/internal/model"
)

// compare says whether a sink that has taken all revisions up to rev holds what etcd
// had then: the periodic doubt of everything, of a watch that left something out and
// of ourselves.
func (f *follower) compare(ctx context.Context, rev int64, with func(iter.Seq2[model.Change, error]) (int, error)) *ending {
	n, err := with(f.keysAt(ctx, rev))
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return &ending{TroubleRead, errors.Is(err, rpctypes.ErrCompacted), err}
	case n > 0:
		return &ending{TroubleDiffers, true, fmt.Errorf("follow: %d keys at revision %d differ from what etcd has", n, rev)}
	}
	return nil
}

// keysAt reads the keys of a revision without their values.
func (f *follower) keysAt(ctx context.Context, rev int64) iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		pages := f.pages(f.spans[0], rev)
		pages.keysOnly = true
		defer pages.close()
		for last := false; !last; {
			p := pages.next(ctx)
			if p.err != nil {
				yield(model.Change{}, p.err)
				return
			}
			for _, kv := range p.kvs {
				key, known, err := f.s.keys.parse(string(kv.Key))
				if err == nil && known && !yield(model.Change{Key: key, ModRevision: kv.ModRevision}, nil) {
					return
				}
			}
			last = p.last
		}
	}
}
