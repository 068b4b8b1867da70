package store

import (
	"context"
	"math/rand/v2"
	"time"

	"signpost/internal/model"
)

// attempts is how often a change that lost to another is decided again.
const attempts = 30

// Result says what became of an Update.
type Result struct {
	Revision int64 // of the change, or that was looked at when nothing changed
	Changed  bool
}

// Update calls decide until what it decided is committed: all it read compared,
// all it writes and its audit records in one transaction, with a put of
// v1/dns/rev/<zone> for each zone whose answers change. The transaction may be shared
// with changes of others that have nothing to do with it. decide must have no effect
// but through its Tx, for it may be called several times. When it returns an error
// nothing is written. When it writes nothing, or only what is there already,
// neither is anything committed.
//
// Errors: those of decide; Unavailable when etcd cannot commit or cannot be heard
// now (the change may then have been made all the same); Aborted when others kept
// changing what it decides on, or an import has closed the zone; Exhausted when the change is too large for one
// transaction or etcd is full.
func (s *Store) Update(ctx context.Context, decide func(*Tx) error) (Result, error) {
	return s.UpdateFrom(ctx, nil, decide)
}

// UpdateFrom is Update, whose first try goes on with the Tx that a Peek gave, as if it
// had read all that anew: nothing is read twice, and what was concluded from it is
// compared at commit. That Tx is used up. nil is as good.
func (s *Store) UpdateFrom(ctx context.Context, tx *Tx, decide func(*Tx) error) (Result, error) {
	// The copy as it is will do for a change: the commit proves what it rests on. What
	// is not committed rests on nothing, so it is decided once more when the copy has
	// caught up.
	if w := s.copied(); tx == nil && w != nil {
		tx = s.newTx(ctx, w)
	}
	if tx != nil {
		tx.ctx, tx.looks = ctx, false
		if tx.decide(decide) == nil && tx.writesAny() {
			if res, won, err := tx.commit(); err != nil || won {
				return res, err
			}
		}
	}
	for i := range attempts {
		w, err := s.caughtUp(ctx)
		if err != nil {
			return Result{}, err
		}
		tx := s.newTx(ctx, w)
		if err := tx.decide(decide); err != nil {
			return Result{}, err
		}
		res, won, err := tx.commit()
		if err != nil || won {
			return res, err
		}
		if err := sleep(ctx, rand.N(time.Duration(i+1)*2*time.Millisecond)); err != nil {
			return Result{}, translate(err, "change", "")
		}
	}
	return Result{}, model.E(model.Aborted, "change", "").Because("others keep changing the same thing").Hint("try again")
}

// decide plans a change, and looks whether the zones that it changes are open.
func (tx *Tx) decide(decide func(*Tx) error) error {
	if err := decide(tx); err != nil {
		return err
	}
	return tx.checkOpen()
}

// Read gives a look at the state at one revision that etcd had after the call.
// Writes are a bug and panic.
func (s *Store) Read(ctx context.Context, look func(*Tx) error) error {
	w, err := s.caughtUp(ctx)
	if err != nil {
		return err
	}
	return look(s.reading(ctx, w))
}

// Peek gives a look at the state at one revision that may be a little old, and when
// look fails, a second look as Read gives it: so that what it refuses is refused on
// the state of now. Writes are a bug and panic. The Tx of the last look may be given to
// UpdateFrom.
func (s *Store) Peek(ctx context.Context, look func(*Tx) error) error {
	if w := s.copied(); w != nil && look(s.reading(ctx, w)) == nil {
		return nil
	}
	return s.Read(ctx, look)
}

func (s *Store) reading(ctx context.Context, w *world) *Tx {
	tx := s.newTx(ctx, w)
	tx.looks = true
	return tx
}

// newTx looks at w, or at etcd itself when w is nil.
func (s *Store) newTx(ctx context.Context, w *world) *Tx {
	tx := &Tx{ctx: ctx, s: s, world: w}
	if w != nil {
		tx.rev = w.rev
	}
	return tx
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
