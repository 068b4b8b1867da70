package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/store/localetcd"
)

// backup copies what an etcd holds; restore puts it back.
func backup(t *testing.T, e *localetcd.Server) (restore func()) {
	t.Helper()
	kept := filepath.Join(t.TempDir(), "backup")
	stopped := func(do func() error) {
		t.Helper()
		e.Stop()
		if err := errors.Join(do(), e.Restart()); err != nil {
			t.Fatal(err)
		}
	}
	stopped(func() error { return e.Backup(kept) })
	return func() {
		t.Helper()
		stopped(func() error { return e.Restore(kept, 0) })
	}
}

func TestRestoreOfAnOlderBackupIsNoticed(t *testing.T) {
	e, s := etcdAndStore(t)
	commit(t, s, putName(s, 1))
	restore := backup(t, e)
	commit(t, s, putName(s, 2))
	r, _ := follow(t, s, quick)
	r.awaitLoads(1)
	r.awaitRevision(commit(t, s, putName(s, 3)))
	restore()
	r.awaitTrouble(TroubleRestored)
	r.awaitLoads(2)
	if r.now().state[strings.TrimPrefix(nameKey(s, 2), s.keys.root)] != "" {
		t.Errorf("a name of the lost history is still there: %q", r.now().state)
	}
	r.sameAs(s)
	r.awaitRevision(commit(t, s, putName(s, 4)))
	r.sameAs(s)
}

// By the time the line is back the restored etcd has more revisions than were seen:
// neither cluster id nor revision tells.
func TestRestoreThatHasGrownIsNoticed(t *testing.T) {
	e, direct := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	restore := backup(t, e)
	r, _ := follow(t, openOn(t, line.endpoint()), quick)
	r.awaitLoads(1)
	r.awaitRevision(commit(t, direct, putName(direct, 1)))
	line.set(false, true)
	restore()
	commit(t, direct, putName(direct, 7))
	commit(t, direct, putName(direct, 8))
	last := commit(t, direct, putName(direct, 9))
	line.set(false, false)
	r.awaitRevision(last)
	r.awaitTrouble(TroubleRestored)
	r.awaitLoads(2)
	r.sameAs(direct)
}

func TestAnotherClusterIsNoticed(t *testing.T) {
	e, s := etcdAndStore(t)
	r, _ := follow(t, s, quick)
	r.awaitLoads(1)
	r.awaitRevision(commit(t, s, putName(s, 1)))
	e.Stop()
	other, err := localetcd.Start(localetcd.Options{ListenClient: e.Addr(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	var last int64
	for i := range 5 {
		last = commit(t, s, putName(s, 20+i))
	}
	r.awaitTrouble(TroubleRestored)
	r.awaitLoads(2)
	r.awaitRevision(last)
	r.sameAs(s)
}

// The last that was seen is a deletion, and the restored etcd has grown to the same
// revision by a change of the same zone: only the mark of it is another.
func TestADeletionTellsARestoreThatHasGrown(t *testing.T) {
	e, direct := etcdAndStore(t)
	commit(t, direct, putName(direct, 1))
	line := newProxy(t, e.Addr())
	restore := backup(t, e)
	r, _ := follow(t, openOn(t, line.endpoint()), quick)
	r.awaitLoads(1)
	r.awaitRevision(commit(t, direct, deleteName(direct, 1)))
	seen := time.Now()
	r.await("a probe", func() bool { return r.confirmed().After(seen) })
	line.set(false, true)
	restore()
	commit(t, direct, putName(direct, 2))
	last := commit(t, direct, putName(direct, 3))
	line.set(false, false)
	r.awaitRevision(last)
	r.awaitLoads(2)
	r.sameAs(direct)
}

// Between a restore and the next probe a watch would put the one history on top of the
// other; and the probe after that would find nothing odd, for what it knew from before
// is in both.
func TestNothingIsTakenFromARestoredEtcdOnTop(t *testing.T) {
	e, direct := etcdAndStore(t)
	commit(t, direct, putName(direct, 1))
	line := newProxy(t, e.Addr())
	restore := backup(t, e)
	o := quick
	o.ProbeEvery = 5 * time.Second
	r, _ := follow(t, openOn(t, line.endpoint()), o)
	r.awaitLoads(1)
	lost := commit(t, direct, putName(direct, 2))
	r.awaitRevision(lost)
	line.set(false, true)
	restore()
	for i := range 3 {
		commit(t, direct, putName(direct, 10+i))
	}
	line.set(false, false)
	r.awaitLoads(2)
	if now := r.now(); len(now.nexts) != 1 || now.nexts[0].rev != lost {
		t.Errorf("revisions %v were taken, want %d and then the whole", now.nexts, lost)
	}
	r.sameAs(direct)
}

// A whole of which some pages are from before a restore and some from after it never was.
func TestRestoreBetweenTwoPagesIsNoWhole(t *testing.T) {
	e, direct := etcdAndStore(t)
	for i := range 9 {
		commit(t, direct, putName(direct, i))
	}
	restore := backup(t, e)
	for i := range 9 {
		commit(t, direct, deleteName(direct, i), putName(direct, 10+i))
	}
	r := &recorder{t: t, changed: make(chan struct{})}
	var once sync.Once
	r.onLoad = func(n int) {
		once.Do(func() {
			restore()
			for range 12 {
				commit(t, direct, putName(direct, 5))
			}
		})
	}
	followWith(t, direct, quick, r)
	r.awaitLoads(1)
	r.sameAs(direct)
	if now := r.now(); now.loads != 1 {
		t.Errorf("%d loads, want the first to be refused", now.loads)
	}
}

// Marks are what tells histories apart.
func TestEveryChangeOfAnswersHasAMarkOfItsOwn(t *testing.T) {
	_, s := etcdAndStore(t)
	createZone(t, s, exampleOrg)
	seen := map[string]bool{}
	for i := range 5 {
		must(t)(putHost(t.Context(), s, exampleOrg, "www.example.org.", fmt.Sprintf("192.0.2.%d", i)))
		resp, err := s.client.Get(t.Context(), s.keys.rev(exampleOrg))
		if err != nil {
			t.Fatal(err)
		}
		mark := string(resp.Kvs[0].Value)
		if mark == "" || seen[mark] {
			t.Errorf("the mark %q is none or was there before", mark)
		}
		seen[mark] = true
	}
}
