package localetcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
)

// Backup copies the data of a stopped etcd to dir, which must not be there yet.
func (s *Server) Backup(dir string) error {
	return os.CopyFS(dir, os.DirFS(s.etcdDir()))
}

// Restore puts what Backup copied in the place of a stopped etcd's data. The cluster's
// id stays. With a bump its revision is that much higher and all before it compacted,
// as by etcdutl's --bump-revision with --mark-compacted.
func (s *Server) Restore(dir string, bump int64) error {
	if err := errors.Join(os.RemoveAll(s.etcdDir()), os.CopyFS(s.etcdDir(), os.DirFS(dir))); err != nil {
		return fmt.Errorf("restore etcd in %s: %w", s.o.Dir, err)
	}
	if bump == 0 {
		return nil
	}
	be := backend.NewDefaultBackend(zap.NewNop(), filepath.Join(s.etcdDir(), "member", "snap", "db"))
	tx := be.BatchTx()
	tx.LockOutsideApply()
	var latest int64
	err := tx.UnsafeForEach(schema.Key, func(k, _ []byte) error {
		latest = max(latest, int64(binary.BigEndian.Uint64(k)))
		return nil
	})
	latest += bump
	rev := mvcc.BucketKey{Revision: mvcc.Revision{Main: latest}}
	tx.UnsafePut(schema.Key, mvcc.BucketKeyToBytes(rev, mvcc.NewRevBytes()), nil)
	mvcc.UnsafeSetScheduledCompact(tx, latest)
	tx.Unlock()
	be.ForceCommit()
	return errors.Join(err, be.Close())
}

func (s *Server) etcdDir() string { return filepath.Join(s.o.Dir, "etcd") }
