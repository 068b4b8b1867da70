package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signpost/internal/model"
)

func TestPoliciesAreReadBack(t *testing.T) {
	for _, p := range []*model.ZonePolicy{
		{},
		{Reserved: []string{}},
		{
			Admins: []model.PrincipalName{"egi/a", "group:egi/b"}, Register: model.RegisterGroups,
			Groups: []model.PrincipalName{"group:egi/c"}, Reserved: []string{"www", "x*"}, Depth: 2, MaxHosts: 7,
			Quarantine: model.NoQuarantine, Lease: 1, LeaseTime: time.Unix(1e9, 0).UTC(), MaxRecords: 2, MaxOctets: 3, MaxNames: 4,
			Grants: model.Grants{{What: model.GrantAdmin + "egi/a", Token: []byte{1, 2}}}, Formers: []model.Former{{Incarnation: 7, ExpireTime: time.Unix(2e9, 0).UTC()}},
		},
	} {
		got, err := decodePolicy(encodePolicy(p), 0)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Error(diff)
		}
	}
}

// What somebody has is in step with the hosts, and goes with the zone.
func TestHoldingsFollowHosts(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, "vo.example.org.")
	host := model.Name("www.vo.example.org.")
	var old *model.HostControl
	put := func(next *model.HostControl) {
		t.Helper()
		if _, err := s.Update(t.Context(), func(tx *Tx) error {
			if _, err := tx.Path(z, host); err != nil {
				return err
			}
			tx.PutHost(z, host, old, next)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		old = next
	}
	holds := func(who string, owns int, want ...Holding) {
		t.Helper()
		if err := s.Read(t.Context(), func(tx *Tx) error {
			got, err := tx.Holdings(who)
			if err != nil {
				return err
			}
			if diff := cmp.Diff(want, got); len(want)+len(got) > 0 && diff != "" {
				t.Errorf("%s: %s", who, diff)
			}
			n, err := tx.CountOwned(who, z)
			if n != owns {
				t.Errorf("%s owns %d, want %d", who, n, owns)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	it := Holding{z.Name, host, z.Incarnation, true}
	edits := Holding{z.Name, host, z.Incarnation, false}
	put(&model.HostControl{Owner: "egi/a", Editors: []model.PrincipalName{"egi/b", "group:egi/g"}})
	holds("egi/a", 1, it)
	holds("egi/b", 0, edits)
	holds("group:egi/g", 0, edits)
	put(&model.HostControl{Owner: "egi/b"})
	holds("egi/a", 0)
	holds("egi/b", 1, it)
	holds("group:egi/g", 0)
	put(&model.HostControl{Owner: "admin/x"})
	holds("egi/b", 0)
	holds("admin/x", 0)
	put(nil)
	put(&model.HostControl{Owner: "egi/a"})
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(z.Name)
		if err != nil {
			return err
		}
		if _, err := tx.Policy(z); err != nil {
			return err
		}
		tx.PutPolicy(z, &model.ZonePolicy{Register: model.RegisterEveryone})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(z.Name)
		if err == nil {
			tx.DeleteZone(z)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Sweep(context.Background(), time.Now()); err != nil || n != 3 {
		t.Errorf("swept %d keys, %v; want the host, who has it and the policy", n, err)
	}
	holds("egi/a", 0)
}

// A person's name may hold anything; who is disabled is found by all of it.
func TestDisabledPeopleAreReadBack(t *testing.T) {
	s := freshStore(t)
	who := model.PrincipalName("egi/Ünï/:%@x")
	why := &model.Withdrawal{Reason: "left", Time: time.Unix(1e9, 0).UTC()}
	put := func(next *model.Withdrawal) {
		t.Helper()
		if _, err := s.Update(t.Context(), func(tx *Tx) error {
			_, err := tx.Disabled(who)
			tx.PutDisabled(who, next)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(n model.PrincipalName) (got *model.Withdrawal) {
		t.Helper()
		if err := s.Read(t.Context(), func(tx *Tx) (err error) {
			got, err = tx.Disabled(n)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return got
	}
	put(why)
	if diff := cmp.Diff(why, read(who)); diff != "" {
		t.Error(diff)
	}
	for _, other := range []model.PrincipalName{"egi/Ünï/:%@", "egi/Ünï/:%@xx", "egi/ünï/:%@x"} {
		if read(other) != nil {
			t.Errorf("%s is disabled, too", other)
		}
	}
	put(nil)
	if read(who) != nil {
		t.Error("still disabled")
	}
}

// Kept names go when their time is over, and with their zone.
func TestKeptNamesAreSweptAway(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, "vo.example.org.")
	now := time.Unix(1e9, 0).UTC()
	names := []model.Name{"a.vo.example.org.", "b.vo.example.org.", "x.a.vo.example.org."}
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(z.Name)
		if err != nil {
			return err
		}
		if _, err := tx.KeptNames(z, names...); err != nil {
			return err
		}
		for i, n := range names {
			tx.PutKeptName(z, n, &model.KeptName{Owner: "egi/a", ExpireTime: now.Add(time.Duration(i) * time.Hour)})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	sweep := func(at time.Time, want int) {
		t.Helper()
		if n, err := s.sweepKept(t.Context(), at); n != want || err != nil {
			t.Errorf("%d swept away, want %d; %v", n, want, err)
		}
	}
	sweep(now.Add(-time.Second), 0)
	sweep(now, 1)
	sweep(now.Add(time.Hour-time.Second), 0)
	sweep(now.Add(time.Hour), 1)
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(z.Name)
		if err == nil {
			tx.DeleteZone(z)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	sweep(now, 1)
}
