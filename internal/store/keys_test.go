package store

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"signpost/internal/model"
)

// aName draws names of arbitrary octets, near each other more often than not.
func aName() *rapid.Generator[model.Name] {
	label := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", "ab", "a.b", "a/", "/", ".", "%", "%2E", "*", "_x", "-", "\x00", "\xff", "A", "all"}),
		rapid.StringMatching(`[a-z0-9-]{1,63}`),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 1, 63), func(b []byte) string { return string(b) }),
	)
	return rapid.Custom(func(t *rapid.T) model.Name {
		for {
			n, err := model.NameFromLabels(rapid.SliceOfN(label, 0, 5).Draw(t, "labels")...)
			if err == nil {
				return n
			}
		}
	})
}

// aPart draws a site or an id.
var aPart = rapid.OneOf(rapid.StringMatching(`[a-z0-9-]{1,9}`), rapid.StringOfN(rapid.RuneFrom([]rune("a/.%_*A ü")), 1, 5, -1))

// below draws a name below z, or z itself.
func below(t *rapid.T, z model.Name) model.Name {
	labels := append(aName().Draw(t, "below").Labels(), z.Labels()...)
	n, err := model.NameFromLabels(labels...)
	if err != nil {
		return z
	}
	return n
}

func TestEveryKeyIsReadAsItWasBuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKeys(rapid.SampledFrom([]string{"/signpost", "/", "/a/b/", "/signpost/v1/dns"}).Draw(t, "prefix"))
		zone := aName().Draw(t, "zone")
		want := []model.Key{{Kind: model.ZoneKey, Zone: zone}, {Kind: model.ZoneRevKey, Zone: zone}, {Kind: model.AllRevKey}, {Kind: model.AcceptKey, Zone: zone}}
		if n := below(t, zone); n != zone {
			want = append(want, model.Key{Kind: model.NameKey, Zone: zone, Generation: rapid.Uint64().Draw(t, "gen"), Name: n})
		}
		site, id := aPart.Draw(t, "site"), aPart.Draw(t, "endpoint")
		want = append(want, model.Key{Kind: model.CheckerKey, Site: site}, model.Key{Kind: model.SiteWordKey, Site: site},
			model.Key{Kind: model.FreezeKey}, model.Key{Kind: model.LifeKey, Site: site})
		if n := below(t, zone); n != zone {
			want = append(want, model.Key{Kind: model.VoteKey, Zone: zone, Name: n, Site: site, Endpoint: id},
				model.Key{Kind: model.HostWordKey, Zone: zone, Name: n}, model.Key{Kind: model.EndpointWordKey, Zone: zone, Name: n, Endpoint: id},
				model.Key{Kind: model.OverKey, Zone: zone, Name: n, Endpoint: id}, model.Key{Kind: model.BeatKey, Zone: zone, Name: n, Endpoint: id},
				model.Key{Kind: model.CheckKey, Zone: zone, Name: n, Generation: rapid.Uint64().Draw(t, "incarnation")})
		}
		for _, w := range want {
			key := k.of(w)
			got, ok, err := k.parse(key)
			if !ok || err != nil || got != w {
				t.Fatalf("%q is read as %v, %v, %v; want %v", key, got, ok, err, w)
			}
			if beside := w.Kind >= model.CheckKey; strings.HasPrefix(key, k.dns()) == beside {
				t.Fatalf("%q is under %q: %v", key, k.dns(), !beside)
			}
		}
	})
}

// The short way for plain names makes what taking names apart makes.
func TestPlainNamesAreReversedLikeOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := aName().Draw(t, "zone")
		n := below(t, z)
		labels := n.Labels()
		if got, want := relative(n, z), reverseLabels(labels[:len(labels)-z.CountLabels()]); got != want {
			t.Fatalf("%q below %q is %q, want %q", n, z, got, want)
		}
		if got, want := reversed(n), reverseLabels(labels); got != want && n != model.Root {
			t.Fatalf("%q is %q, want %q", n, got, want)
		}
	})
}

func TestHostKeyIsReadAsItWasBuilt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKeys("/signpost")
		z := model.Zone{Name: aName().Draw(t, "zone"), Incarnation: rapid.Uint64().Draw(t, "incarnation")}
		n := below(t, z.Name)
		if n == z.Name {
			return
		}
		zone, inc, name, err := k.parseHost(k.host(z, n))
		if err != nil || zone != z.Name || inc != z.Incarnation || name != n {
			t.Fatalf("%q is read as %v %v %v, %v", k.host(z, n), zone, inc, name, err)
		}
	})
}

// The key of a name is a prefix of the keys of exactly the names in its subtree.
func TestSubtreeIsAPrefix(t *testing.T) {
	k := newKeys("/signpost")
	rapid.Check(t, func(t *rapid.T) {
		zone := aName().Draw(t, "zone")
		a, b := below(t, zone), below(t, zone)
		if rapid.Bool().Draw(t, "nested") {
			b = below(t, a)
		}
		if got := strings.HasPrefix(k.name(zone, 1, b), k.name(zone, 1, a)); got != b.In(a) {
			t.Fatalf("%q is under %q: %v, but in the tree: %v", k.name(zone, 1, b), k.name(zone, 1, a), got, b.In(a))
		}
		if a != b && k.name(zone, 1, a) == k.name(zone, 1, b) {
			t.Fatalf("%v and %v have one key", a, b)
		}
		from, to := k.name(zone, 1, a), prefixEnd(k.name(zone, 1, a))
		if in := from <= k.name(zone, 1, b) && k.name(zone, 1, b) < to; in != b.In(a) {
			t.Fatalf("%q in [%q,%q): %v, but in the tree: %v", k.name(zone, 1, b), from, to, in, b.In(a))
		}
	})
}

// Nothing of one zone is in a range of another, nor of one generation of another.
func TestZonesAndGenerationsAreApart(t *testing.T) {
	k := newKeys("/signpost")
	rapid.Check(t, func(t *rapid.T) {
		z := aName().Draw(t, "zone")
		y := below(t, z)
		if y == z {
			return
		}
		g, h := rapid.Uint64().Draw(t, "gen"), rapid.Uint64().Draw(t, "other gen")
		if strings.HasPrefix(k.gen(y, g), k.names(z)) || strings.HasPrefix(k.gen(z, g), k.names(y)) || k.rev(y) == k.rev(z) || k.rev(z) == k.revAll() {
			t.Fatalf("the keys of %v and %v overlap", y, z)
		}
		if g != h && strings.HasPrefix(k.gen(z, g), k.gen(z, h)) {
			t.Fatalf("generations %d and %d overlap", g, h)
		}
	})
}

func TestKeysOfNoKindAreNotRead(t *testing.T) {
	k := newKeys("/signpost")
	for key, isError := range map[string]bool{
		"/signpost/v1/dns/schema":                    false,
		"/signpost/v1/dns/later/s/org.example./h./e": false,
		"/signpost/v1/dns/admin/later":               false,
		"/signpost/v1/live/control/00":               false,
		"/signpost/v1/ctl/token/00":                  false,
		"/signpost2/v1/dns/zone/org.example.":        false,
		"/signpost/v1/dns/zone/":                     true,
		"/signpost/v1/dns/zone/org.example":          true, // no final dot
		"/signpost/v1/dns/zone/org..example.":        true,
		"/signpost/v1/dns/zone/ORG.":                 true, // there is one form only
		"/signpost/v1/dns/zone/%6Frg.":               true,
		"/signpost/v1/dns/zone/%2e.":                 true,
		"/signpost/v1/dns/zone/%4F.":                 true, // upper case, escaped
		"/signpost/v1/dns/zone/%+1.":                 true,
		"/signpost/v1/dns/zone/%2.":                  true,
		"/signpost/v1/dns/zone/org.example./x":       true,
		"/signpost/v1/dns/name/org.example.":         true,
		"/signpost/v1/dns/name/org.example./1":       true,
		"/signpost/v1/dns/name/org.example./1/":      true, // the apex is in the zone's value
		"/signpost/v1/dns/name/org.example./01/h.":   true,
		"/signpost/v1/dns/name/org.example./-1/h.":   true,
		"/signpost/v1/dns/name/org.example./1/h./i.": true,
		"/signpost/v1/dns/name/org.example./1/.":     true,
		"/signpost/v1/dns/rev/org.example":           true,
		"/signpost/v1/dns/rev/":                      true,
		"/signpost/v1/dns/checker/":                  true,
		"/signpost/v1/dns/checker/a/b":               true,
		"/signpost/v1/dns/checker/%61":               true,
		"/signpost/v1/dns/vote/s/org.example./h.":    true,
		"/signpost/v1/dns/vote/s/org.example./h./":   true,
		"/signpost/v1/dns/vote/s/org.example.//e":    true,
		"/signpost/v1/dns/vote//org.example./h./e":   true,
		"/signpost/v1/dns/over/org.example./h./e/f":  true,
		"/signpost/v1/dns/admin/host/org.example.":   true,
		"/signpost/v1/dns/admin/host/org.example./":  true,
		"/signpost/v1/dns/admin/site/":               true,
		"/signpost/v1/check/org.example./h.":         true,
		"/signpost/v1/beat/org.example./h.":          true,
		"/signpost/v1/live/checker/":                 true,
	} {
		if got, ok, err := k.parse(key); ok || (err != nil) != isError {
			t.Errorf("%q is read as %v, %v, %v", key, got, ok, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	k := newKeys("/signpost")
	for _, s := range []string{"zone/org.example.", "rev/all", "rev/.", "name/org.example./7/www.", "name/./1/%00.%2E.", "schema", "zone/%zz.",
		"checker/a", "vote/a/org.example./www./main", "admin/freeze", "admin/site/%2F", "admin/host/org.example./www.", "admin/endpoint/./www./b", "over/org.example./www./b"} {
		f.Add(k.dns() + s)
	}
	for _, s := range []string{"check/org.example./7/www.", "live/checker/a", "beat/org.example./www./b"} {
		f.Add(k.root + s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		got, ok, err := k.parse(key)
		if ok != (got.Kind != 0 && err == nil) && err == nil {
			t.Fatalf("%q: %v, %v, %v", key, got, ok, err)
		}
		if ok && k.of(got) != key {
			t.Fatalf("%q is read as %v, which is built as %q", key, got, k.of(got))
		}
		if _, _, name, err := k.parseHost(key); err == nil && name == "" {
			t.Fatalf("%q is a host without a name", key)
		}
	})
}

// What many keys are read and made with says what is said of each by itself.
func TestKeysInBulkAreAsOneByOne(t *testing.T) {
	names := []model.Name{"a.example.org.", "b.a.example.org.", `\000\./.*.a.example.org.`, "c.example.org.", "x.org.", `a\.b.`, "z.example.net."}
	read, made := newBulk(snapshotKeys), bulkKeys{keys: snapshotKeys}
	for range 2 {
		for _, n := range names {
			for z, ok := n.Parent(); ok; z, ok = z.Parent() {
				for _, k := range []model.Key{
					{Kind: model.NameKey, Zone: z, Generation: uint64(len(z)), Name: n},
					{Kind: model.ZoneKey, Zone: n}, {Kind: model.AllRevKey}, {Kind: model.AcceptKey, Zone: n},
				} {
					want := snapshotKeys.of(k)
					if got := string(made.key(k)); got != want {
						t.Errorf("made %q, want %q", got, want)
					}
					if got, known, err := read.key([]byte(want)); got != k || !known || err != nil {
						t.Errorf("%q is read as %+v, %t, %v", want, got, known, err)
					}
				}
			}
		}
	}
	for _, bad := range []string{"dns/name/org.example./9/", "dns/name/org.example./9/a..", "dns/name/org.example./9/A.", "dns/other/x", "dns/name/org.example./9/a"} {
		_, known1, err1 := snapshotKeys.parse(bad)
		if _, known, err := read.key([]byte(bad)); known != known1 || (err == nil) != (err1 == nil) {
			t.Errorf("%q: %t, %v; want %t, %v", bad, known, err, known1, err1)
		}
	}
}
