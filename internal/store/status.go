package store

import (
	"context"
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Status is what etcd says of itself.
type Status struct {
	Cluster    uint64
	Bytes      int64 // size of the member's database
	InUse      int64 // of this, what is not free for new data
	QuotaBytes int64
}

// Status asks the first member that answers.
func (s *Store) Status(ctx context.Context) (Status, error) {
	var last error
	for _, e := range s.client.Endpoints() {
		st, err := s.memberStatus(ctx, e)
		if err == nil {
			return st, nil
		}
		last = err
	}
	return Status{}, last
}

// Members asks each member at its endpoint; those that do not answer are left out, with
// the error of the last. Each has a database of its own, and the fullest decides when etcd
// takes no more.
func (s *Store) Members(ctx context.Context) (map[string]Status, error) {
	out := map[string]Status{}
	var last error
	for _, e := range s.client.Endpoints() {
		st, err := s.memberStatus(ctx, e)
		if err != nil {
			last = err
			continue
		}
		out[e] = st
	}
	return out, last
}

func (s *Store) memberStatus(ctx context.Context, endpoint string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := s.client.Status(ctx, endpoint)
	if err != nil {
		return Status{}, translate(err, "ask etcd for its status", "")
	}
	return Status{
		Cluster: resp.Header.ClusterId, Bytes: resp.DbSize, InUse: resp.DbSizeInUse, QuotaBytes: resp.DbSizeQuota,
	}, nil
}

// History is how far back etcd's goes.
type History struct {
	Revision  int64 // the newest
	Compacted int64 // what was before this is forgotten; 0: nothing is
}

// History asks for what etcd does not say otherwise: a watch from the first revision
// is refused with the revision of the last compaction. Where a read at the first
// revision is not refused, nothing was compacted yet.
func (s *Store) History(ctx context.Context) (History, error) {
	const op = "ask etcd for its history"
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	resp, err := s.get(ctx, callTimeout, s.keys.schema(), clientv3.WithKeysOnly())
	if err != nil {
		return History{}, translate(err, op, "")
	}
	h := History{Revision: resp.Header.Revision}
	if _, err := s.get(ctx, callTimeout, s.keys.schema(), clientv3.WithKeysOnly(), clientv3.WithRev(1)); err == nil {
		return h, nil
	} else if !errors.Is(err, rpctypes.ErrCompacted) {
		return h, translate(err, op, "")
	}
	w := clientv3.NewWatcher(s.client)
	defer w.Close()
	for r := range w.Watch(clientv3.WithRequireLeader(ctx), s.keys.schema(), clientv3.WithRev(1)) {
		if r.CompactRevision != 0 {
			h.Compacted = r.CompactRevision
			return h, nil
		}
	}
	return h, translate(context.DeadlineExceeded, op, "")
}
