package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/internal/store/localetcd"
)

// backup copies what a stopped etcd holds; restore puts it back.
func backup(t *testing.T, e *localetcd.Server) (restore func()) {
	t.Helper()
	e.Stop()
	kept := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(kept, os.DirFS(e.Dir())); err != nil {
		t.Fatal(err)
	}
	if err := e.Restart(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		e.Stop()
		if err := errors.Join(os.RemoveAll(filepath.Join(e.Dir(), "etcd")), os.CopyFS(filepath.Join(e.Dir(), "etcd"), os.DirFS(filepath.Join(kept, "etcd")))); err != nil {
			t.Fatal(err)
		}
		if err := e.Restart(); err != nil {
			t.Fatal(err)
		}
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
