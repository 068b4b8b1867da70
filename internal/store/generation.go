package store

import (
	"context"
	"iter"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

const (
	// chunk is how many keys are written or removed in one transaction: one of 20,000
	// would stall an etcd member for most of a second.
	chunk = 100
	// chunksInFlight is how many such transactions an import has under way.
	chunksInFlight = 8
	chunkBytes     = 512 << 10 // etcd takes 1.5 MiB in one request
	chunkTries     = 5
	copyBehind     = 5 * time.Second
)

// Load writes names into the claim's generation, in chunks, several at once; done is
// told how many were written. Nothing of it is served until a transaction puts the
// zone with that generation. A name with nil data is removed from it. No name may
// come twice in one call; what a later call says of it stands, whatever of an earlier
// one is still under way. Errors: Aborted when the claim is lost.
func (c *Claim) Load(names iter.Seq2[model.Name, *model.NameData], done func(int)) error {
	if c.loaded {
		if err := c.renew(); err != nil {
			return err
		}
	}
	c.loaded = true
	ctx, cancel := context.WithCancelCause(c.ctx)
	defer cancel(nil)
	var writing sync.WaitGroup
	slots := make(chan struct{}, chunksInFlight)
	var ops []clientv3.Op
	size := 0
	flush := func() bool {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return false
		}
		full := ops
		ops, size = make([]clientv3.Op, 0, chunk), 0
		writing.Go(func() {
			defer func() { <-slots }()
			if err := c.writeChunk(ctx, full); err != nil {
				cancel(err)
				return
			}
			done(len(full))
		})
		return true
	}
	on := true
	for name, data := range names {
		key := c.s.keys.name(c.zone, c.Generation, name)
		if data == nil {
			ops = append(ops, clientv3.OpDelete(key))
		} else {
			raw := encodeName(data)
			size += len(raw)
			ops = append(ops, clientv3.OpPut(key, string(raw)))
		}
		if len(ops) == chunk || size > chunkBytes {
			if on = flush(); !on {
				break
			}
		}
	}
	if on && len(ops) > 0 {
		flush()
	}
	writing.Wait()
	if ctx.Err() != nil {
		return translate(context.Cause(ctx), "load names of", c.zone.Text())
	}
	return nil
}

// writeChunk also waits for the copy in memory, so that an import does not leave it
// behind and all other calls waiting for it. A member that is away for a moment does
// not end an import: the same puts may be made twice. A try that was given up may reach
// etcd late; it is refused when the claim's key was put since, as each Load does first,
// so that it is never put over what a later Load has written or removed.
func (c *Claim) writeChunk(ctx context.Context, ops []clientv3.Op) error {
	return persist(ctx, func() error {
		resp, err := c.commit(c.unmoved(), ops)
		if err == nil && !resp.Succeeded {
			err = errClaimLost
		}
		if err == nil {
			c.s.awaitCopy(ctx, resp.Header.Revision)
		}
		return err
	})
}

// persist tries some times while etcd is away.
func persist(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || model.KindOf(err) != model.Unavailable || try == chunkTries || ctx.Err() != nil {
			return err
		}
		if err := sleep(ctx, time.Duration(try)*500*time.Millisecond); err != nil {
			return err
		}
	}
}

// awaitCopy returns when the copy has come to a revision that changed what it keeps,
// when there is none, or after a while.
func (s *Store) awaitCopy(ctx context.Context, rev int64) {
	k := s.copy.Load()
	if k == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, copyBehind)
	defer cancel()
	for {
		k.mu.Lock()
		moved := k.moved
		k.mu.Unlock()
		if w := k.now.Load(); w == nil || w.rev >= rev {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}
