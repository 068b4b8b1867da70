package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// Names are ordered as their keys are, whatever octets they hold.
func TestNamesAreOrderedAsTheirKeys(t *testing.T) {
	label := rapid.StringOfN(rapid.RuneFrom([]rune("ab-_*0.% \\/")), 1, 3, -1)
	name := rapid.Custom(func(t *rapid.T) model.Name {
		n, err := model.NameFromLabels(append(rapid.SliceOfN(label, 0, 3).Draw(t, "labels"), "example", "org")...)
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
	k := newKeys("/t")
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		want := strings.Compare(k.name(exampleOrg, 1, a), k.name(exampleOrg, 1, b))
		if got := OrderNames(a, b); got < 0 != (want < 0) || got > 0 != (want > 0) {
			t.Errorf("%s and %s: %d, their keys: %d", a, b, got, want)
		}
	})
}

// What differs between two looks at a zone is found with and without a copy in memory.
func TestWhatChangedBetweenTwoLooksIsFound(t *testing.T) {
	for name, s := range map[string]*Store{"etcd": freshStore(t), "copy": copying(t, localetcd.New(t).Endpoint())} {
		t.Run(name, func(t *testing.T) {
			z := createZone(t, s, exampleOrg)
			for _, h := range []model.Name{"a.example.org.", "b.example.org.", "c.example.org.", "z.example.org."} {
				must(t)(putHost(t.Context(), s, exampleOrg, h, "192.0.2.1"))
			}
			look := func() *Tx {
				tx, err := s.Look(t.Context())
				if err == nil {
					_, err = tx.Revision()
				}
				if err != nil {
					t.Fatal(err)
				}
				return tx
			}
			before := look()
			must(t)(putHost(t.Context(), s, exampleOrg, "b.example.org.", "192.0.2.2"))
			must(t)(putHost(t.Context(), s, exampleOrg, "a.b.example.org.", "192.0.2.2"))
			for _, gone := range []model.Name{"c.example.org.", "z.example.org."} {
				must(t)(s.Update(t.Context(), func(tx *Tx) error {
					if _, err := tx.Path(z, gone); err != nil {
						return err
					}
					tx.PutName(z, gone, nil)
					return nil
				}))
			}
			now := look()
			got, err := ChangedNames(before, now, z)
			want := []model.Name{"b.example.org.", "a.b.example.org.", "c.example.org.", "z.example.org."}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, %v; want %v", got, err, want)
			}
			if back, err := ChangedNames(now, before, z); err != nil || !slices.Equal(back, want) {
				t.Errorf("the other way round: %v, %v", back, err)
			}
			if none, err := ChangedNames(now, now, z); err != nil || len(none) != 0 {
				t.Errorf("nothing: %v, %v", none, err)
			}
		})
	}
}

// A claim is one at a time, and its loser writes nothing more.
func TestALostClaimWritesNothing(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	first, err := s.ClaimImport(t.Context(), exampleOrg, "first", time.Unix(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ClaimImport(t.Context(), exampleOrg, "second", time.Unix(2, 0)); model.KindOf(err) != model.Aborted || !strings.Contains(fmt.Sprint(err), "first") {
		t.Errorf("a second claim: %v", err)
	}
	if _, err := s.client.Revoke(t.Context(), first.lease); err != nil {
		t.Fatal(err)
	}
	second, err := s.ClaimImport(t.Context(), exampleOrg, "second", time.Unix(2, 0))
	if err != nil {
		t.Fatal(err)
	}
	rev := revision(t, s)
	one := func(yield func(model.Name, *model.NameData) bool) { yield("x.example.org.", addressed("192.0.2.1", 1)) }
	if err := first.Load(one, func(int) {}); model.KindOf(err) != model.Aborted {
		t.Errorf("it loads: %v", err)
	}
	if err := first.CloseZone(); model.KindOf(err) != model.Aborted && model.KindOf(err) != model.Unavailable {
		t.Errorf("it closes: %v", err)
	}
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		z.Generation = first.Generation
		tx.PutZone(z)
		return tx.EndImport(first)
	}); model.KindOf(err) != model.Aborted {
		t.Errorf("it switches: %v", err)
	}
	if n, err := first.Release(t.Context()); n != 0 || err != nil {
		t.Errorf("it removes %d, %v", n, err)
	}
	if got := revision(t, s); got != rev {
		t.Errorf("it wrote something: revision %d, want %d", got, rev)
	}
	if err := second.Load(one, func(int) {}); err != nil {
		t.Error(err)
	}
	if n, err := second.Release(t.Context()); n != 1 || err != nil {
		t.Errorf("the second's end removes %d, %v; want its one name", n, err)
	}
}
