package store

import (
	"testing"

	"signpost/internal/model"
)

func TestABasisHoldsUntilSomethingOfItChanges(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	must(t)(putHost(t.Context(), s, exampleOrg, "h.example.org.", "192.0.2.1"))
	change := func(n model.Name, data *model.NameData) func() {
		return func() {
			must(t)(s.Update(t.Context(), func(tx *Tx) error {
				z, err := tx.Zone(exampleOrg)
				if err != nil {
					return err
				}
				if _, err := tx.Path(z, n); err != nil {
					return err
				}
				tx.PutName(z, n, data)
				return nil
			}))
		}
	}
	steps := []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing happened", func() {}, true},
		{"something else changed", change("other.example.org.", addressed("192.0.2.9", 1)), true},
		{"what was there changed", change("h.example.org.", addressed("192.0.2.2", 1)), false},
		{"what was not there appeared", change("x.h.example.org.", addressed("192.0.2.3", 1)), false},
		{"what was there is gone", change("h.example.org.", nil), false},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			var basis Basis
			if err := s.Read(t.Context(), func(tx *Tx) error {
				z, err := tx.ZoneAbove("x.h.example.org.")
				if err == nil {
					_, err = tx.Path(z, "x.h.example.org.")
				}
				basis = tx.Basis()
				return err
			}); err != nil {
				t.Fatal(err)
			}
			step.do()
			if err := s.Read(t.Context(), func(tx *Tx) error {
				got, err := tx.Holds(basis)
				if got != step.want {
					t.Errorf("holds %v, want %v", got, step.want)
				}
				for _, was := range basis {
					if at := tx.reads.find(was.key); at < 0 || !tx.reads.all[at].exact {
						t.Errorf("%s would not be compared", was.key)
					}
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		got, err := tx.Holds(Basis{})
		if got {
			t.Error("nothing holds something")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// TestAZoneAboveIsOfNoConcern: what decides where a name belongs is compared, and no more.
func TestAZoneAboveIsOfNoConcern(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, "sub.example.org.")
	find := func(tx *Tx) error {
		z, err := tx.ZoneAbove("h.sub.example.org.")
		if err != nil || z.Name != "sub.example.org." {
			t.Errorf("%v, %v", z, err)
		}
		if _, err := tx.Path(z, "h.sub.example.org."); err != nil {
			return err
		}
		tx.PutName(z, "h.sub.example.org.", addressed("192.0.2.1", 1))
		return err
	}
	if n := meanwhile(t, s, find, func() { createZone(t, s, exampleOrg) }); n != 1 {
		t.Errorf("decided %d times, want once", n)
	}
}

func TestADecodedZoneIsTheCallersOwn(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	for range 2 {
		if err := s.Read(t.Context(), func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			if z.TTL != 0 || len(z.Apex) != 1 || z.Apex[0].TTL != 3600 {
				t.Errorf("another caller's change shows: %+v", z)
			}
			z.TTL, z.Apex[0].TTL = 7, 7
			z.Apex = z.Apex[:0]
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
