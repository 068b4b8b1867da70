package store

import (
	"context"
	"iter"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// chunk is how many keys are written or removed in one transaction: one of 20,000
// would stall an etcd member for most of a second.
const chunk = 100

// LoadGeneration writes names as a generation of a zone, in chunks. Nothing of it
// is served until a transaction puts the zone with that generation; until then it
// can be loaded again, changed, or left for Sweep. A name with nil data is
// removed from the generation.
func (s *Store) LoadGeneration(ctx context.Context, zone model.Name, gen uint64, names iter.Seq2[model.Name, *model.NameData]) error {
	ops := make([]clientv3.Op, 0, chunk)
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
		defer cancel()
		_, err := s.client.Txn(ctx).Then(ops...).Commit()
		ops = ops[:0]
		return translate(err, "load names of", zone.Text())
	}
	size := 0
	for name, data := range names {
		key := s.keys.name(zone, gen, name)
		if data == nil {
			ops = append(ops, clientv3.OpDelete(key))
		} else {
			raw := encodeName(data)
			size += len(raw)
			ops = append(ops, clientv3.OpPut(key, string(raw)))
		}
		if len(ops) == chunk || size > 512<<10 { // etcd takes 1.5 MiB in one request
			if err := flush(); err != nil {
				return err
			}
			size = 0
		}
	}
	return flush()
}
