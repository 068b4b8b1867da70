package store

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

func TestOneChangeIsOneRevision(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	res, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
	if err != nil || !res.Changed {
		t.Fatalf("put host: %v, changed %v", err, res.Changed)
	}
	got, err := s.client.Get(t.Context(), s.keys.root, clientv3.WithPrefix(), clientv3.WithMinModRev(res.Revision))
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, kv := range got.Kvs {
		if kv.ModRevision != res.Revision {
			t.Errorf("%s has revision %d, want all at %d", kv.Key, kv.ModRevision, res.Revision)
		}
		at = append(at, strings.Split(strings.TrimPrefix(string(kv.Key), s.keys.root), "/")[0]+"/"+strings.Split(string(kv.Key), "/")[4])
	}
	want := []string{at[0], "ctl/host", "dns/name", "dns/rev"}
	if diff := cmp.Diff(want, at); diff != "" || !strings.HasPrefix(at[0], "audit/") {
		t.Errorf("keys of the change: %s", diff)
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		rev, err := tx.ZoneRevision(exampleOrg)
		if rev != res.Revision {
			t.Errorf("zone revision %d, want %d: the serial must move with the answers", rev, res.Revision)
		}
		hosts, err2 := tx.Hosts(z, "", 10)
		if len(hosts) != 1 || hosts[0].Name != "www.example.org." || hosts[0].Host.Owner != "admin/x" || hosts[0].Data == nil {
			t.Errorf("hosts: %+v", hosts)
		}
		if err == nil {
			err = err2
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWritingWhatIsThereWritesNothing(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	first, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
	if err != nil || again.Changed || again.Revision != first.Revision {
		t.Errorf("again: %+v, %v; want nothing changed, revision %d", again, err, first.Revision)
	}
}

// TestNothingIsLostBetweenWriters is promise 1 at the store: of concurrent changes
// of one value each that was acknowledged has had its effect.
func TestNothingIsLostBetweenWriters(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := s.Update(t.Context(), func(tx *Tx) error {
					z, err := tx.Zone(exampleOrg)
					if err != nil {
						return err
					}
					path, err := tx.Path(z, "n.example.org.")
					if err != nil {
						return err
					}
					var data model.NameData
					if path[0].Data != nil {
						data = *path[0].Data
					}
					var texts []string
					if old, ok := model.FindRRset(data.RRsets, dns.TypeTXT); ok {
						texts = old.Text()
					}
					set, err := model.ParseRRset(dns.TypeTXT, 60, append(texts, fmt.Sprintf("w%d-%d", w, i)))
					data.RRsets = model.WithRRset(data.RRsets, set)
					tx.PutName(z, "n.example.org.", &data)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	err := s.Read(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		names, err := tx.Names(z, "", 0)
		if err != nil {
			return err
		}
		set, _ := model.FindRRset(names[0].Data.RRsets, dns.TypeTXT)
		if len(set.Data) != writers*each {
			t.Errorf("%d texts, want %d", len(set.Data), writers*each)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// meanwhile runs other once, between the decision and the commit of an Update.
func meanwhile(t *testing.T, s *Store, decide func(*Tx) error, other func()) (decisions int) {
	t.Helper()
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		decisions++
		if err := decide(tx); err != nil {
			return err
		}
		if decisions == 1 {
			other()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return decisions
}

func TestWhatWasReadIsCompared(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	tests := []struct {
		name  string
		read  func(tx *Tx, z *model.Zone) error
		other func()
		want  int
	}{
		{"nothing happened", func(*Tx, *model.Zone) error { return nil }, func() {}, 1},
		{"a name that was absent appeared", func(tx *Tx, z *model.Zone) error {
			_, err := tx.Path(z, "a.example.org.")
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "a.example.org.", "192.0.2.1")) }, 2},
		{"a name appeared below", func(tx *Tx, z *model.Zone) error {
			_, err := tx.Below(z, "b.example.org.", 5)
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "x.b.example.org.", "192.0.2.1")) }, 2},
		{"a sibling with the same beginning appeared", func(tx *Tx, z *model.Zone) error {
			_, err := tx.Below(z, "c.example.org.", 5)
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "cc.example.org.", "192.0.2.1")) }, 1},
		{"answers of the zone changed", func(tx *Tx, _ *model.Zone) error {
			_, err := tx.ZoneRevision(exampleOrg)
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "d.example.org.", "192.0.2.1")) }, 2},
		{"a zone appeared between", func(tx *Tx, _ *model.Zone) error {
			_, err := tx.ZoneAbove("h.sub.example.org.")
			return err
		}, func() { createZone(t, s, "sub.example.org.") }, 2},
		{"a name of a zone below changed, read with others under one comparison", readBelow,
			func() { must(t)(putHost(t.Context(), s, "sub.example.org.", "ns.sub.example.org.", "192.0.2.1")) }, 2},
		{"a zone below went, likewise", readBelow, func() {
			must(t)(s.Update(t.Context(), func(tx *Tx) error {
				z, err := tx.Zone("sub.example.org.")
				if err == nil {
					tx.DeleteZone(z)
				}
				return err
			}))
		}, 2},
		{"a zone below appeared, likewise", readBelow, func() { createZone(t, s, "x.sub.example.org.") }, 2},
		{"a zone beside appeared, likewise", readBelow, func() { createZone(t, s, "example.orga.") }, 1},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := model.Name(fmt.Sprintf("target%d.example.org.", i))
			got := meanwhile(t, s, func(tx *Tx) error {
				z, err := tx.Zone(exampleOrg)
				if err != nil {
					return err
				}
				if err := tt.read(tx, z); err != nil {
					return err
				}
				if _, err := tx.Path(z, target); err != nil {
					return err
				}
				tx.PutName(z, target, addressed("192.0.2.9", 1))
				return nil
			}, tt.other)
			if got != tt.want {
				t.Errorf("decided %d times, want %d", got, tt.want)
			}
		})
	}
}

func readBelow(tx *Tx, _ *model.Zone) error {
	return tx.OfZonesBelow(exampleOrg, func() error {
		zones, err := tx.ZonesBelow(exampleOrg)
		if err != nil || len(zones) == 0 {
			return err
		}
		z, err := tx.Zone(zones[0])
		if err != nil {
			return err
		}
		_, err = tx.Path(z, "ns.sub.example.org.")
		return err
	})
}

func TestAnErrorOfDecideWritesNothing(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	before := revision(t, s)
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		tx.DeleteZone(z)
		return model.E(model.Denied, "delete zone", "example.org")
	})
	if model.KindOf(err) != model.Denied || revision(t, s) != before {
		t.Errorf("got %v and revision %d, want Denied and %d", err, revision(t, s), before)
	}
}

func TestAZoneThatCannotBeServedIsNotWritten(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	before := revision(t, s)
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		z.Apex = nil // no NS
		tx.PutZone(z)
		return nil
	})
	if model.KindOf(err) != model.Invalid || revision(t, s) != before {
		t.Errorf("got %v, want Invalid and nothing written", err)
	}
}

func TestTooLargeAChangeIsRefusedWhole(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	before := revision(t, s)
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		for i := range 200 {
			n := model.Name(fmt.Sprintf("n%d.example.org.", i))
			if _, err := tx.Path(z, n); err != nil {
				return err
			}
			tx.PutName(z, n, addressed("192.0.2.1", 1))
		}
		return err
	})
	if model.KindOf(err) != model.Exhausted || revision(t, s) != before {
		t.Errorf("got %v, want Exhausted and nothing written", err)
	}
}

func TestNoQuorumIsUnavailableInTime(t *testing.T) {
	etcd := localetcd.New(t)
	s, err := Open(Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	createZone(t, s, exampleOrg)
	etcd.Stop()
	soonest := time.Hour
	for try := 0; try < 3 && soonest > 2*callTimeout; try++ { // the bound is ours, not a busy machine's
		start := time.Now()
		_, err = putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
		if model.KindOf(err) != model.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		soonest = min(soonest, time.Since(start))
	}
	if soonest > 2*callTimeout {
		t.Errorf("it took %s to say so", soonest)
	}
}
