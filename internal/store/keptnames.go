package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// KeptNames reads for whom names of a zone are kept after their hosts were deleted, nil
// for those that are not.
func (tx *Tx) KeptNames(z *model.Zone, names ...model.Name) ([]*model.KeptName, error) {
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = tx.s.keys.kept(*z, n)
	}
	kvs, err := tx.get(keys...)
	if err != nil {
		return nil, err
	}
	out := make([]*model.KeptName, len(names))
	for i, kv := range kvs {
		if kv.there() {
			if out[i], err = decodeKept(kv.value); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// KeptSince is KeptNames for those of a former incarnation of a zone: the names of hosts
// that it had, and those that were kept in it.
func (tx *Tx) KeptSince(z *model.Zone, f model.Former, names ...model.Name) ([]*model.KeptName, error) {
	then := *z
	then.Incarnation = f.Incarnation
	out, err := tx.KeptNames(&then, names...)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = tx.s.keys.host(then, n)
	}
	kvs, err := tx.get(keys...)
	if err != nil {
		return nil, err
	}
	for i, kv := range kvs {
		if !kv.there() {
			continue
		}
		h, err := decodeHostControl(kv.value, kv.mod)
		if err != nil {
			return nil, err
		}
		out[i] = h.Kept(f.ExpireTime)
	}
	return out, nil
}

// KeptBelow is the names strictly below one that are kept, with for whom and until when,
// and those of former incarnations of the zone; of each incarnation at most limit are looked
// at. One that comes before the commit makes the change be decided again.
func (tx *Tx) KeptBelow(z *model.Zone, formers []model.Former, name model.Name, limit int) (map[model.Name]*model.KeptName, error) {
	out := map[model.Name]*model.KeptName{}
	for _, f := range formers {
		then := *z
		then.Incarnation = f.Incarnation
		if err := tx.keptBelow(out, &then, tx.s.keys.kept(then, name), limit, keptAt); err != nil {
			return nil, err
		}
		if err := tx.keptBelow(out, &then, tx.s.keys.host(then, name), limit, func(kv *mvccpb.KeyValue) (*model.KeptName, error) {
			h, err := decodeHostControl(kv.Value, kv.ModRevision)
			if err != nil {
				return nil, err
			}
			return h.Kept(f.ExpireTime), nil
		}); err != nil {
			return nil, err
		}
	}
	return out, tx.keptBelow(out, z, tx.s.keys.kept(*z, name), limit, keptAt)
}

func keptAt(kv *mvccpb.KeyValue) (*model.KeptName, error) { return decodeKept(kv.Value) }

func (tx *Tx) keptBelow(out map[model.Name]*model.KeptName, z *model.Zone, from string, limit int, read func(*mvccpb.KeyValue) (*model.KeptName, error)) error {
	kvs, err := tx.list(from+"\x00", prefixEnd(from), int64(limit))
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		key := string(kv.Key)
		_, _, name, err := parseNameKey(reversed(z.Name), strconv.FormatUint(z.Incarnation, 10), key[strings.LastIndexByte(key, '/')+1:])
		if err != nil {
			return err
		}
		if out[name], err = read(kv); err != nil {
			return err
		}
	}
	return nil
}

// PutKeptName keeps a name that was looked for with KeptNames; nil lets it go.
func (tx *Tx) PutKeptName(z *model.Zone, name model.Name, k *model.KeptName) {
	var raw []byte
	if k != nil {
		raw = encodeKept(k)
	}
	tx.put(tx.s.keys.kept(*z, name), raw)
}

// sweepKept removes names whose time is over, and those of dead incarnations.
func (s *Store) sweepKept(ctx context.Context, now time.Time) (int, error) {
	removed, err := s.sweepGroups(ctx, s.keys.anyKept(), isForgotten(now))
	if err != nil {
		return removed, err
	}
	n, err := s.sweepOld(ctx, s.keys.anyKept(), func(raw []byte, _ int64) ([]byte, bool) {
		k, err := decodeKept(raw)
		return nil, err != nil || now.Before(k.ExpireTime)
	})
	return removed + n, err
}

// isForgotten reports whether an incarnation is dead and none of its names are kept.
func isForgotten(now time.Time) func(*Tx, model.Name, uint64) (bool, error) {
	return func(tx *Tx, zone model.Name, inc uint64) (bool, error) {
		dead, err := isDeadIncarnation(tx, zone, inc)
		if !dead || err != nil {
			return dead, err
		}
		z, err := tx.Zone(zone)
		if err != nil {
			return model.KindOf(err) == model.NotFound, nil
		}
		policy, err := tx.Policy(z)
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(policy.Formers, func(f model.Former) bool { return f.Incarnation == inc && now.Before(f.ExpireTime) }), nil
	}
}

func encodeFormers(in []model.Former) (out []*storepb.Former) {
	for _, f := range in {
		out = append(out, &storepb.Former{Incarnation: f.Incarnation, ExpireTime: seconds(f.ExpireTime)})
	}
	return out
}

func decodeFormers(in []*storepb.Former) (out []model.Former) {
	for _, f := range in {
		out = append(out, model.Former{Incarnation: f.Incarnation, ExpireTime: fromSeconds(f.ExpireTime)})
	}
	return out
}

func encodeKept(k *model.KeptName) []byte {
	return encode(&storepb.KeptName{Schema: 1, Owner: k.Owner, ExpireTime: seconds(k.ExpireTime)})
}

func decodeKept(raw []byte) (*model.KeptName, error) {
	var p storepb.KeptName
	if err := decode("kept name", raw, &p); err != nil {
		return nil, err
	}
	return &model.KeptName{Owner: p.Owner, ExpireTime: fromSeconds(p.ExpireTime)}, nil
}
