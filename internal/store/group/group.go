// Package group answers one question: which changes share one etcd transaction, and
// what became of each? A change is committed at once when few are; those that come
// meanwhile are committed together when one is through. Each stays a change by itself:
// it is made when all that it compares is so, or not at all, whatever becomes of those
// beside it.
package group

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// mostFlying is how many transactions are under way at most, and mostAtOnce before
	// changes are made to share: further ones go when enough changes wait for them to be
	// worth it.
	mostFlying = 3
	mostAtOnce = 2
	// patience is when a transaction that is not answered no longer counts as one of
	// them: a member of etcd that has fallen silent must not stop those who could reach
	// another.
	patience = 100 * time.Millisecond
	// wariness is how many transactions make each change by itself after one that was to
	// make all was refused: where changes are often in each other's way, it would be tried
	// in vain.
	wariness = 16
	// mostPassed is how many changes that have to wait are passed over in search of
	// others.
	mostPassed = 64
)

// Change is what is to be put and deleted when all the compares hold.
type Change struct {
	If    []Compare
	Then  []Write
	Alone bool // it shares with nobody
}

// Compare holds when Key's mod revision is Mod, which is 0 while it is not there. One with
// an End holds when all that there is in [Key, End) is of before Mod.
type Compare struct {
	Key, End string
	Mod      int64
}

// Write puts a key, without a lease, or deletes it.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
	// Joins says that the value may be put after those of others that join, under the
	// greatest of their keys. Nobody compares or writes such a key.
	Joins bool
}

// Outcome says what became of a change.
type Outcome struct {
	Revision int64 // of the change, or at which it was refused
	Made     bool  // all compares held
}

// Committer commits changes. It is safe for concurrent use.
type Committer struct {
	kv     pb.KVClient
	within time.Duration
	shared func(key string) bool
	// How many transactions may be under way, and for how long one counts.
	places   int
	patience time.Duration

	mu      sync.Mutex
	waiting []*pending // in the order in which they came
	flying  int
	caution int     // how many transactions more make each change by itself
	picked  *window // for takeLocked alone
	passed  *window // likewise
}

// New makes a Committer that gives a transaction this long. Keys that shared
// names may be put by several changes of one transaction, if it does not matter whose
// value they get: they are then put once, and even if none of these changes is made.
//
// kv is a client's own, such as clientv3.RetryKVClient makes: it is given requests in wire
// form.
func New(kv pb.KVClient, within time.Duration, shared func(key string) bool) *Committer {
	return &Committer{kv: kv, within: within, shared: shared, places: mostFlying, patience: patience, picked: newWindow(), passed: newWindow()}
}

// pending is a change on its way.
type pending struct {
	Change
	footprint
	ctx  context.Context
	done chan answer // holds one
}

type answer struct {
	Outcome
	err error
}

// Commit makes a change. Changes of which one writes what the other compares or writes
// are tried in the order in which they came, as long as they wait here. They wait until
// transactions before them are answered or patience with those is at an end. An error is
// etcd's, ctx's, or that of a transaction that took too long. When ctx ends while the change still waits it is not made; after any
// other error nobody knows.
func (c *Committer) Commit(ctx context.Context, ch Change) (Outcome, error) {
	c.mu.Lock()
	if len(c.waiting) == 0 && c.roomLocked(1) {
		landed := c.flyLocked()
		c.mu.Unlock()
		defer landed()
		return c.single(ctx, ch)
	}
	c.mu.Unlock()
	p := &pending{Change: ch, footprint: ch.footprint(c.shared), ctx: ctx, done: make(chan answer, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, p)
	c.launchLocked()
	c.mu.Unlock()
	select {
	case a := <-p.done:
		return a.Outcome, a.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.waiting, p); i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
	}
	return Outcome{}, ctx.Err()
}

// flyLocked counts a transaction as under way until landed is called or patience is at
// an end.
func (c *Committer) flyLocked() (landed func()) {
	c.flying++
	land := sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flying--
		c.launchLocked()
	})
	late := time.AfterFunc(c.patience, land)
	return func() {
		late.Stop()
		land()
	}
}

// roomLocked reports whether a transaction for n changes may go.
func (c *Committer) roomLocked(n int) bool {
	return c.flying < c.places && (c.flying < mostAtOnce || n >= enough)
}

// launchLocked sends what is waiting.
func (c *Committer) launchLocked() {
	for n := len(c.waiting); n > 0 && c.roomLocked(n); n = len(c.waiting) {
		members, together := c.takeLocked()
		landed := c.flyLocked()
		go func() {
			defer landed()
			c.send(members, together)
		}()
	}
}

// takeLocked takes changes that fit together, the first that waits among them, and says
// which shared keys several of them put. A change does not overtake one that it gets in
// the way of.
func (c *Committer) takeLocked() (members []*pending, together map[string][]byte) {
	c.picked.clear()
	c.passed.clear()
	rest := c.waiting[:0]
	for i, p := range c.waiting {
		if c.picked.full() || len(c.passed.members) == mostPassed {
			rest = append(rest, c.waiting[i:]...)
			break
		}
		if c.picked.fits(p) && c.passed.apart(p) {
			c.picked.add(p)
		} else {
			c.passed.add(p)
			rest = append(rest, p)
		}
	}
	clear(c.waiting[len(rest):])
	c.waiting = rest
	return c.picked.members, c.picked.together()
}

// single commits a change by itself.
func (c *Committer) single(ctx context.Context, ch Change) (Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, c.within)
	defer cancel()
	x, err := txn(ctx, c.kv, ch.append(make([]byte, 0, 1<<10), nil, nil))
	if err != nil {
		return Outcome{}, clientv3.ContextError(ctx, err)
	}
	return x.Outcome, nil
}

// send commits changes in one transaction and answers them.
func (c *Committer) send(members []*pending, together map[string][]byte) {
	if len(members) == 1 {
		c.retry(members[0])
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.within) // of no one of them
	defer cancel()
	rev, made, err := c.share(ctx, members, together)
	if err = clientv3.ContextError(ctx, err); refused(err) {
		// Nothing was done. Perhaps one of them is at fault, or they are too many for this
		// etcd.
		var each sync.WaitGroup
		for _, p := range members {
			each.Go(func() { c.retry(p) })
		}
		each.Wait()
		return
	}
	for i, p := range members {
		if err != nil {
			p.done <- answer{err: err}
			continue
		}
		p.done <- answer{Outcome: Outcome{rev, made[i]}}
	}
}

// share commits changes in one transaction and says which of them were made: all of them
// or, when that was refused or is not to be expected, each by itself. A transaction that
// was refused has done nothing.
func (c *Committer) share(ctx context.Context, members []*pending, together map[string][]byte) (rev int64, made []bool, err error) {
	size := 0
	for _, p := range members {
		size += p.size
	}
	if !c.wary() {
		if request, ok := appendFlat(make([]byte, 0, size), members, together); ok {
			x, err := txn(ctx, c.kv, request)
			if err != nil || x.Made {
				return x.Revision, slices.Repeat([]bool{true}, len(members)), err
			}
			c.warned()
		}
	}
	x, err := txn(ctx, c.kv, appendNested(make([]byte, 0, size), members, together))
	switch {
	case err != nil || !x.Made:
		return x.Revision, make([]bool, len(members)), err
	case len(x.each) < len(members):
		return 0, nil, errAnswer
	}
	return x.Revision, x.each, nil
}

// wary reports whether changes are to be made each by itself, because of some that were
// refused not long ago.
func (c *Committer) wary() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caution == 0 {
		return false
	}
	c.caution--
	return true
}

func (c *Committer) warned() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.caution = wariness
}

func (c *Committer) retry(p *pending) {
	o, err := c.single(p.ctx, p.Change)
	p.done <- answer{o, err}
}

// refused reports whether etcd has not even begun with a transaction, because of what it
// is. Not among these is that etcd is full: it says so also of what it has just made.
func refused(err error) bool {
	for _, known := range []error{
		rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge, rpctypes.ErrDuplicateKey,
		rpctypes.ErrEmptyKey, rpctypes.ErrPermissionDenied,
	} {
		if errors.Is(err, known) || errors.Is(rpctypes.Error(err), known) {
			return true
		}
	}
	return false
}
