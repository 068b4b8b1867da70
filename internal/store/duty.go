package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

const (
	// dutyFor is how long a checker's sign of life outlives it.
	dutyFor = 10 * time.Second
	// lookAgain is how often who stands by looks whether it has ended, about.
	lookAgain = time.Second
)

// Duty is the hold of a checker on its site: while its leased sign of life is there no
// other checker of the site votes, and every write of it compares that it is. It does
// with MonitorRights.
type Duty struct {
	site  string
	s     *Store
	key   string
	lease clientv3.LeaseID
	ctx   context.Context
	end   context.CancelCauseFunc

	mu   sync.Mutex
	term uint64
	life model.CheckerLife
	// create is the create revision of the sign of life: no later one has it.
	create int64
}

var errDutyLost = model.E(model.Aborted, "check", "").Because("the sign of life of this checker has ended: etcd was away for too long, or another monitor of the site has taken over")

// StandBy waits until no other checker of the site shows a sign of life, then shows one
// of its own until the Duty is released or ctx ends. waits is told, each time that it
// looks, who it is that still does; nil: nobody. It returns ctx's error, or one that is
// no matter of waiting, such as missing rights.
func (s *Store) StandBy(ctx context.Context, site string, waits func(*model.CheckerLife, error)) (*Duty, error) {
	var b [8]byte
	rand.Read(b[:])
	holder := hex.EncodeToString(b[:])
	for {
		other, err := s.checkerLife(ctx, site)
		var d *Duty
		if err == nil && other == nil {
			d, err = s.takeSite(ctx, site, holder)
		}
		switch {
		case d != nil:
			return d, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case Refused(err):
			return nil, err
		case waits != nil:
			waits(other, err)
		}
		if err := sleep(ctx, lookAgain/2+jitter(lookAgain)); err != nil {
			return nil, err
		}
	}
}

func (s *Store) checkerLife(ctx context.Context, site string) (*model.CheckerLife, error) {
	resp, err := s.get(ctx, callTimeout, s.keys.life(site))
	if err != nil || len(resp.Kvs) == 0 {
		return nil, err
	}
	return decodeLife(resp.Kvs[0].Value, resp.Kvs[0].ModRevision)
}

// takeSite gives nothing when another was faster.
func (s *Store) takeSite(ctx context.Context, site, holder string) (*Duty, error) {
	d := &Duty{site: site, s: s, key: s.keys.life(site), life: model.CheckerLife{Holder: holder, StartTime: time.Now()}}
	d.ctx, d.end = context.WithCancelCause(ctx)
	cctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	grant, err := s.client.Grant(cctx, int64(dutyFor/time.Second))
	if err != nil {
		return nil, translate(err, "take over checks of", site)
	}
	d.lease = grant.ID
	resp, err := s.client.Txn(cctx).If(clientv3.Compare(clientv3.CreateRevision(d.key), "=", 0)).
		Then(d.putLife(), clientv3.OpGet(s.keys.checker(site))).Commit()
	if err != nil || !resp.Succeeded {
		d.Release()
		return nil, translate(err, "take over checks of", site)
	}
	d.create = resp.Header.Revision
	d.term = newTerm(d.create)
	for _, kv := range resp.Responses[1].GetResponseRange().GetKvs() {
		c, err := decodeChecker(site, kv.Value, kv.ModRevision)
		if err != nil {
			d.Release()
			return nil, err
		}
		d.term = c.Term
	}
	alive, err := s.client.KeepAlive(d.ctx, d.lease)
	if err != nil {
		d.Release()
		return nil, translate(err, "take over checks of", site)
	}
	go func() {
		for range alive { // it ends with d.ctx, or when the lease does
		}
		d.end(errDutyLost)
	}()
	return d, nil
}

// newTerm is never the same twice, as Tx.NewNumber.
func newTerm(rev int64) uint64 { return uint64(rev)<<20 | mathrand.Uint64N(1<<20) }

// Context ends when the Duty does; the cause says why.
func (d *Duty) Context() context.Context { return d.ctx }

// Holder says which sign of life is the Duty's.
func (d *Duty) Holder() string { return d.life.Holder }

// Term is that of the votes: of the registration, or of the one to come.
func (d *Duty) Term() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.term
}

// Release ends the sign of life now instead of soon. What was said stands.
func (d *Duty) Release() {
	d.end(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.ctx), callTimeout)
	defer cancel()
	_, _ = d.s.client.Revoke(ctx, d.lease) // else it ends by itself
}

// Say shows with the sign of life whether the checker doubts itself, and how much it has
// to do. Errors: Aborted when the Duty is lost.
func (d *Duty) Say(ctx context.Context, doubt bool, targets int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.life
	d.life.Doubt, d.life.Targets = doubt, uint32(targets)
	if d.life == was {
		return nil
	}
	err := d.commit(ctx, "show sign of life", nil, d.putLife())
	if err != nil {
		d.life = was
	}
	return err
}

func (d *Duty) putLife() clientv3.Op {
	return clientv3.OpPut(d.key, string(encodeLife(&d.life)), clientv3.WithLease(d.lease))
}

func (d *Duty) mine() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(d.key), "=", d.create)
}

// commit makes a change if the Duty is not lost and all the compares hold, else fails
// with Aborted.
func (d *Duty) commit(ctx context.Context, op string, cmps []clientv3.Cmp, then ...clientv3.Op) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := d.s.client.Txn(ctx).If(append(cmps, d.mine())...).Then(then...).Else(clientv3.OpGet(d.key, clientv3.WithKeysOnly())).Commit()
	if err != nil {
		return translate(err, op, d.site)
	}
	if resp.Succeeded {
		return nil
	}
	if kvs := resp.Responses[0].GetResponseRange().GetKvs(); len(kvs) == 1 && kvs[0].CreateRevision == d.create {
		return model.E(model.Aborted, op, d.site).Because("it was frozen, or is done by now")
	}
	return d.lost()
}

// lost ends a Duty of which etcd says that it has ended.
func (d *Duty) lost() error {
	d.end(errDutyLost)
	return errDutyLost
}
