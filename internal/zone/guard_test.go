package zone_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/zone"
)

const guarded = model.Name("example.org.")

// filled is a view at revision 1 of a zone with n names in generation 1.
func filled(n int) *zone.View {
	changes := []model.Change{zoneValue(1, 1)}
	for i := range n {
		changes = append(changes, name(1, i, 1))
	}
	return zone.Empty(0).Apply(1, changes)
}

func zoneValue(gen uint64, rev int64) model.Change {
	return model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: guarded}, ModRevision: rev, Raw: fmt.Appendf(nil, "g%d", gen), Zone: &model.Zone{
		Name: guarded, Generation: gen, Apex: []model.RRset{rrset(dns.TypeNS, "ns.example.net.")},
		SOA: model.SOA{MName: "ns.", RName: "root.", Refresh: 1, Retry: 2, Expire: 3, Minimum: 4, TTL: 5},
	}}
}

func name(gen uint64, i int, rev int64) model.Change {
	return nameChange(gen, string(guarded), fmt.Sprintf("n%d.%s", i, guarded), "text", rev)
}

func deleted(c model.Change) model.Change {
	return model.Change{Key: c.Key, ModRevision: c.ModRevision, Deleted: true}
}

func names(gen uint64, from, to int, rev int64, how func(model.Change) model.Change) (out []model.Change) {
	for i := from; i < to; i++ {
		out = append(out, how(name(gen, i, rev)))
	}
	return out
}

func put(c model.Change) model.Change { return c }

func revOf(rev int64) model.Change {
	return model.Change{Key: model.Key{Kind: model.ZoneRevKey, Zone: guarded}, ModRevision: rev}
}

// The mass-change guard: what one step may take away of a zone without a word.
func TestTheMassChangeGuard(t *testing.T) {
	gone := model.Change{Key: zoneValue(1, 0).Key, ModRevision: 2, Deleted: true}
	garbage := model.Change{Key: zoneValue(1, 0).Key, ModRevision: 2, Bad: errors.New("garbage")}
	for _, c := range []struct {
		name  string
		had   int
		step  []model.Change
		holds bool
	}{
		{"more than half and at least 100", 199, names(1, 0, 100, 2, deleted), true},
		{"half", 200, names(1, 0, 100, 2, deleted), false},
		{"all of fewer than 100", 99, names(1, 0, 99, 2, deleted), false},
		{"all of 100", 100, names(1, 0, 100, 2, deleted), true},
		{"the zone itself", 0, []model.Change{gone}, true},
		{"with an acceptance in the same revision", 199, append(names(1, 0, 100, 2, deleted), acceptance(guarded, 2)), false},
		{"the zone itself, with an acceptance", 0, []model.Change{gone, acceptance(guarded, 2)}, false},
		{"as many others come", 199, append(names(1, 0, 100, 2, deleted), names(1, 200, 400, 2, put)...), true},
		{"a switch to a generation with few names", 199, append(names(2, 0, 99, 2, put), zoneValue(2, 2)), true},
		{"a switch to other names", 199, append(names(2, 300, 600, 2, put), zoneValue(2, 2)), true},
		{"a switch to most names", 199, append(names(2, 0, 100, 2, put), zoneValue(2, 2)), false},
		{"a switch with an acceptance", 199, []model.Change{zoneValue(2, 2), acceptance(guarded, 2)}, false},
		{"values become garbage", 199, append(names(1, 0, 199, 2, func(c model.Change) model.Change {
			return model.Change{Key: c.Key, ModRevision: 2, Bad: errors.New("garbage")}
		}), garbage), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := filled(c.had)
			v := before.Apply(2, append(c.step, revOf(2)))
			if got := len(v.Held()) == 1; got != c.holds {
				t.Fatalf("the guard holds: %t, want %t: %v", got, c.holds, v.Held())
			}
			if !c.holds {
				return
			}
			if h := v.Held()[0]; h.Zone != guarded || h.Since != 1 || h.Names != c.had {
				t.Errorf("it says %+v", h)
			}
			if v.Zone(guarded) != before.Zone(guarded) || v.Names() != before.Names() {
				t.Error("the zone is not as it was")
			}
			if z := v.Apply(3, []model.Change{acceptance("example.com.", 3)}).Zone(guarded); z != before.Zone(guarded) {
				t.Error("an acceptance for another zone let go")
			}
			free := v.Apply(3, []model.Change{acceptance(guarded, 3)})
			if want := before.Apply(2, append(c.step, revOf(2), acceptance(guarded, 2))); len(free.Held()) != 0 || !slices.Equal(served(free, guarded), served(want, guarded)) || free.Names() != want.Names() {
				t.Errorf("after the acceptance it is\n%q\nwant\n%q", served(free, guarded), served(want, guarded))
			}
		})
	}
}

// An old acceptance is none, neither for a later loss nor for a backup that was
// restored and has gone back before it.
func TestAnAcceptanceIsForWhatWasBefore(t *testing.T) {
	v := filled(150).Apply(2, []model.Change{acceptance(guarded, 2)})
	v = v.Apply(3, names(1, 0, 150, 3, deleted))
	if len(v.Held()) != 1 {
		t.Error("an acceptance was good for a later loss")
	}
	whole := func(old *zone.View, rev int64, changes ...model.Change) *zone.View {
		t.Helper()
		next, err := zone.Build(rev, old, each(changes))
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	late := filled(150).Apply(1000, []model.Change{revOf(1000)})
	back := whole(late, 500, zoneValue(1, 1), acceptance(guarded, 400))
	if len(back.Held()) != 1 || back.Held()[0].Since != 500 {
		t.Fatalf("after going back to revision 500: %+v", back.Held())
	}
	if back = back.Apply(501, []model.Change{acceptance(guarded, 501)}); len(back.Held()) != 0 || back.Names() != 0 {
		t.Error("an acceptance of the history that there is now does not let go")
	}
}

// world is what the guard is compared with: state as plain sets.
type world struct {
	rev     int64
	state   map[model.Key]model.Change
	allRev  int64
	exists  bool             // what is served
	serves  map[string]int64 // name -> mod revision
	serial  int64
	holding bool
	since   int64
}

func (w *world) now() (exists bool, now map[string]int64) {
	now = map[string]int64{}
	z, ok := w.state[zoneValue(1, 0).Key]
	for k, c := range w.state {
		if ok && k.Kind == model.NameKey && k.Generation == z.Zone.Generation {
			now[string(k.Name)] = c.ModRevision
		}
	}
	return ok, now
}

// step is the guard's rule once more, in the words of the design.
func (w *world) step(before int64) {
	exists, now := w.now()
	lost := 0
	for n := range w.serves {
		if _, ok := now[n]; !ok {
			lost++
		}
	}
	mass := w.exists && (!exists || lost >= 100 && lost > len(w.serves)/2)
	some := !exists || lost > 0
	since := before
	if w.holding {
		since = w.since
	}
	accepted := w.state[acceptance(guarded, 0).Key].ModRevision > since
	if !accepted && (mass || w.holding && some) {
		w.holding, w.since = true, since
		return
	}
	w.holding, w.exists, w.serves = false, exists, now
	w.serial = max(w.state[revOf(0).Key].ModRevision, w.allRev)
}

// The view with the guard equals the model, whether it followed each change, read
// the whole again, or came from a snapshot in between.
func TestTheGuardIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := zone.Empty(0), &world{state: map[model.Key]model.Change{}}
		for range rapid.IntRange(2, 12).Draw(t, "steps") {
			var changes []model.Change
			revisions := rapid.SampledFrom([]int64{1, 1, 1, 3}).Draw(t, "revisions")
			for range revisions {
				w.rev++
				changes = someChanges(t, w.rev)
				for _, c := range changes {
					w.take(c)
				}
			}
			whole := slices.Collect(maps.Values(w.state))
			if w.allRev > 0 {
				whole = append(whole, model.Change{Key: model.Key{Kind: model.AllRevKey}, ModRevision: w.allRev})
			}
			before := v.Revision()
			if revisions == 1 && rapid.Bool().Draw(t, "followed") {
				v = v.Apply(w.rev, changes)
			} else {
				if rapid.Bool().Draw(t, "restarted") {
					v = fromSnapshot(t, v)
					compare(t, v, w)
				}
				var err error
				if v, err = zone.Build(w.rev, v, each(whole)); err != nil {
					t.Fatal(err)
				}
			}
			w.step(before)
			compare(t, v, w)
			if n, err := v.Compare(keysOnly(whole)); n != 0 || err != nil {
				t.Fatalf("%d differences from what it was made of, %v", n, err)
			}
		}
	})
}

func (w *world) take(c model.Change) {
	switch {
	case c.Key.Kind == model.AllRevKey:
		w.allRev = c.ModRevision
	case c.Deleted:
		delete(w.state, c.Key)
	default:
		w.state[c.Key] = c
	}
}

func someChanges(t *rapid.T, rev int64) []model.Change {
	gen := rapid.Uint64Range(1, 2).Draw(t, "generation")
	from := rapid.IntRange(0, 300).Draw(t, "from")
	to := rapid.IntRange(from, 300).Draw(t, "to")
	out := []model.Change{revOf(rev)}
	switch rapid.SampledFrom([]string{"put", "put", "put", "delete", "delete", "delete all", "zone", "zone", "no zone", "all"}).Draw(t, "what") {
	case "put":
		out = append(out, names(gen, from, to, rev, put)...)
	case "delete":
		out = append(out, names(gen, from, to, rev, deleted)...)
	case "delete all":
		out = append(out, names(gen, 0, 300, rev, deleted)...)
	case "zone":
		out = append(out, zoneValue(gen, rev))
	case "no zone":
		out = append(out, deleted(zoneValue(gen, rev)))
	case "all":
		out = []model.Change{{Key: model.Key{Kind: model.AllRevKey}, ModRevision: rev}}
	}
	if rapid.IntRange(0, 4).Draw(t, "accept") == 0 {
		out = append(out, acceptance(guarded, rev))
	}
	return out
}

// fromSnapshot is the view as a restart has it.
func fromSnapshot(t *rapid.T, v *zone.View) *zone.View {
	var kept []model.Change
	for c := range v.All() {
		switch {
		case c.Key.Kind == model.ZoneKey && string(c.Raw) == "g1":
			c.Zone = zoneValue(1, 0).Zone
		case c.Key.Kind == model.ZoneKey:
			c.Zone = zoneValue(2, 0).Zone
		case c.Key.Kind == model.NameKey:
			c.Name = name(1, 0, 0).Name
		}
		kept = append(kept, c)
	}
	again, err := zone.Build(v.Revision(), nil, each(kept))
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func keysOnly(changes []model.Change) iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		for _, c := range changes {
			if !yield(model.Change{Key: c.Key, ModRevision: c.ModRevision}, nil) {
				return
			}
		}
	}
}

// served is the names of a zone with their mod revisions.
func served(v *zone.View, z model.Name) (names []string) {
	for c := range v.All() {
		if c.Key.Kind == model.NameKey && c.Key.Zone == z {
			names = append(names, fmt.Sprint(c.Key.Name, c.ModRevision))
		}
	}
	slices.Sort(names)
	return names
}

func compare(t *rapid.T, v *zone.View, w *world) {
	z := v.Zone(guarded)
	if (z != nil) != w.exists || (len(v.Held()) == 1) != w.holding {
		t.Fatalf("zone %v, held %v; want %t, %t", z != nil, v.Held(), w.exists, w.holding)
	}
	if w.holding && v.Held()[0].Since != w.since {
		t.Fatalf("held since %d, want %d", v.Held()[0].Since, w.since)
	}
	if z == nil {
		return
	}
	var want []string
	for n, mod := range w.serves {
		want = append(want, fmt.Sprint(n, mod))
	}
	slices.Sort(want)
	if got := served(v, guarded); !slices.Equal(got, want) || z.Names() != len(want) || v.Names() != len(want) {
		t.Fatalf("it serves\n%q\nwant\n%q", got, want)
	}
	if z.Serial() != uint32(w.serial) {
		t.Fatalf("the serial is %d, want %d", z.Serial(), w.serial)
	}
}
