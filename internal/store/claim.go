package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// claimFor is how long a claim outlives its holder.
const claimFor = 15 * time.Second

// Claim is an import's hold on a zone: while it lasts, nobody else imports into the
// zone, and the generation that it names is not swept. It is a leased key, so that it
// ends with its holder, and every write of the import compares it, so that whoever
// has lost it writes nothing more.
type Claim struct {
	Generation uint64 // for the names of the import
	s          *Store
	zone       model.Name
	key        string
	lease      clientv3.LeaseID
	create     int64 // the key's create revision: no later claim has it
	mod        int64 // the key's mod revision: only the holder puts it
	loaded     bool  // Load was called
	value      *storepb.Import
	ctx        context.Context
	end        context.CancelCauseFunc
}

var errClaimLost = model.E(model.Aborted, "import zone", "").Because("the import lost its hold on the zone: etcd was away for too long").Hint("import again")

// ClaimImport claims a zone, which need not be there, for an import. Errors: Aborted
// when somebody else holds it.
func (s *Store) ClaimImport(ctx context.Context, zone model.Name, principal string, now time.Time) (*Claim, error) {
	look, err := s.Look(ctx)
	if err != nil {
		return nil, err
	}
	number, err := look.NewNumber()
	if err != nil {
		return nil, err
	}
	grant, err := s.client.Grant(ctx, int64(claimFor/time.Second))
	if err != nil {
		return nil, translate(err, "claim zone", zone.Text())
	}
	c := &Claim{
		Generation: number, s: s, zone: zone, key: s.keys.imports(zone), lease: grant.ID,
		value: &storepb.Import{Schema: 1, Generation: number, Principal: principal, StartTime: seconds(now)},
	}
	c.ctx, c.end = context.WithCancelCause(ctx)
	if err := c.take(); err != nil {
		c.end(nil)
		c.revoke()
		return nil, err
	}
	return c, nil
}

func (c *Claim) take() error {
	resp, err := c.commit(clientv3.Compare(clientv3.CreateRevision(c.key), "=", 0),
		[]clientv3.Op{c.put()}, clientv3.OpGet(c.key))
	if err != nil {
		return err
	}
	if !resp.Succeeded {
		by := &model.Import{}
		if kvs := resp.Responses[0].GetResponseRange().GetKvs(); len(kvs) == 1 {
			if p, err := decodeImport(kvs[0].Value); err == nil {
				by = p
			}
		}
		return busy(c.zone, by)
	}
	c.create, c.mod = resp.Header.Revision, resp.Header.Revision
	alive, err := c.s.client.KeepAlive(c.ctx, c.lease)
	if err != nil {
		return translate(err, "claim zone", c.zone.Text())
	}
	go func() {
		for range alive { // it ends with c.ctx, or when the lease does
		}
		c.end(errClaimLost)
	}()
	return nil
}

// Unclaimed fails with Aborted, as ClaimImport does, when an import of the zone is
// under way.
func (tx *Tx) Unclaimed(zone model.Name) error {
	by, err := tx.claim(zone)
	if err != nil || by == nil {
		return err
	}
	return busy(zone, by)
}

func busy(zone model.Name, by *model.Import) error {
	why := "another import of it is under way, begun by " + by.Principal + " at " + by.StartTime.UTC().Format(time.RFC3339)
	return model.E(model.Aborted, "import zone", zone.Text()).Because(why).
		Hint("try again when it is done: signpost zone show " + zone.Text() + " says how far it is")
}

// Context ends when the claim does; the cause says why.
func (c *Claim) Context() context.Context { return c.ctx }

// CloseZone has all changes of the zone's answers refused, by every control service,
// from its return until the claim ends. What is being committed when it is called is
// either done before its return or refused.
func (c *Claim) CloseZone() error {
	c.value.Closed = true
	return c.renew()
}

// renew puts the claim's key. What was sent before with a compare of unmoved and is
// still under way, given up here but not by the network, writes nothing from then on.
func (c *Claim) renew() error {
	return persist(c.ctx, func() error {
		resp, err := c.commit(c.unmoved(), []clientv3.Op{c.put()}, clientv3.OpGet(c.key))
		if err != nil {
			return err
		}
		c.mod = resp.Header.Revision
		if !resp.Succeeded { // a try of which nothing was heard may have been made
			kvs := resp.Responses[0].GetResponseRange().GetKvs()
			if len(kvs) != 1 || kvs[0].CreateRevision != c.create {
				return errClaimLost
			}
			c.mod = kvs[0].ModRevision
		}
		return nil
	})
}

// Report shows how far the import is to those who look at the zone.
func (c *Claim) Report(p model.ImportProgress) error {
	raw := encode(&storepb.ImportProgress{Schema: 1, Phase: p.Phase, Done: p.Done, Total: p.Total})
	resp, err := c.commit(c.mine(), []clientv3.Op{clientv3.OpPut(c.s.keys.live(c.zone), string(raw), clientv3.WithLease(c.lease))})
	if err == nil && !resp.Succeeded {
		err = errClaimLost
	}
	return err
}

// Release ends the claim, if EndImport has not, and removes what was loaded for it
// when that is certain not to be in use; what it leaves is for Sweep. ctx bounds it.
func (c *Claim) Release(ctx context.Context) (removed int, err error) {
	if c.ctx.Err() == nil {
		c.end(nil)
	}
	c.ctx = ctx
	resp, err := c.commit(c.mine(), []clientv3.Op{clientv3.OpDelete(c.key)})
	c.revoke()
	if err != nil || !resp.Succeeded {
		return 0, err // ended by EndImport or lost: others may have been here since
	}
	// The claim was there until now, so no transaction has put the zone with this
	// generation, and none will.
	return c.s.removeAll(ctx, c.s.keys.gen(c.zone, c.Generation))
}

// revoke ends the lease now instead of soon.
func (c *Claim) revoke() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), callTimeout)
	defer cancel()
	_, _ = c.s.client.Revoke(ctx, c.lease) // else it ends by itself
}

func (c *Claim) put() clientv3.Op {
	return clientv3.OpPut(c.key, string(encode(c.value)), clientv3.WithLease(c.lease))
}

func (c *Claim) mine() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(c.key), "=", c.create)
}

// unmoved is mine, and that the key was not put again either.
func (c *Claim) unmoved() clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(c.key), "=", c.mod)
}

func (c *Claim) commit(cmp clientv3.Cmp, then []clientv3.Op, otherwise ...clientv3.Op) (*clientv3.TxnResponse, error) {
	ctx, cancel := context.WithTimeout(c.ctx, 5*callTimeout)
	defer cancel()
	resp, err := c.s.client.Txn(ctx).If(cmp).Then(then...).Else(otherwise...).Commit()
	if err != nil {
		if lost := context.Cause(c.ctx); lost != nil && c.ctx.Err() != nil {
			err = lost
		}
		return nil, translate(err, "import zone", c.zone.Text())
	}
	return resp, nil
}

// EndImport ends an import with the transaction, which puts the zone with its
// generation. Errors: Aborted when the claim is lost.
func (tx *Tx) EndImport(c *Claim) error {
	kvs, err := tx.get(c.key)
	if err != nil {
		return err
	}
	if !kvs[0].there() {
		return errClaimLost
	}
	if now, err := decodeImport(kvs[0].value); err != nil || now.Generation != c.Generation {
		return errClaimLost // no two claims have one generation
	}
	tx.put(c.key, nil)
	tx.ending = c.zone
	return nil
}

// checkOpen refuses a change of the answers of a zone that an import has closed. The
// claim is compared at commit, so that a change and a closing cannot pass each other.
func (tx *Tx) checkOpen() error {
	for _, zone := range tx.zones {
		if zone == tx.ending {
			continue
		}
		claim, err := tx.claim(zone)
		if err != nil {
			return err
		}
		if claim == nil || !claim.Closed {
			continue
		}
		if _, changed := tx.ops(); changed {
			return model.E(model.Aborted, "change", zone.Text()).Because("the zone is being imported").Hint("try again")
		}
	}
	return nil
}

// Import is the import of a zone that is under way, and how far it is; nil when there
// is none.
func (tx *Tx) Import(zone model.Name) (*model.Import, error) {
	claim, err := tx.claim(zone)
	if err != nil || claim == nil {
		return nil, err
	}
	kvs, err := tx.get(tx.s.keys.live(zone))
	if err != nil || !kvs[0].there() {
		return claim, err
	}
	var p storepb.ImportProgress
	if err := decode("progress of an import", kvs[0].value, &p); err != nil {
		return nil, err
	}
	claim.Progress = model.ImportProgress{Phase: p.Phase, Done: p.Done, Total: p.Total}
	return claim, nil
}

func (tx *Tx) claim(zone model.Name) (*model.Import, error) {
	h, err := tx.one(tx.s.keys.imports(zone))
	if err != nil || !h.there() {
		return nil, err
	}
	return decodeImport(h.value)
}
