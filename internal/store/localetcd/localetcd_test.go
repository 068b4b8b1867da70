package localetcd_test

import (
	"context"
	"testing"
	"time"

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
