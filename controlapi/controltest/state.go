package controltest

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Revision is etcd's.
func (s *Server) Revision() int64 {
	s.T.Helper()
	rev, err := s.Store.Revision(s.T.Context())
	if err != nil {
		s.T.Fatal(err)
	}
	return rev
}

func (s *Server) Etcd() *clientv3.Client {
	s.T.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{Etcd.Endpoint()}})
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { c.Close() })
	return c
}

func WaitUntil(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// WithinASecond tries up to three times whether something takes at most a second: the
// bound is ours, not that of a busy machine.
func WithinASecond(t *testing.T, took func() time.Duration) {
	t.Helper()
	soonest := took()
	for try := 1; soonest > time.Second && try < 3; try++ {
		soonest = min(soonest, took())
	}
	if t.Logf("it took %s", soonest); soonest > time.Second {
		t.Errorf("it took %s, want at most a second", soonest)
	}
}
