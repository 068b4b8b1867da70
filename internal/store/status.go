package store

import "context"

// Status is what etcd says of itself.
type Status struct {
	Cluster    uint64
	Bytes      int64 // size of the member's database
	QuotaBytes int64
}

// Status asks the first member that answers.
func (s *Store) Status(ctx context.Context) (Status, error) {
	var last error
	for _, e := range s.client.Endpoints() {
		cctx, cancel := context.WithTimeout(ctx, callTimeout)
		resp, err := s.client.Status(cctx, e)
		cancel()
		if err == nil {
			return Status{Cluster: resp.Header.ClusterId, Bytes: resp.DbSize, QuotaBytes: resp.DbSizeQuota}, nil
		}
		last = err
	}
	return Status{}, translate(last, "ask etcd for its status", "")
}
