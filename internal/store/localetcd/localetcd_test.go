package localetcd_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"signpost/internal/store/localetcd"
)

func TestDataAndPortSurviveARestart(t *testing.T) {
	begin := time.Now()
	s := localetcd.New(t)
	t.Logf("ready after %v", time.Since(begin))
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := client.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	watch := client.Watch(ctx, "k", clientv3.WithRev(3)) // an open watch must not hold up the stop
	endpoint := s.Endpoint()

	begin = time.Now()
	s.Stop()
	t.Logf("stopped in %v", time.Since(begin))
	begin = time.Now()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	t.Logf("ready again after %v", time.Since(begin))
	if s.Endpoint() != endpoint {
		t.Fatalf("the endpoint moved from %s to %s", endpoint, s.Endpoint())
	}
	got, err := client.Get(ctx, "k")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "v" {
		t.Fatalf("after the restart: %v, %v", got, err)
	}
	if _, err := client.Put(ctx, "k", "w"); err != nil {
		t.Fatal(err)
	}
	if r, ok := <-watch; !ok || r.Err() != nil || string(r.Events[0].Kv.Value) != "w" {
		t.Fatalf("the watch did not go on: %v", r)
	}
}

func TestTheDataDirectoryOfTheCallerIsKept(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		s, err := localetcd.Start(localetcd.Options{Dir: dir, UnsafeNoFsync: true, Compact: true})
		if err != nil {
			t.Fatal(err)
		}
		if s.Dir() != dir {
			t.Fatalf("data in %s, want %s", s.Dir(), dir)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnAddressInUseIsAnError(t *testing.T) {
	s := localetcd.New(t)
	if other, err := localetcd.Start(localetcd.Options{ListenClient: s.Addr(), UnsafeNoFsync: true}); err == nil {
		other.Close()
		t.Fatal("started on an address in use")
	}
}

func TestDataInUseIsAnErrorAtOnce(t *testing.T) {
	s := localetcd.New(t)
	if other, err := localetcd.Start(localetcd.Options{Dir: s.Dir(), UnsafeNoFsync: true}); err == nil {
		other.Close()
		t.Fatal("started on data in use")
	}
}

// A restore keeps the cluster's id; with a bump, what was before cannot be read or
// watched any more.
func TestABackupComesBackWithAndWithoutABump(t *testing.T) {
	s := localetcd.New(t)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	put := func(v string) *clientv3.PutResponse {
		t.Helper()
		resp, err := client.Put(ctx, "k", v)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	kept := put("kept")
	dir := filepath.Join(t.TempDir(), "backup")
	s.Stop()
	if err := s.Backup(dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	put("lost")
	for _, bump := range []int64{0, 1_000_000_000} {
		s.Stop()
		if err := s.Restore(dir, bump); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		got, err := client.Get(ctx, "k")
		if err != nil || string(got.Kvs[0].Value) != "kept" || got.Header.ClusterId != kept.Header.ClusterId || got.Header.Revision != kept.Header.Revision+bump {
			t.Fatalf("after a restore with a bump of %d: %v, %v", bump, got, err)
		}
		_, err = client.Get(ctx, "k", clientv3.WithRev(kept.Header.Revision))
		if compacted := errors.Is(err, rpctypes.ErrCompacted); compacted != (bump > 0) {
			t.Errorf("a read of the past after a bump of %d: %v", bump, err)
		}
		if next := put("new"); next.Header.Revision != kept.Header.Revision+bump+1 {
			t.Errorf("the next revision is %d", next.Header.Revision)
		}
	}
}
