package store

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// sweepChecks removes checks of dead incarnations, and of hosts that an import took
// away.
func (s *Store) sweepChecks(ctx context.Context, _ time.Time) (int, error) {
	removed, err := s.sweepGroups(ctx, s.keys.checks(), isDeadIncarnation)
	if err != nil {
		return removed, err
	}
	n, err := s.sweepDead(ctx, s.keys.checks(), (*Tx).isOfNoHost)
	return removed + n, err
}

// sweepSaid removes what is said of hosts and endpoints that are no more, or by checkers
// that are no more.
func (s *Store) sweepSaid(ctx context.Context, _ time.Time) (int, error) {
	removed := 0
	for _, of := range []struct {
		prefix string
		dead   func(*Tx, model.Key, *mvccpb.KeyValue) (bool, error)
	}{
		{s.keys.anyVote(), (*Tx).isDeadVote}, {s.keys.overs(), (*Tx).isDeadOver},
		{s.keys.hostWords(), (*Tx).isDeadWord}, {s.keys.endpointWords(), (*Tx).isDeadWord},
	} {
		n, err := s.sweepDead(ctx, of.prefix, of.dead)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// sweepDead walks the keys under prefix, some at a time, and removes those that are
// dead, if they are still as they were when all that makes them dead was so.
func (s *Store) sweepDead(ctx context.Context, prefix string, dead func(*Tx, model.Key, *mvccpb.KeyValue) (bool, error)) (int, error) {
	removed := 0
	for from, more := prefix, true; more; {
		var ops []clientv3.Op
		if err := s.Read(ctx, func(tx *Tx) error {
			kvs, err := tx.list(from, prefixEnd(prefix), sweepPage)
			if err != nil {
				return err
			}
			if more = len(kvs) == sweepPage; more {
				from = string(kvs[len(kvs)-1].Key) + "\x00"
			}
			for _, kv := range kvs {
				key, ok, err := s.keys.parse(string(kv.Key))
				if err != nil || !ok {
					continue // not ours; etcdctl shows it
				}
				isDead, err := dead(tx, key, kv)
				if err != nil && model.KindOf(err) != model.Internal {
					return err
				}
				if isDead {
					same := clientv3.Compare(clientv3.ModRevision(string(kv.Key)), "=", kv.ModRevision)
					ops = append(ops, clientv3.OpTxn([]clientv3.Cmp{same}, []clientv3.Op{clientv3.OpDelete(string(kv.Key))}, nil))
				}
			}
			return nil
		}); err != nil {
			return removed, err
		}
		for some := range slices.Chunk(ops, chunk) {
			n, err := s.removeSame(ctx, some)
			removed += n
			if err != nil {
				return removed, err
			}
		}
	}
	return removed, nil
}

// sweepPage is how many keys are looked at on one revision.
const sweepPage = 10 * chunk

// removeSame commits ops, and rests as long as that took, so that others get on.
func (s *Store) removeSame(ctx context.Context, ops []clientv3.Op) (removed int, err error) {
	begin := time.Now()
	cctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	resp, err := s.client.Txn(cctx).Then(ops...).Commit()
	if err != nil {
		return 0, translate(err, "sweep", "")
	}
	for _, r := range resp.Responses {
		if r.GetResponseTxn().GetSucceeded() {
			removed++
		}
	}
	return removed, translate(sleep(ctx, time.Since(begin)), "sweep", "")
}

// hostNow is the host that a key is about, as it is now, and its zone; nil: there is none.
func (tx *Tx) hostNow(k model.Key) (*model.Zone, *model.Host, error) {
	z, err := tx.Zone(k.Zone)
	if err != nil {
		if model.KindOf(err) == model.NotFound {
			err = nil
		}
		return nil, nil, err
	}
	datas, err := tx.Datas(z, k.Name)
	if err != nil || datas[0] == nil {
		return z, nil, err
	}
	return z, datas[0].Host, nil
}

func (tx *Tx) isOfNoHost(k model.Key, _ *mvccpb.KeyValue) (bool, error) {
	_, h, err := tx.hostNow(k)
	return h == nil && err == nil, err
}

func (tx *Tx) isDeadWord(k model.Key, kv *mvccpb.KeyValue) (bool, error) {
	z, h, err := tx.hostNow(k)
	if err != nil || h == nil {
		return err == nil, err
	}
	w, err := decodeWord(kv.Value, kv.ModRevision)
	if err != nil {
		return false, err
	}
	return w.Incarnation != z.Incarnation || k.Kind == model.EndpointWordKey && h.Endpoint(k.Endpoint) == nil, nil
}

func (tx *Tx) isDeadOver(k model.Key, kv *mvccpb.KeyValue) (bool, error) {
	_, h, err := tx.hostNow(k)
	if err != nil || h == nil {
		return err == nil, err
	}
	o, err := decodeOver(kv.Value, kv.ModRevision)
	if err != nil {
		return false, err
	}
	e := h.Endpoint(k.Endpoint)
	return e == nil || e.Generation != o.Generation, nil
}

// isDeadVote: a checker votes before it registers, so what a site without a registration
// says is dead only when nobody there shows a sign of life either.
func (tx *Tx) isDeadVote(k model.Key, kv *mvccpb.KeyValue) (bool, error) {
	v, err := decodeVote(k.Site, k.Endpoint, kv.Value, kv.ModRevision)
	if err != nil {
		return false, err
	}
	registered, err := tx.one(tx.s.keys.checker(k.Site))
	if err != nil {
		return false, err
	}
	if registered.there() {
		c, err := decodeChecker(k.Site, registered.value, registered.mod)
		if err != nil || c.Term != v.Term {
			return err == nil, err
		}
	} else if alive, err := tx.one(tx.s.keys.life(k.Site)); err != nil || !alive.there() {
		return err == nil, err
	}
	_, h, err := tx.hostNow(k)
	if err != nil || h == nil {
		return err == nil, err
	}
	e := h.Endpoint(k.Endpoint)
	return e == nil || e.Generation != v.Generation, nil
}
