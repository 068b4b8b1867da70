package store

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

const (
	// maxOps is etcd's default --max-txn-ops.
	maxOps = 128
	// callTimeout bounds one read or commit, so that a caller learns of a lost
	// quorum in time to say so.
	callTimeout = 2 * time.Second
)

// Tx is one look at the state at one revision, and what is to be changed. All it
// reads is at that revision, whatever it writes is not seen by its own reads, and
// at commit everything it read is compared: a decision stands only on what is
// still so. Additions to and changes in a range that it listed are noticed too,
// removals from it are not.
//
// A Tx is for one goroutine and ends with the function that it was given to.
type Tx struct {
	ctx    context.Context
	s      *Store
	rev    int64
	world  *world // where kept keys are read; nil: in etcd
	reads  reads
	ranges []span
	drops  []string // keys that go, whatever they hold
	looks  bool     // it may not write
	writes []write  // in the order in which the keys were first written
	audits []model.AuditRecord
	result string       // the key under which the call's result is kept, if it is
	zones  []model.Name // whose answers change
	// everywhere: those of all zones do. alone: nothing is committed beside it.
	everywhere, alone bool
	bad               error        // something was to be written that nobody could read
	losses            []model.Name // of zones' names, that are meant
	ending            model.Name   // the zone whose import ends with this
}

// write is what is planned for a key.
type write struct {
	of    int    // its place in reads
	value []byte // nil: delete
}

type span struct{ from, to string }

// Revision is the revision that everything is read at; it reads it when nothing
// was read yet.
func (tx *Tx) Revision() (int64, error) {
	if tx.rev == 0 {
		if _, err := tx.get(tx.s.keys.schema()); err != nil {
			return 0, err
		}
	}
	return tx.rev, nil
}

// get reads keys, those not yet read in as few round trips as fit, in the order given.
func (tx *Tx) get(keys ...string) ([]held, error) {
	out, err := tx.look(keys...)
	if err == nil {
		for _, k := range keys {
			tx.compare(k)
		}
	}
	return out, err
}

// compare has a key that was read compared by itself.
func (tx *Tx) compare(key string) { tx.reads.all[tx.reads.find(key)].exact = true }

// look is get for keys of which only some matter: whoever knows which has those compared.
func (tx *Tx) look(keys ...string) ([]held, error) {
	out := make([]held, len(keys))
	var missing []string
	for i, k := range keys {
		if at := tx.reads.find(k); at >= 0 {
			out[i] = tx.reads.all[at].held
		} else if tx.inWorld(k) {
			out[i] = tx.world.find(k)
			tx.reads.add(k, out[i])
		} else if !slices.Contains(missing, k) {
			missing = append(missing, k)
		}
	}
	if missing == nil {
		return out, nil
	}
	for batch := range slices.Chunk(missing, maxOps) {
		if err := tx.fetch(batch); err != nil {
			return nil, err
		}
	}
	for i, k := range keys {
		out[i] = tx.reads.all[tx.reads.find(k)].held
	}
	return out, nil
}

func (tx *Tx) fetch(keys []string) error {
	ctx, cancel := context.WithTimeout(tx.ctx, callTimeout)
	defer cancel()
	ops := make([]clientv3.Op, len(keys))
	for i, k := range keys {
		ops[i] = clientv3.OpGet(k, tx.atRevision()...)
	}
	resp, err := tx.s.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return translate(err, "read state", "")
	}
	if tx.rev == 0 {
		tx.rev = resp.Header.Revision
	}
	for i, r := range resp.Responses {
		var h held
		if kvs := r.GetResponseRange().GetKvs(); len(kvs) == 1 {
			h = held{kvs[0].Value, kvs[0].ModRevision}
		}
		tx.reads.add(keys[i], h)
	}
	return nil
}

func (tx *Tx) atRevision() []clientv3.OpOption {
	if tx.rev == 0 {
		return nil
	}
	return []clientv3.OpOption{clientv3.WithRev(tx.rev)}
}

// list reads up to limit keys of [from, to) in key order, or all when limit is 0;
// from and to are kept for comparing.
func (tx *Tx) list(from, to string, limit int64, opts ...clientv3.OpOption) ([]*mvccpb.KeyValue, error) {
	if len(opts) == 0 && tx.inWorld(from) {
		return tx.listed(from, to, tx.world.list(from, to, limit)), nil
	}
	ctx, cancel := context.WithTimeout(tx.ctx, callTimeout*5)
	defer cancel()
	opts = append(append(opts, clientv3.WithRange(to), clientv3.WithLimit(limit)), tx.atRevision()...)
	resp, err := tx.s.client.Get(ctx, from, opts...)
	if err != nil {
		return nil, translate(err, "read state", "")
	}
	if tx.rev == 0 {
		tx.rev = resp.Header.Revision
	}
	return tx.listed(from, to, resp.Kvs), nil
}

// listed takes note of what a range held.
func (tx *Tx) listed(from, to string, kvs []*mvccpb.KeyValue) []*mvccpb.KeyValue {
	tx.ranges = append(tx.ranges, span{from, to})
	for _, kv := range kvs {
		h := held{kv.Value, kv.ModRevision}
		if at := tx.reads.find(string(kv.Key)); at >= 0 {
			tx.reads.all[at].held = h
		} else {
			tx.reads.add(string(kv.Key), h)
		}
	}
	return kvs
}

// one is get for one key.
func (tx *Tx) one(key string) (held, error) {
	at := tx.reads.find(key)
	if at < 0 && tx.inWorld(key) {
		at = tx.reads.add(key, tx.world.find(key))
	}
	if at < 0 {
		all, err := tx.get(key)
		if err != nil {
			return held{}, err
		}
		return all[0], nil
	}
	tx.reads.all[at].exact = true
	return tx.reads.all[at].held, nil
}

func (tx *Tx) inWorld(key string) bool { return tx.world != nil && tx.s.copy.Load().holds(key) }

// put plans a write; nil deletes. Only a key that was read may be written, so that
// it is compared.
func (tx *Tx) put(key string, value []byte) {
	if tx.looks {
		panic("store: a write in Read: " + key)
	}
	at := tx.reads.find(key)
	if at < 0 {
		panic("store: a write of a key that was not read: " + key)
	}
	r := &tx.reads.all[at]
	r.exact = true
	if r.write > 0 {
		tx.writes[r.write-1].value = value
		return
	}
	tx.writes = append(tx.writes, write{at, value})
	r.write = len(tx.writes)
}

// drop plans to delete a key that nothing rests on, unread; by itself that is no change.
func (tx *Tx) drop(key string) { tx.drops = append(tx.drops, key) }

// answers says that the zone's answers change with this transaction, if it
// changes anything.
func (tx *Tx) answers(z model.Name) {
	if !slices.Contains(tx.zones, z) {
		tx.zones = append(tx.zones, z)
	}
}

// Accept says that losing most names of a zone, or the zone, is meant, now or at an
// earlier revision: replicas whose guard holds the zone let go. There need be no such
// zone. By itself it is a change.
func (tx *Tx) Accept(zone model.Name) {
	tx.answers(zone)
	if !slices.Contains(tx.losses, zone) {
		tx.losses = append(tx.losses, zone)
	}
}
