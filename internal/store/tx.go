package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
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
	world  *world                      // where kept keys are read; nil: in etcd
	seen   map[string]*mvccpb.KeyValue // nil: read and absent
	exact  map[string]bool             // of seen: to be compared one by one
	ranges []span
	writes map[string][]byte // nil: delete
	order  []string          // keys of writes, as first written
	audits []model.AuditRecord
	result string // the key under which the call's result is kept, if it is
	zones  map[model.Name]bool
	bad    error               // something was to be written that nobody could read
	losses map[model.Name]bool // of zones' names, that are meant
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
func (tx *Tx) get(keys ...string) ([]*mvccpb.KeyValue, error) {
	var missing []string
	for _, k := range keys {
		if _, ok := tx.seen[k]; !ok && tx.inWorld(k) {
			tx.seen[k] = tx.world.find(k)
		} else if !ok && !slices.Contains(missing, k) {
			missing = append(missing, k)
		}
		tx.exact[k] = true
	}
	for batch := range slices.Chunk(missing, maxOps) {
		if err := tx.fetch(batch); err != nil {
			return nil, err
		}
	}
	out := make([]*mvccpb.KeyValue, len(keys))
	for i, k := range keys {
		out[i] = tx.seen[k]
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
		tx.seen[keys[i]] = nil
		if kvs := r.GetResponseRange().GetKvs(); len(kvs) == 1 {
			tx.seen[keys[i]] = kvs[0]
		}
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
		tx.seen[string(kv.Key)] = kv
	}
	return kvs
}

func (tx *Tx) inWorld(key string) bool { return tx.world != nil && tx.s.copy.Load().holds(key) }

// put plans a write; nil deletes. Only a key that was read may be written, so that
// it is compared.
func (tx *Tx) put(key string, value []byte) {
	if tx.writes == nil {
		panic("store: a write in Read: " + key)
	}
	if _, ok := tx.seen[key]; !ok {
		panic("store: a write of a key that was not read: " + key)
	}
	if _, ok := tx.writes[key]; !ok {
		tx.order = append(tx.order, key)
	}
	tx.writes[key] = value
	tx.exact[key] = true
}

// answers says that the zone's answers change with this transaction, if it
// changes anything.
func (tx *Tx) answers(z model.Name) { tx.zones[z] = true }

// Accept says that losing most names of a zone, or the zone, is meant, now or at an
// earlier revision: replicas whose guard holds the zone let go. There need be no such
// zone. By itself it is a change.
func (tx *Tx) Accept(zone model.Name) {
	tx.answers(zone)
	tx.losses[zone] = true
}

// ops is what is really to be written, and whether that is a change.
func (tx *Tx) ops() (ops []clientv3.Op, changed bool) {
	for _, k := range tx.order {
		old, v := tx.seen[k], tx.writes[k]
		if v == nil && old == nil || v != nil && old != nil && bytes.Equal(v, old.Value) {
			continue
		}
		changed = changed || k != tx.result
		if v == nil {
			ops = append(ops, clientv3.OpDelete(k))
		} else {
			ops = append(ops, clientv3.OpPut(k, string(v)))
		}
	}
	if !changed && len(tx.losses) == 0 {
		return ops, false
	}
	for z := range tx.losses {
		ops = append(ops, clientv3.OpPut(tx.s.keys.accept(z), strconv.FormatInt(tx.rev, 10)))
	}
	for z := range tx.zones {
		ops = append(ops, clientv3.OpPut(tx.s.keys.rev(z), ""))
	}
	for i := range tx.audits {
		ops = append(ops, clientv3.OpPut(tx.s.keys.audit(newAuditID(tx.audits[i].Time, tx.rev)), string(encodeAudit(&tx.audits[i]))))
	}
	return ops, true
}

// writesAny reports whether there is anything to commit.
func (tx *Tx) writesAny() bool {
	ops, _ := tx.ops()
	return len(ops) > 0
}

func (tx *Tx) commit() (Result, bool, error) {
	rev, err := tx.Revision()
	if err = errors.Join(err, tx.bad); err != nil {
		return Result{}, false, err
	}
	ops, changed := tx.ops()
	if len(ops) == 0 {
		return Result{Revision: rev}, true, nil
	}
	cmps := tx.compares()
	if len(ops) > maxOps || len(cmps) > maxOps {
		return Result{}, false, model.E(model.Exhausted, "change", "").Because("it touches too many names at once").Hint("do it in smaller steps")
	}
	ctx, cancel := context.WithTimeout(tx.ctx, callTimeout)
	defer cancel()
	resp, err := tx.s.client.Txn(ctx).If(cmps...).Then(ops...).Commit()
	if err != nil {
		return Result{}, false, unknownOutcome(err)
	}
	return Result{Revision: resp.Header.Revision, Changed: changed}, resp.Succeeded, nil
}

// compares is one for each key that was read by itself or is written, and one for
// each range.
func (tx *Tx) compares() []clientv3.Cmp {
	var cmps []clientv3.Cmp
	for k := range tx.exact {
		var mod int64
		if kv := tx.seen[k]; kv != nil {
			mod = kv.ModRevision
		}
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(k), "=", mod))
	}
	for _, r := range tx.ranges {
		cmps = append(cmps, clientv3.Compare(clientv3.ModRevision(r.from), "<", tx.rev+1).WithRange(r.to))
	}
	return cmps
}
