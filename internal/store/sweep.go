package store

import (
	"context"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// Sweep removes what nothing refers to any more, in chunks: names of dead
// generations, control values of dead incarnations, results of calls older than
// their time, tokens that ended a month ago, what is said of endpoints that are no more, counts of old orders,
// audit records over their bounds. No answer depends on any of it, so no serial moves. It reports how
// many keys it removed. Several may sweep at once.
//
// A generation of a zone is dead when it is neither the one in use nor that of an
// import's claim. A generation gets names only under its claim or together with its
// zone, and only the holder of that claim can put it in use: so once it is seen to
// have neither, it never will.
func (s *Store) Sweep(ctx context.Context, now time.Time) (int, error) {
	removed := 0
	for _, part := range []func(context.Context, time.Time) (int, error){s.sweepNames, s.sweepHosts, s.sweepPolicies, s.sweepHoldings, s.sweepKept, s.sweepImported, s.sweepUses, s.sweepCertificates, s.sweepChecks, s.sweepSaid, s.sweepTokens, s.sweepRequests, s.sweepAudit} {
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
		claim, err := tx.claim(zone)
		if err != nil || claim != nil && claim.Generation == gen {
			return false, err
		}
		z, err := tx.Zone(zone)
		if model.KindOf(err) == model.NotFound && err != nil {
			return true, nil
		}
		return err == nil && z.Generation != gen, err
	})
}

func (s *Store) sweepHosts(ctx context.Context, now time.Time) (int, error) {
	return s.sweepGroups(ctx, s.keys.anyHost(), isForgotten(now))
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

// removePage is how many keys are looked for at once: for each page etcd counts all
// that follow.
const removePage = 100 * chunk

// removeAll rests after each chunk as long as that took, so that others get on.
func (s *Store) removeAll(ctx context.Context, prefix string) (int, error) {
	removed := 0
	for from := prefix; ; {
		keys, err := s.rangeKeys(ctx, from, prefixEnd(prefix), removePage)
		if err != nil {
			return removed, err
		}
		for some := range slices.Chunk(keys, chunk) {
			begin := time.Now()
			if err := s.removeKeys(ctx, some); err != nil {
				return removed, err
			}
			removed += len(some)
			from = some[len(some)-1]
			if err := sleep(ctx, time.Since(begin)); err != nil {
				return removed, translate(err, "sweep", "")
			}
		}
		if len(keys) < removePage {
			return removed, nil
		}
	}
}

// removeKeys removes at most a chunk of keys in one transaction.
func (s *Store) removeKeys(ctx context.Context, keys []string) error {
	ops := make([]clientv3.Op, len(keys))
	for i, k := range keys {
		ops[i] = clientv3.OpDelete(k)
	}
	return s.sweepWith(ctx, ops)
}

func (s *Store) sweepWith(ctx context.Context, ops []clientv3.Op) error {
	ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
	defer cancel()
	_, err := s.client.Txn(ctx).Then(ops...).Commit()
	return translate(err, "sweep", "")
}

func (s *Store) sweepRequests(ctx context.Context, now time.Time) (int, error) {
	return s.sweepOld(ctx, s.keys.requests(), func(raw []byte, rev int64) ([]byte, bool) { return forget(raw, rev, now) })
}

// sweepOld walks the keys under prefix and puts what forget makes of each in its place,
// nothing if that is nil, unless it is the same.
func (s *Store) sweepOld(ctx context.Context, prefix string, forget func(raw []byte, rev int64) (next []byte, same bool)) (int, error) {
	removed := 0
	for from, end := prefix, prefixEnd(prefix); ; {
		cctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
		resp, err := s.client.Get(cctx, from, clientv3.WithRange(end), clientv3.WithLimit(chunk))
		cancel()
		if err != nil {
			return removed, translate(err, "sweep", "")
		}
		for _, kv := range resp.Kvs {
			key := string(kv.Key)
			from = key + "\x00"
			next, same := forget(kv.Value, kv.ModRevision)
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
