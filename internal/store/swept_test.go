package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// switchTo ends an import well.
func switchTo(t *testing.T, s *Store, c *Claim) {
	t.Helper()
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(c.zone)
		if err != nil {
			return err
		}
		z.Generation = c.Generation
		tx.PutZone(z)
		return tx.EndImport(c)
	}))
}

func TestSweepRemovesOnlyTheDead(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	names := func(yield func(model.Name, *model.NameData) bool) {
		for i := range 250 {
			if !yield(model.Name(fmt.Sprintf("n%d.example.org.", i)), addressed("192.0.2.1", 1)) {
				return
			}
		}
	}
	load := func() *Claim {
		t.Helper()
		c, err := s.ClaimImport(t.Context(), exampleOrg, "somebody", time.Unix(1, 0))
		if err == nil {
			err = c.Load(names, func(int) {})
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	count := func(want int) {
		t.Helper()
		resp, err := s.client.Get(t.Context(), s.keys.anyName(), clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || int(resp.Count) != want {
			t.Errorf("%d names, %v; want %d", resp.Count, err, want)
		}
	}
	sweep := func(want int) {
		t.Helper()
		if n, err := s.Sweep(t.Context(), time.Unix(1, 0)); n != want || err != nil {
			t.Errorf("swept %d, %v; want %d", n, err, want)
		}
	}
	switchTo(t, s, load())
	if n, err := s.Sweep(t.Context(), time.Unix(1, 0)); n != 0 || err != nil { // the first was empty
		t.Errorf("swept %d, %v", n, err)
	}
	coming := load()
	sweep(0) // one is served, one is being loaded
	before := revision(t, s)
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		z.Generation = coming.Generation
		tx.PutZone(z)
		return tx.EndImport(coming)
	}); err != nil {
		t.Fatal(err)
	}
	sweep(250)
	gone := load() // younger than the one in use, and abandoned
	if _, err := s.client.Revoke(t.Context(), gone.lease); err != nil {
		t.Fatal(err)
	}
	sweep(250)
	count(250)
	if err := s.Read(t.Context(), func(tx *Tx) error {
		if rev, err := tx.ZoneRevision(exampleOrg); err != nil || rev != before+1 {
			t.Errorf("zone revision %d, %v; want %d: sweeping changes no answer", rev, err, before+1)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	must(t)(putHost(t.Context(), s, exampleOrg, "h.example.org.", "192.0.2.1"))
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err == nil {
			tx.DeleteZone(z)
		}
		return err
	}))
	sweep(252) // 251 names and the host's control value
	count(0)
}

func TestAuditIsReadNewestFirst(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	for i := range 5 {
		must(t)(s.Update(t.Context(), func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			z.TTL = uint32(100 + i)
			tx.PutZone(z)
			tx.Audit(model.AuditRecord{Time: time.UnixMilli(int64(1000 + i)), Action: "zone.set", Zone: exampleOrg, After: fmt.Sprint(i)})
			return nil
		}))
	}
	var got []string
	before := ""
	for range 3 {
		if err := s.Read(t.Context(), func(tx *Tx) error {
			recs, more, err := tx.AuditRecords(before, time.Time{}, 2, func(*model.AuditRecord) bool { return true })
			for _, r := range recs {
				if r.Revision == 0 {
					t.Errorf("record without revision: %+v", r)
				}
				got = append(got, r.After)
			}
			before = more
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"4", "3", "2", "1", "0"}, got); diff != "" || before != "" {
		t.Errorf("records: %s, more %q", diff, before)
	}
}
