package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// copying is a Store on this etcd that keeps a copy, once the copy is there.
func copying(t *testing.T, endpoint string) *Store {
	t.Helper()
	s, err := Open(Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.KeepCopy(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		s.Close()
	})
	untilCopied(t, s)
	return s
}

func untilCopied(t *testing.T, s *Store) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); s.copied() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no copy came to hand")
		}
	}
}

func addressOf(t *testing.T, s *Store, name model.Name) (addr string, err error) {
	t.Helper()
	err = s.Read(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		path, err := tx.Path(z, name)
		if err == nil && path[0].Data != nil {
			addr = path[0].Data.Host.Addresses()[0].String()
		}
		return err
	})
	return addr, err
}

// TestACopyNeverAnswersWithThePast: what one control service has acknowledged, every
// other one knows.
func TestACopyNeverAnswersWithThePast(t *testing.T) {
	etcd := localetcd.New(t)
	a, b := copying(t, etcd.Endpoint()), copying(t, etcd.Endpoint())
	createZone(t, a, exampleOrg)
	for i := range 300 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		want := fmt.Sprintf("192.0.2.%d", i%250+1)
		if _, err := putHost(t.Context(), from, exampleOrg, "www.example.org.", want); err != nil {
			t.Fatal(err)
		}
		if got, err := addressOf(t, to, "www.example.org."); got != want || err != nil {
			t.Fatalf("change %d: the other one reads %q, %v; want %q", i, got, err, want)
		}
		again, err := putHost(t.Context(), to, exampleOrg, "www.example.org.", want)
		if err != nil || again.Changed {
			t.Fatalf("change %d: the other one repeats it: %+v, %v; want no change", i, again, err)
		}
	}
}

func TestACopyCatchesUpWithWhatItDoesNotKeep(t *testing.T) {
	etcd := localetcd.New(t)
	s := copying(t, etcd.Endpoint())
	createZone(t, s, exampleOrg)
	caught := 0
	for i := range 20 {
		resp, err := s.client.Put(t.Context(), s.keys.audit(fmt.Sprint(i)), "not kept")
		if err != nil {
			t.Fatal(err)
		}
		w, err := s.caughtUp(t.Context())
		switch {
		case err != nil || w != nil && w.rev < resp.Header.Revision:
			t.Fatalf("not caught up with revision %d: %+v, %v", resp.Header.Revision, w, err)
		case w != nil:
			caught++
		}
	}
	if caught < 10 { // a machine that stands still now and then is answered by etcd itself
		t.Errorf("caught up %d times in 20", caught)
	}
}

func TestNothingIsLostBetweenCopies(t *testing.T) {
	etcd := localetcd.New(t)
	stores := []*Store{copying(t, etcd.Endpoint()), copying(t, etcd.Endpoint()), copying(t, etcd.Endpoint())}
	createZone(t, stores[0], exampleOrg)
	const each = 20
	var wg sync.WaitGroup
	for n, s := range stores {
		wg.Go(func() {
			for i := range each {
				name := model.Name(fmt.Sprintf("h%d-%d.example.org.", n, i))
				if _, err := s.Update(t.Context(), func(tx *Tx) error {
					z, err := tx.Zone(exampleOrg)
					if err != nil {
						return err
					}
					z.SerialBase++ // all fight for one key
					tx.PutZone(z)
					if _, err := tx.Path(z, name); err != nil {
						return err
					}
					tx.PutName(z, name, addressed("192.0.2.1", 1))
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		if err := s.Read(t.Context(), func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			names, err := tx.Names(z, "", 0)
			if int(z.SerialBase) != len(stores)*each || len(names) != len(stores)*each {
				t.Errorf("counted %d changes and %d names, want %d", z.SerialBase, len(names), len(stores)*each)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestWithoutEtcdACopySaysNothing(t *testing.T) {
	etcd := localetcd.New(t)
	s := copying(t, etcd.Endpoint())
	createZone(t, s, exampleOrg)
	etcd.Stop()
	if _, err := addressOf(t, s, "no.example.org."); model.KindOf(err) != model.Unavailable {
		t.Errorf("a read: %v, want Unavailable", err)
	}
	if _, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1"); model.KindOf(err) != model.Unavailable {
		t.Errorf("a change: %v, want Unavailable", err)
	}
	if err := etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	untilCopied(t, s)
	if _, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1"); err != nil {
		t.Errorf("a change when etcd is back: %v", err)
	}
}

// TestACopyOfALostHistoryIsDropped: etcd is restored from a backup that is older than
// what the copy has.
func TestACopyOfALostHistoryIsDropped(t *testing.T) {
	etcd := localetcd.New(t)
	s := copying(t, etcd.Endpoint())
	createZone(t, s, exampleOrg)
	must(t)(putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1"))
	backup := t.TempDir()
	etcd.Stop()
	if err := os.CopyFS(backup, os.DirFS(filepath.Join(etcd.Dir(), "etcd"))); err != nil {
		t.Fatal(err)
	}
	if err := etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	untilCopied(t, s)
	for i := range 5 {
		must(t)(putHost(t.Context(), s, exampleOrg, "www.example.org.", fmt.Sprintf("192.0.2.%d", 100+i)))
	}
	etcd.Stop()
	if err := os.RemoveAll(filepath.Join(etcd.Dir(), "etcd")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(etcd.Dir(), "etcd"), os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	if err := etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		got, err := addressOf(t, s, "www.example.org.")
		if err == nil && got == "192.0.2.1" {
			break
		}
		if err == nil {
			t.Fatalf("read %s, which the restored etcd never had", got)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	untilCopied(t, s)
	if got, err := addressOf(t, s, "www.example.org."); got != "192.0.2.1" || err != nil {
		t.Errorf("from the new copy: %q, %v", got, err)
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, copied := range []bool{false, true} {
		b.Run(fmt.Sprintf("copy=%v", copied), func(b *testing.B) {
			etcd := localetcd.New(b)
			s, err := Open(Config{Endpoints: []string{etcd.Endpoint()}})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			if copied {
				go func() { _ = s.KeepCopy(ctx) }()
				for s.copied() == nil {
					time.Sleep(time.Millisecond)
				}
			}
			if _, err := s.Update(ctx, func(tx *Tx) error {
				_, _ = tx.Zone(exampleOrg)
				tx.PutZone(&model.Zone{Name: exampleOrg, Incarnation: 1, Generation: 1, SOA: model.SOA{MName: "a.", RName: "b."},
					Apex: []model.RRset{{Type: 2, TTL: 1, Data: [][]byte{{1, 'a', 0}}}}})
				return nil
			}); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				if _, err := putHost(ctx, s, exampleOrg, "www.example.org.", fmt.Sprintf("192.0.2.%d", i%250+1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestACopyOfARestoreThatHasGrownIsDropped: etcd is restored while the line is cut, and
// has passed the copy's revision when the line is back. The client would go on with the
// watch as if nothing had been.
func TestACopyOfARestoreThatHasGrownIsDropped(t *testing.T) {
	e, direct := etcdAndStore(t)
	createZone(t, direct, exampleOrg)
	line := newProxy(t, e.Addr())
	restore := backup(t, e)
	s := copying(t, line.endpoint())
	must(t)(putHost(t.Context(), direct, exampleOrg, "lost.example.org.", "192.0.2.1"))
	if got, err := addressOf(t, s, "lost.example.org."); got != "192.0.2.1" || err != nil {
		t.Fatalf("before: %q, %v", got, err)
	}
	line.set(false, true)
	restore()
	for _, n := range []model.Name{"a.example.org.", "b.example.org.", "c.example.org."} {
		must(t)(putHost(t.Context(), direct, exampleOrg, n, "192.0.2.9"))
	}
	line.set(false, false)
	for deadline := time.Now().Add(60 * time.Second); ; {
		lost, err := addressOf(t, s, "lost.example.org.")
		if err == nil {
			there, err := addressOf(t, s, "a.example.org.")
			if lost != "" || there != "192.0.2.9" || err != nil {
				t.Errorf("the lost host is %q, the new one %q, %v", lost, there, err)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
