package store

import (
	"context"
	"iter"
	"maps"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// checksSink keeps what FollowChecks tells. It is not said to be a Comparer.
type checksSink struct {
	mu       sync.Mutex
	changed  chan struct{}
	state    map[string]string
	loads    int
	nexts    []next
	troubles []string
}

func newChecksSink() *checksSink {
	return &checksSink{changed: make(chan struct{}), state: map[string]string{}}
}

func (s *checksSink) told(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *checksSink) Load(rev int64, _ uint64, all iter.Seq2[model.Change, error]) error {
	state := map[string]string{}
	for c, err := range all {
		if err != nil {
			return err
		}
		state[snapshotKeys.of(c.Key)] = entry(c.ModRevision, string(c.Raw))
	}
	s.told(func() { s.state, s.loads = state, s.loads+1 })
	return nil
}

func (s *checksSink) Next(rev int64, changes []model.Change) {
	s.told(func() {
		n := next{rev: rev}
		for _, c := range changes {
			key := snapshotKeys.of(c.Key)
			n.keys = append(n.keys, key)
			if c.Deleted {
				delete(s.state, key)
			} else {
				s.state[key] = entry(c.ModRevision, string(c.Raw))
			}
		}
		s.nexts = append(s.nexts, n)
	})
}

func (s *checksSink) Confirm(time.Time) { s.told(func() {}) }

func (s *checksSink) Trouble(what string, _ error) {
	s.told(func() { s.troubles = append(s.troubles, what) })
}

func (s *checksSink) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for limit := time.After(time.Minute); ; {
		s.mu.Lock()
		done, changed := ok(), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-limit:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("waited in vain for %s; there is %q", what, s.state)
		}
	}
}

func followChecks(t *testing.T, s *Store) *checksSink {
	t.Helper()
	sink := newChecksSink()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.FollowChecks(ctx, sink, quick) }()
	t.Cleanup(func() { cancel(); <-done })
	return sink
}

// checksIn is what a monitor is to be shown of etcd.
func checksIn(t *testing.T, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	resp, err := s.client.Get(t.Context(), s.keys.root, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		if key := string(kv.Key[len(s.keys.root):]); known(key) {
			out[key] = entry(kv.ModRevision, string(kv.Value))
		}
	}
	return out
}

func known(key string) bool {
	_, known, err := snapshotKeys.parse(key)
	return known && err == nil
}

// What a monitor follows is what there is to check and who shows signs of life, whole
// first and then all that changes, through compaction and broken lines.
func TestAMonitorSeesAllThatItNeeds(t *testing.T) {
	e, direct := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	z := createZone(t, direct, exampleOrg)
	setEndpoints(t, direct, www, "a")
	beat := func(name model.Name) {
		t.Helper()
		if err := direct.Beat(t.Context(), exampleOrg, name, "a", 1, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	beat(www)
	sink := followChecks(t, openOn(t, line.endpoint()))
	same := func(what string) {
		t.Helper()
		want := checksIn(t, direct)
		sink.await(t, what, func() bool { return maps.Equal(sink.state, want) })
	}
	same("the whole")
	beat(www)
	same("a second sign of life")
	setEndpoints(t, direct, "other.example.org.", "a")
	d := standBy(t, direct, "amsterdam")
	if _, err := d.Vote(t.Context(), []Ballot{ballot(z, www, "a", checkOf(t, direct, z, www), model.Down)}); err != nil {
		t.Fatal(err)
	}
	same("votes and other signs of life")
	line.set(false, true)
	beat("other.example.org.")
	setEndpoints(t, direct, www)
	line.set(false, false)
	same("what came while it was cut off")
	line.set(false, true)
	sink.await(t, "the end of the watch", func() bool { return len(sink.troubles) > 0 })
	setEndpoints(t, direct, "other.example.org.")
	d.Release()
	if _, err := direct.client.Compact(t.Context(), revision(t, direct)); err != nil {
		t.Fatal(err)
	}
	line.set(false, false)
	same("what was compacted while it was cut off")
	if left := sortedKeys(checksIn(t, direct), "check/"); len(left) != 0 {
		t.Errorf("there is %q", left)
	}
}

// A name server is not shown what is only for monitors.
func TestANameServerSeesNoSignsOfLife(t *testing.T) {
	_, s := etcdAndStore(t)
	createZone(t, s, exampleOrg)
	r, _ := follow(t, s, quick)
	r.awaitLoads(1)
	setEndpoints(t, s, www, "a")
	if err := s.Beat(t.Context(), exampleOrg, www, "a", 1, 0); err != nil {
		t.Fatal(err)
	}
	r.awaitRevision(setEndpoints(t, s, "other.example.org.", "a").Revision)
	for key := range r.now().state {
		if key[:4] != "dns/" {
			t.Errorf("it was shown %s", key)
		}
	}
}
