package store

import (
	"context"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// Sweep removes what nothing refers to any more, in chunks: names of dead
// generations, control values of dead incarnations, results of calls older than
// their time, audit records over their bounds. No answer depends on any of it, so no serial moves. It reports how
// many keys it removed. Several may sweep at once.
//
// A generation of a zone is dead when it is older than the one in use, or, where
// there is no such zone, older than the zone's end: a generation that is being
// loaded is younger than both.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	removed := 0
	for _, part := range []func(context.Context, time.Time) (int, error){s.sweepNames, s.sweepHosts, s.sweepRequests, s.sweepAudit} {
		n, err := part(ctx, now)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Store) sweepNames(ctx context.Context, _ time.Time) (int, error) {
	return s.sweepGroups(ctx, s.keys.anyName(), func(tx *Tx, zone model.Name, gen uint64) (bool, error) {
		z, err := tx.Zone(zone)
		switch {
		case err == nil:
			return gen < z.Generation, nil
		case model.KindOf(err) != model.NotFound:
			return false, err
		}
		rev, err := tx.ZoneRevision(zone)
		return int64(gen>>20) < rev, err
	})
}

func (s *Store) sweepHosts(ctx context.Context, _ time.Time) (int, error) {
	return s.sweepGroups(ctx, s.keys.anyHost(), func(tx *Tx, zone model.Name, inc uint64) (bool, error) {
		z, err := tx.Zone(zone)
		if model.KindOf(err) == model.NotFound && err != nil {
			return true, nil // hosts are only made together with a look at their zone
		}
		return err == nil && z.Incarnation != inc, err
	})
}

// sweepGroups walks the groups <zone>/<number>/ under prefix and removes those
// that are dead.
func (s *Store) sweepGroups(ctx context.Context, prefix string, dead func(*Tx, model.Name, uint64) (bool, error)) (int, error) {
	removed := 0
	for from, end := prefix, prefixEnd(prefix); ; {
		resp, err := s.rangeKeys(ctx, from, end, 1)
		if err != nil || len(resp) == 0 {
			return removed, err
		}
		zone, rest, _ := strings.Cut(strings.TrimPrefix(resp[0], prefix), "/")
		number, _, _ := strings.Cut(rest, "/")
		group := prefix + zone + "/" + number + "/"
		from = prefixEnd(group)
		n, z, ok := parseGroup(zone, number)
		if !ok {
			continue // not ours; etcdctl shows it
		}
		isDead := false
		if err := s.Read(ctx, func(tx *Tx) error {
			var err error
			isDead, err = dead(tx, z, n)
			return err
		}); err != nil && model.KindOf(err) != model.Internal {
			return removed, err
		}
		if isDead {
			n, err := s.removeAll(ctx, group)
			removed += n
			if err != nil {
				return removed, err
			}
		}
	}
}

func parseGroup(zone, number string) (uint64, model.Name, bool) {
	z, err := unreverse(zone)
	if err != nil {
		return 0, "", false
	}
	n, _, _, err := parseNameKey(zone, number, "x.")
	return n, z, err == nil
}

func (s *Store) rangeKeys(ctx context.Context, from, to string, limit int64) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, from, clientv3.WithRange(to), clientv3.WithLimit(limit), clientv3.WithKeysOnly())
	if err != nil {
		return nil, translate(err, "sweep", "")
	}
	keys := make([]string, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		keys[i] = string(kv.Key)
	}
	return keys, nil
}

func (s *Store) removeAll(ctx context.Context, prefix string) (int, error) {
	removed := 0
	for {
		keys, err := s.rangeKeys(ctx, prefix, prefixEnd(prefix), chunk)
		if err != nil || len(keys) == 0 {
			return removed, err
		}
		if err := s.removeKeys(ctx, keys); err != nil {
			return removed, err
		}
		removed += len(keys)
	}
}

// removeKeys removes at most a chunk of keys in one transaction.
func (s *Store) removeKeys(ctx context.Context, keys []string) error {
	ops := make([]clientv3.Op, len(keys))
	for i, k := range keys {
		ops[i] = clientv3.OpDelete(k)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	_, err := s.client.Txn(ctx).Then(ops...).Commit()
	return translate(err, "sweep", "")
}

func (s *Store) sweepRequests(ctx context.Context, now time.Time) (int, error) {
	removed := 0
	for from, end := s.keys.requests(), prefixEnd(s.keys.requests()); ; {
		cctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
		resp, err := s.client.Get(cctx, from, clientv3.WithRange(end), clientv3.WithLimit(chunk))
		cancel()
		if err != nil {
			return removed, translate(err, "sweep", "")
		}
		for _, kv := range resp.Kvs {
			key := string(kv.Key)
			from = key + "\x00"
			next, same := forget(kv.Value, kv.ModRevision, now)
			if same {
				continue
			}
			op := clientv3.OpDelete(key)
			if next != nil {
				op = clientv3.OpPut(key, string(next))
			} else {
				removed++
			}
			cctx, cancel := context.WithTimeout(ctx, callTimeout)
			_, err := s.client.Txn(cctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision)).Then(op).Commit()
			cancel()
			if err != nil {
				return removed, translate(err, "sweep", "")
			}
		}
		if !resp.More {
			return removed, nil
		}
	}
}
