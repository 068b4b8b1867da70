package store

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// However many keys a Tx looks at, it finds each as it was put there last, and compares
// after OfZonesBelow what it compared before.
func TestReadsAreFoundAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r reads
		want := map[string]read{}
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 60), 0, 120).Draw(t, "keys") {
			key, h := fmt.Sprint("k", n), held{mod: int64(n + 1)}
			if at := r.find(key); (at >= 0) != (want[key].key != "") {
				t.Fatalf("%s is at %d of %v", key, at, r.all)
			} else if at < 0 {
				r.add(key, h)
				want[key] = read{key: key, held: h}
			}
		}
		exact := rapid.IntRange(0, 3).Draw(t, "exact")
		for i := range r.all {
			r.all[i].exact = i%4 < exact
		}
		if err := r.inexactly(func() error {
			r.add("later", held{})
			for i := range r.all {
				r.all[i].exact = true
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for i := range r.all {
			if r.find(r.all[i].key) != i || r.all[i].exact != (i%4 < exact && i < len(r.all)-1) {
				t.Fatalf("%d is %+v", i, r.all[i])
			}
		}
		if len(r.all) != len(want)+1 {
			t.Fatalf("%d keys, want %d", len(r.all), len(want)+1)
		}
	})
}

// An update that goes on from a Peek has compared what the Peek looked at, with a copy
// and without, and decides on the state of now when that has changed.
func TestAnUpdateFromAPeekComparesWhatThatSaw(t *testing.T) {
	etcd := localetcd.New(t)
	for name, s := range map[string]*Store{"with a copy": copying(t, etcd.Endpoint()), "without": freshStore(t)} {
		t.Run(name, func(t *testing.T) {
			createZone(t, s, exampleOrg)
			must(t)(putHost(t.Context(), s, exampleOrg, "seen.example.org.", "192.0.2.1"))
			for _, change := range []bool{false, true} {
				var peeked *Tx
				if err := s.Read(t.Context(), func(*Tx) error { return nil }); err != nil { // the copy has heard of it all
					t.Fatal(err)
				}
				if err := s.Peek(t.Context(), func(tx *Tx) error {
					z, err := tx.ZoneAbove("seen.example.org.")
					if err == nil {
						_, err = tx.Path(z, "seen.example.org.")
					}
					peeked = tx
					return err
				}); err != nil {
					t.Fatal(err)
				}
				if change {
					must(t)(putHost(t.Context(), s, exampleOrg, "seen.example.org.", "192.0.2.2"))
				}
				var tries []*Tx
				_, err := s.UpdateFrom(t.Context(), peeked, func(tx *Tx) error {
					tries = append(tries, tx)
					return setHost(tx, exampleOrg, model.Name(fmt.Sprintf("other-%t.example.org.", change)), "192.0.2.3")
				})
				if err != nil {
					t.Fatal(err)
				}
				want := 1
				if change {
					want = 2
				}
				if len(tries) != want || tries[0] != peeked {
					t.Errorf("changed meanwhile %t: %d tries, the first with the Peek's Tx: %t", change, len(tries), tries[0] == peeked)
				}
			}
		})
	}
}
