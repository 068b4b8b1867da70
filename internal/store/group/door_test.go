package group

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"signpost/internal/store/localetcd"
)

// within is how long a transaction has: on a busy machine, too, none takes so long.
const within = time.Minute

func etcdClient(t *testing.T) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{localetcd.New(t).Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// gate is etcd behind a door: transactions wait before it while it is shut.
type gate struct {
	pb.KVClient
	open chan struct{} // closed: open
	sent chan struct{} // one for each transaction that has come to the door
}

func newGate(c *clientv3.Client) *gate {
	return &gate{clientv3.RetryKVClient(c), make(chan struct{}), make(chan struct{}, 1000)}
}

func (g *gate) Txn(ctx context.Context, in *pb.TxnRequest, o ...grpc.CallOption) (*pb.TxnResponse, error) {
	g.sent <- struct{}{}
	select {
	case <-g.open:
		return g.KVClient.Txn(ctx, in, o...)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// queued is a Committer whose places are taken, so that changes wait, until release.
func queued(t *testing.T, kv pb.KVClient) (c *Committer, release func()) {
	t.Helper()
	c = New(kv, within, isShared)
	c.flying, c.patience = 1000, time.Minute // on a busy machine, too, places count
	return c, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.flying = 0
		c.launchLocked()
	}
}

// commitAll commits changes that wait in this order, and gives what became of each.
func commitAll(t testing.TB, c *Committer, release func(), changes []Change) []answer {
	t.Helper()
	out := make([]answer, len(changes))
	var wg sync.WaitGroup
	for i, ch := range changes {
		wg.Go(func() {
			o, err := c.Commit(t.Context(), ch)
			out[i] = answer{o, err}
		})
		untilWaiting(t, c, i+1)
	}
	release()
	wg.Wait()
	return out
}

func untilWaiting(t testing.TB, c *Committer, n int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Microsecond) {
		c.mu.Lock()
		waiting := len(c.waiting)
		c.mu.Unlock()
		if waiting >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d changes wait, want %d", waiting, n)
		}
	}
}

// untilIdle waits until nothing is under way or waits: a transaction counts as under way
// a moment longer than those wait who share it.
func untilIdle(t testing.TB, c *Committer) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		flying, waiting := c.flying, len(c.waiting)
		c.mu.Unlock()
		if flying == 0 && waiting == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are under way and %d wait when all are through", flying, waiting)
		}
	}
}

func values(t testing.TB, c *clientv3.Client, prefix string) map[string]string {
	t.Helper()
	resp, err := c.Get(t.Context(), prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, kv := range resp.Kvs {
		out[string(kv.Key[len(prefix):])] = string(kv.Value)
	}
	return out
}

// lossy commits and loses the answer.
type lossy struct{ pb.KVClient }

func (l lossy) Txn(ctx context.Context, in *pb.TxnRequest, o ...grpc.CallOption) (*pb.TxnResponse, error) {
	_, err := l.KVClient.Txn(ctx, in, o...)
	return nil, errors.Join(errors.New("the connection broke"), err)
}
