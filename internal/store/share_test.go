package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// atOnce makes changes of many names at the same time, and gives the revisions of those
// of which it is known; on a busy machine etcd may not answer in time.
func atOnce(t *testing.T, names []model.Name, change func(model.Name) (Result, error)) map[model.Name]int64 {
	t.Helper()
	out := map[model.Name]int64{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, n := range names {
		wg.Go(func() {
			res, err := change(n)
			again := false
			for try := 0; model.KindOf(err) == model.Unavailable && err != nil && try < 10; try++ {
				again = true
				res, err = change(n)
			}
			if err != nil || !res.Changed && !again {
				t.Errorf("%s: %+v, %v", n, res, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if res.Changed {
				out[n] = res.Revision
			}
		})
	}
	wg.Wait()
	return out
}

func manyNames(n int) []model.Name {
	names := make([]model.Name, n)
	for i := range names {
		names[i] = model.Name(fmt.Sprintf("h%d.example.org.", i))
	}
	return names
}

// TestASharedRevisionHoldsEachChangeWhole is promise 2, one change is one change, where
// changes share a revision: at the one that each was told it is there, with its audit
// record and the zone's revision, and before it is not.
func TestASharedRevisionHoldsEachChangeWhole(t *testing.T) {
	s := copying(t, localetcd.New(t).Endpoint())
	createZone(t, s, exampleOrg)
	start := revision(t, s)
	names := manyNames(200)
	revs := atOnce(t, names, func(n model.Name) (Result, error) { return putHost(t.Context(), s, exampleOrg, n, "192.0.2.1") })
	if distinct := len(slices.Compact(slices.Sorted(maps.Values(revs)))); distinct == len(revs) {
		t.Errorf("%d changes had as many revisions: nothing was shared", distinct)
	}
	thereAt := func(n model.Name, rev int64) (there bool, zoneRev int64) {
		t.Helper()
		if err := s.ReadAt(t.Context(), rev, func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			path, err := tx.Path(z, n)
			if err != nil {
				return err
			}
			if (path[0].Data == nil) != (path[0].Host == nil) {
				t.Errorf("%s is there by half at revision %d", n, rev)
			}
			there = path[0].Data != nil
			zoneRev, err = tx.ZoneRevision(exampleOrg)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return there, zoneRev
	}
	for n, rev := range revs {
		if before, _ := thereAt(n, rev-1); before {
			t.Errorf("%s was there before revision %d", n, rev)
		}
		if there, zoneRev := thereAt(n, rev); !there || zoneRev != rev {
			t.Errorf("%s at its revision %d: there %v, zone's revision %d", n, rev, there, zoneRev)
		}
	}

	// A mark is never the same twice, also where changes share it.
	marks := map[string]int64{}
	for _, rev := range revs {
		resp, err := s.client.Get(t.Context(), s.keys.rev(exampleOrg), clientv3.WithRev(rev))
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatal(err)
		}
		mark := string(resp.Kvs[0].Value)
		if was, ok := marks[mark]; mark == "" || ok && was != rev {
			t.Errorf("the mark %x of revision %d is none or that of %d", mark, rev, was)
		}
		marks[mark] = rev
	}

	told, ids := map[model.Name]int64{}, map[string]bool{}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	all := errors.New("all came")
	last := start
	if err := s.FollowNews(ctx, &NewsPosition{Revision: start}, time.Second, func(n News) error {
		rev, records := n.Revision, n.Records
		if len(records) > 0 && rev <= last {
			t.Errorf("records of revision %d came after those of %d", rev, last)
		}
		last = max(last, rev)
		for _, r := range records {
			if told[r.Name] != 0 || r.Revision != rev {
				t.Errorf("the feed says %s again, or at %d what is of %d", r.Name, r.Revision, rev)
			}
			told[r.Name], ids[r.ID] = rev, true
		}
		if len(told) == len(names) {
			return all
		}
		return nil
	}); !errors.Is(err, all) {
		t.Fatal(err)
	}
	for n, rev := range revs {
		if told[n] != rev {
			t.Errorf("%s: the feed says revision %d, its caller was told %d", n, told[n], rev)
		}
	}
	for _, limit := range []int{1, 3, 1000} {
		listed := map[string]bool{}
		for before, first := "", true; first || before != ""; first = false {
			must(t)(Result{}, s.Read(t.Context(), func(tx *Tx) error {
				page, more, err := tx.AuditRecords(before, time.Time{}, limit, func(r *model.AuditRecord) bool { return r.Name != "" })
				for _, r := range page {
					if listed[r.ID] || told[r.Name] != r.Revision {
						t.Errorf("in pages of %d: %s is listed again, or at %d what is of %d", limit, r.ID, r.Revision, told[r.Name])
					}
					listed[r.ID] = true
				}
				before = more
				return err
			}))
		}
		if !maps.Equal(listed, ids) {
			t.Errorf("pages of %d: %d ids are listed, the feed has %d, or others", limit, len(listed), len(ids))
		}
	}
}

// TestNoSharedRevisionLooksLikeALoss: a replica's guard holds a zone that loses half of
// its names, and at least 100, in one revision. Hosts that are deleted one by one, by many
// at once, are no such loss.
func TestNoSharedRevisionLooksLikeALoss(t *testing.T) {
	s := copying(t, localetcd.New(t).Endpoint())
	createZone(t, s, exampleOrg)
	names := manyNames(300)
	atOnce(t, names, func(n model.Name) (Result, error) { return putHost(t.Context(), s, exampleOrg, n, "192.0.2.1") })
	revs := atOnce(t, names, func(n model.Name) (Result, error) {
		return s.Update(t.Context(), func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			if _, err := tx.Path(z, n); err != nil {
				return err
			}
			tx.PutName(z, n, nil)
			tx.PutHost(z, n, nil, nil)
			return nil
		})
	})
	lost := map[int64]int{}
	for _, rev := range revs {
		lost[rev]++
	}
	for rev, n := range lost {
		if n >= 100 {
			t.Errorf("revision %d takes %d names away", rev, n)
		}
	}
}
