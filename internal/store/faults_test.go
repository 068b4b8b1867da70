package store

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/store/localetcd"
)

// A deletion that is compacted away while nobody looks must not live on.
func TestCompactionWhileCutOffLosesNoDeletion(t *testing.T) {
	e, direct := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	commit(t, direct, putName(direct, 1), putName(direct, 2))
	r, _ := follow(t, openOn(t, line.endpoint()), quick)
	r.awaitLoads(1)
	line.set(false, true)
	commit(t, direct, deleteName(direct, 1))
	last := commit(t, direct, putName(direct, 3))
	if _, err := direct.client.Compact(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	line.set(false, false)
	r.awaitRevision(last)
	r.awaitTrouble(TroubleCompacted)
	r.sameAs(direct)
	r.awaitRevision(commit(t, direct, putName(direct, 4)))
	r.sameAs(direct)
}

func TestCompactionWhileTheWholeIsRead(t *testing.T) {
	_, s := etcdAndStore(t)
	for i := range 30 {
		commit(t, s, putName(s, i))
	}
	r := &recorder{t: t, changed: make(chan struct{})}
	compacted := false
	r.onLoad = func(n int) {
		if n == 5 && !compacted {
			compacted = true
			if _, err := s.client.Compact(t.Context(), commit(t, s, deleteName(s, 29))); err != nil {
				t.Error(err)
			}
		}
	}
	paged := quick
	paged.PageSize = 3 // a stream would have brought all by then
	followWith(t, s, paged, r)
	r.awaitTrouble(TroubleRead)
	r.awaitLoads(1)
	r.sameAs(s)
}

func TestRestartOfEtcdLosesAndRepeatsNothing(t *testing.T) {
	e, s := etcdAndStore(t)
	commit(t, s, putName(s, 1))
	r, _ := follow(t, s, quick)
	r.awaitLoads(1)
	var want []int64
	for i := range 3 {
		want = append(want, commit(t, s, putName(s, 10+i)))
		e.Stop()
		if err := e.Restart(); err != nil {
			t.Fatal(err)
		}
		want = append(want, commit(t, s, putName(s, 20+i)))
	}
	r.awaitRevision(want[len(want)-1])
	var got []int64
	for _, n := range r.now().nexts {
		got = append(got, n.rev)
	}
	if r.now().loads == 1 && !slices.Equal(got, want) {
		t.Errorf("revisions %v, want %v", got, want)
	}
	r.sameAs(s)
}

// DNS does not need etcd: what is known stays, and nobody calls it fresh.
func TestEtcdGoneTakesNothingAway(t *testing.T) {
	e, s := etcdAndStore(t)
	commit(t, s, putName(s, 1), putName(s, 2))
	r, _ := follow(t, s, quick)
	r.awaitLoads(1)
	e.Stop()
	r.awaitTrouble(TroubleProbe)
	gone := time.Now()
	r.await("more trouble", func() bool {
		n := 0
		for _, w := range r.troubles {
			if w == TroubleProbe {
				n++
			}
		}
		return n > 3
	})
	if r.now().loads != 1 || len(r.now().state) != 3 || r.now().confirmed().After(gone) {
		t.Errorf("%d loads, state %q, last confirmed %v, gone at %v", r.now().loads, r.now().state, r.now().confirmed(), gone)
	}
	if err := e.Restart(); err != nil {
		t.Fatal(err)
	}
	r.await("a confirmation", func() bool { return r.confirmed().After(gone) })
	r.awaitRevision(commit(t, s, putName(s, 3)))
	r.sameAs(s)
}

// However long Follow means to wait, it goes on when etcd comes back from an outage.
func TestOutageEndsThePause(t *testing.T) {
	e, direct := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	schema := func(v string) { commit(t, direct, clientv3.OpPut(direct.keys.schema(), v)) }
	schema(strconv.Itoa(Schema + 1))
	o := quick
	o.BackoffMin, o.BackoffMax = time.Hour, time.Hour
	r, _ := follow(t, openOn(t, line.endpoint()), o)
	r.awaitTrouble(TroubleSchema)
	line.set(false, true)
	schema("1")
	r.awaitTrouble(TroubleProbe)
	line.set(false, false)
	r.awaitLoads(1)
}

func TestFollowingStartsBeforeEtcd(t *testing.T) {
	e, s := etcdAndStore(t)
	commit(t, s, putName(s, 1))
	e.Stop()
	late := openOn(t, e.Endpoint())
	r, _ := follow(t, late, quick)
	if err := e.Restart(); err != nil {
		t.Fatal(err)
	}
	r.awaitLoads(1)
	r.sameAs(s)
}

// A line that swallows packets looks healthy to TCP; neither the probe nor the end
// of Follow may wait for it.
func TestFrozenLineIsNotFresh(t *testing.T) {
	e, direct := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	r, stop := follow(t, openOn(t, line.endpoint()), quick)
	r.awaitLoads(1)
	line.set(true, false)
	frozen := time.Now()
	last := commit(t, direct, putName(direct, 1))
	r.awaitTrouble(TroubleProbe)
	if r.now().rev >= last || r.now().confirmed().After(frozen) {
		t.Errorf("at %d, confirmed for %v; the line froze before %d at %v", r.now().rev, r.now().confirmed(), last, frozen)
	}
	line.set(false, false)
	r.awaitRevision(last)
	r.await("a confirmation", func() bool { return r.confirmed().After(frozen) })
	line.set(true, false)
	stop()
}

// With two lines of which one freezes, whichever the watch runs over, the probe on the
// other finds what the watch does not bring.
func TestSilentWatchIsFoundOut(t *testing.T) {
	t.Parallel() // it waits for time limits
	e, direct := etcdAndStore(t)
	a, b := newProxy(t, e.Addr()), newProxy(t, e.Addr())
	r, _ := follow(t, openOn(t, a.endpoint(), b.endpoint()), quick)
	r.awaitLoads(1)
	for i, line := range []*proxy{a, b} {
		line.set(true, false)
		r.awaitRevision(commit(t, direct, putName(direct, i)))
		line.set(false, false)
		r.awaitRevision(commit(t, direct, putName(direct, 10+i)))
	}
	r.awaitTrouble(TroubleWatch)
	r.sameAs(direct)
}

// A replica's user reads v1/dns/ and nothing else, and Open does not wait for etcd
// though a password has to be exchanged for a token.
func TestReplicaNeedsToReadOnlyDNS(t *testing.T) {
	e, s := etcdAndStore(t)
	commit(t, s, putName(s, 1))
	if _, err := s.client.Put(t.Context(), s.keys.masterKey(), "secret"); err != nil {
		t.Fatal(err)
	}
	addUsers(t, s)
	e.Stop()
	replica, err := Open(Config{Endpoints: []string{e.Endpoint()}, User: "replica", Password: "pass"})
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	root, err := Open(Config{Endpoints: []string{e.Endpoint()}, User: "root", Password: "root"})
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := e.Restart(); err != nil {
		t.Fatal(err)
	}
	r, stop := follow(t, replica, quick)
	defer stop()
	r.awaitLoads(1)
	r.awaitRevision(commit(t, root, putName(s, 2)))
	r.sameAs(replica)
	if _, err := replica.client.Get(t.Context(), s.keys.masterKey()); meaningOf(err) != noRights {
		t.Errorf("reading the master key: %v, want it refused", err)
	}
}

// addUsers makes a user that may read v1/dns/ and nothing else, and root, and has etcd
// ask who comes.
func addUsers(t *testing.T, s *Store) {
	t.Helper()
	ctx, c := t.Context(), s.client
	_, err1 := c.RoleAdd(ctx, "dns")
	_, err2 := c.RoleGrantPermission(ctx, "dns", s.keys.dns(), prefixEnd(s.keys.dns()), clientv3.PermissionType(clientv3.PermRead))
	_, err3 := c.UserAdd(ctx, "replica", "pass")
	_, err4 := c.UserGrantRole(ctx, "replica", "dns")
	_, err5 := c.UserAdd(ctx, "root", "root")
	_, err6 := c.UserGrantRole(ctx, "root", "root")
	_, err7 := c.AuthEnable(ctx)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
}

// etcd forgets a token that is not used for a while, as in an outage; whoever follows
// gets a new one, for reading and for a watch.
func TestATokenThatHasExpiredIsRenewed(t *testing.T) {
	t.Parallel() // it waits for time limits
	e, err := localetcd.Start(localetcd.Options{UnsafeNoFsync: true, TokenTTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	direct := openOn(t, e.Endpoint())
	createZone(t, direct, exampleOrg)
	addUsers(t, direct)
	line := newProxy(t, e.Addr())
	open := func(user, password, endpoint string) *Store {
		t.Helper()
		s, err := Open(Config{Endpoints: []string{endpoint}, User: user, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	root, copier, replica := open("root", "root", e.Endpoint()), open("root", "root", line.endpoint()), open("replica", "pass", line.endpoint())
	ctx, cancel := context.WithCancel(t.Context())
	var copying sync.WaitGroup
	copying.Go(func() { _ = copier.KeepCopy(ctx) })
	t.Cleanup(copying.Wait)
	t.Cleanup(cancel)
	untilCopied(t, copier)
	o := quick
	o.ProbeEvery = 4 * time.Second
	r, _ := follow(t, replica, o)
	r.awaitLoads(1)
	for i := range 2 {
		n := len(r.now().confirms)
		r.await("a probe with a token that is too old", func() bool { return len(r.confirms) > n+1 })
		last := commit(t, root, putName(root, i))
		r.awaitRevision(last)
		if w, err := copier.caughtUp(t.Context()); err != nil || w == nil || w.rev < last {
			t.Errorf("the copy: %v, %v", w, err)
		}
		line.set(false, true)
		line.set(false, false)
		r.awaitRevision(commit(t, root, putName(root, 10+i))) // on a new watch
		untilCopied(t, copier)
	}
	r.sameAs(root)
	if now := r.now(); now.loads != 1 || slices.Contains(now.troubles, TroubleProbe) {
		t.Errorf("%d loads, troubles %v", now.loads, now.troubles)
	}
}
