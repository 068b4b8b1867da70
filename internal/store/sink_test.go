package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// recorder is a Sink that keeps all it is told and breaks the test when Follow
// breaks its word.
type recorder struct {
	t       *testing.T
	mu      sync.Mutex
	changed chan struct{} // closed and replaced by every call
	onLoad  func(n int)   // called at every change in a Load
	told
}

// told is what a recorder was told.
type told struct {
	state    map[string]string // key -> value
	mods     map[string]int64  // key -> mod revision
	bad      map[string]error
	rev      int64
	cluster  uint64
	loads    int
	compared int
	nexts    []next
	confirms []time.Time
	troubles []string
}

// now is a copy of what was told up to now.
func (r *recorder) now() told {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.told
	n.state, n.mods, n.bad = maps.Clone(n.state), maps.Clone(n.mods), maps.Clone(n.bad)
	return n // slices are only appended to
}

func (t told) confirmed() time.Time {
	if len(t.confirms) == 0 {
		return time.Time{}
	}
	return t.confirms[len(t.confirms)-1]
}

type next struct {
	rev  int64
	keys []string
}

func (r *recorder) lock() func() {
	r.mu.Lock()
	return func() {
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
	}
}

func (r *recorder) Load(rev int64, cluster uint64, all iter.Seq2[model.Change, error]) error {
	read := told{state: map[string]string{}, mods: map[string]int64{}, bad: map[string]error{}}
	n := 0
	for c, err := range all {
		if err != nil {
			return err
		}
		if n++; r.onLoad != nil {
			r.onLoad(n)
		}
		if c.ModRevision > rev {
			r.t.Errorf("Load at %d gave %v of revision %d", rev, c.Key, c.ModRevision)
		}
		if _, twice := read.state[snapshotKeys.of(c.Key)]; twice {
			r.t.Errorf("Load gave %v twice", c.Key)
		}
		read.put(c)
	}
	defer r.lock()()
	r.state, r.mods, r.bad, r.rev, r.cluster = read.state, read.mods, read.bad, rev, cluster
	r.loads++
	r.t.Logf("load at %d: %d keys", rev, n)
	return nil
}

func (t *told) put(c model.Change) {
	key := snapshotKeys.of(c.Key)
	delete(t.bad, key)
	if c.Deleted {
		delete(t.state, key)
		delete(t.mods, key)
		return
	}
	t.state[key], t.mods[key] = string(c.Raw), c.ModRevision
	if c.Bad != nil {
		t.bad[key] = c.Bad
	}
}

// Held makes the recorder a Comparer.
func (r *recorder) Held() func(iter.Seq2[model.Change, error]) (int, error) {
	held := r.now().mods
	return func(all iter.Seq2[model.Change, error]) (int, error) {
		differences := 0
		for c, err := range all {
			if err != nil {
				return 0, err
			}
			if key := snapshotKeys.of(c.Key); held[key] == c.ModRevision {
				delete(held, key)
			} else {
				differences++
			}
		}
		defer r.lock()()
		r.compared++
		return differences + len(held), nil
	}
}

func (r *recorder) Next(rev int64, changes []model.Change) {
	defer r.lock()()
	if rev <= r.rev {
		r.t.Errorf("Next(%d) after %d", rev, r.rev)
	}
	n := next{rev: rev}
	for _, c := range changes {
		if c.ModRevision != rev {
			r.t.Errorf("Next(%d) with a change of revision %d", rev, c.ModRevision)
		}
		r.put(c)
		n.keys = append(n.keys, snapshotKeys.of(c.Key))
	}
	r.rev = rev
	r.nexts = append(r.nexts, n)
}

func (r *recorder) Confirm(at time.Time) {
	defer r.lock()()
	r.confirms = append(r.confirms, at)
}

func (r *recorder) Trouble(what string, err error) {
	defer r.lock()()
	if !slices.Contains(Troubles, what) || err == nil {
		r.t.Errorf("Trouble(%q, %v)", what, err)
	}
	r.t.Logf("trouble %s: %v", what, err)
	r.troubles = append(r.troubles, what)
}

// await waits until ok says so, which is called with the recorder locked.
func (r *recorder) await(what string, ok func() bool) {
	r.t.Helper()
	limit := time.After(time.Minute)
	for {
		r.mu.Lock()
		done, changed := ok(), r.changed
		r.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-limit:
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (r *recorder) awaitRevision(rev int64) {
	r.t.Helper()
	r.await(fmt.Sprintf("revision %d", rev), func() bool { return r.rev >= rev })
}

func (r *recorder) awaitTrouble(what string) {
	r.t.Helper()
	r.await("trouble "+what, func() bool { return slices.Contains(r.troubles, what) })
}

func (r *recorder) awaitLoads(n int) {
	r.t.Helper()
	r.await(fmt.Sprintf("load %d", n), func() bool { return r.loads >= n })
}

// sameAs compares the state with what is in etcd.
func (r *recorder) sameAs(s *Store) {
	r.t.Helper()
	want := map[string]string{}
	resp, err := s.client.Get(r.t.Context(), s.keys.dns(), clientv3.WithPrefix())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		if _, ok, _ := s.keys.parse(string(kv.Key)); ok {
			want[strings.TrimPrefix(string(kv.Key), s.keys.root)] = string(kv.Value)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !maps.Equal(want, r.state) {
		r.t.Errorf("the sink holds\n%q\nwant\n%q", r.state, want)
	}
}

// quick is options with which faults show soon.
var quick = FollowOptions{ProbeEvery: 100 * time.Millisecond, BackoffMin: 10 * time.Millisecond, BackoffMax: 100 * time.Millisecond}

// follow starts a recorder on s; stop ends it and is called at the end anyway.
func follow(t *testing.T, s *Store, o FollowOptions) (r *recorder, stop func()) {
	r = &recorder{t: t, changed: make(chan struct{})}
	return r, followWith(t, s, o, r)
}

func followWith(t *testing.T, s *Store, o FollowOptions, sink Sink) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Follow(ctx, sink, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Follow returned %v", err)
			}
		case <-time.After(60 * time.Second):
			t.Error("Follow did not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// openOn is a Store by way of endpoints.
func openOn(t *testing.T, endpoints ...string) *Store {
	t.Helper()
	s, err := Open(Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// etcdAndStore is a Store straight on an etcd of its own.
func etcdAndStore(t *testing.T) (*localetcd.Server, *Store) {
	t.Helper()
	e := localetcd.New(t)
	return e, openOn(t, e.Endpoint())
}

// commit writes ops in one transaction, with the rev key of example.org as every
// change of answers does, and gives its revision.
func commit(t *testing.T, s *Store, ops ...clientv3.Op) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	resp, err := s.client.Txn(ctx).Then(append(ops, clientv3.OpPut(s.keys.rev(exampleOrg), newMark()))...).Commit()
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

func nameKey(s *Store, i int) string {
	return s.keys.name(exampleOrg, 1, model.Name(fmt.Sprintf("h%d.example.org.", i)))
}

func putName(s *Store, i int) clientv3.Op {
	return clientv3.OpPut(nameKey(s, i), string(encodeName(addressed(fmt.Sprintf("192.0.2.%d", i%256), 1))))
}

func deleteName(s *Store, i int) clientv3.Op { return clientv3.OpDelete(nameKey(s, i)) }
