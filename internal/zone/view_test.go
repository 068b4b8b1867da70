package zone_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
)

const small = `
$TTL 300
@ SOA ns1.example.net. hostmaster.example.net. 7 7200 900 1209600 600
@ NS  ns1.example.net.
www A 192.0.2.1
`

// zoneChanges is a small zone with this serial in its file.
func zoneChanges(t *testing.T, name string, rev int64) []model.Change {
	t.Helper()
	changes, err := zonetest.Changes("$ORIGIN "+name+"\n"+small, rev)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func nameChange(gen uint64, z, name, text string, rev int64) model.Change {
	c := model.Change{
		Key:         model.Key{Kind: model.NameKey, Zone: model.Name(z), Generation: gen, Name: model.Name(name)},
		ModRevision: rev, Raw: []byte(text),
	}
	switch text {
	case "deleted":
		c.Deleted, c.Raw = true, nil
	case "garbage":
		c.Bad = errors.New("garbage")
	default:
		set, err := model.ParseRRset(dns.TypeTXT, 60, []string{text})
		if err != nil {
			panic(err)
		}
		c.Name = &model.NameData{RRsets: []model.RRset{set}, ModRevision: rev}
	}
	return c
}

// says is the answer to one question in one line.
func says(v *zone.View, name string, qtype uint16) string { return saysDrawn(v, name, qtype, 0) }

func saysDrawn(v *zone.View, name string, qtype uint16, draw uint64) string {
	z := v.Find(model.NameOf(name), qtype)
	if z == nil {
		return "no zone"
	}
	return strings.Join(lines(z.Answer(name, qtype, draw)), "; ")
}

func expect(t *testing.T, v *zone.View, name string, qtype uint16, want string) {
	t.Helper()
	if got := says(v, name, qtype); got != want {
		t.Errorf("%s %s\ngot  %s\nwant %s", name, dns.Type(qtype), got, want)
	}
}

// A question goes to the longest zone that contains it, DS at a zone's apex to the
// zone above it when we serve that too.
func TestFind(t *testing.T) {
	v := zone.Empty(0)
	for _, name := range []string{"example.org.", "sub.example.org.", "a.b.sub.example.org."} {
		v = v.Apply(1, zoneChanges(t, name, 1))
	}
	for _, c := range []struct {
		name  model.Name
		qtype uint16
		want  model.Name
	}{
		{"example.org.", dns.TypeA, "example.org."},
		{"www.example.org.", dns.TypeA, "example.org."},
		{"www.sub.example.org.", dns.TypeA, "sub.example.org."},
		{"b.sub.example.org.", dns.TypeA, "sub.example.org."},
		{"x.a.b.sub.example.org.", dns.TypeA, "a.b.sub.example.org."},
		{"notexample.org.", dns.TypeA, ""},
		{`a\.example.org.`, dns.TypeA, ""},
		{"org.", dns.TypeA, ""},
		{".", dns.TypeA, ""},
		{"sub.example.org.", dns.TypeDS, "example.org."},
		{"a.b.sub.example.org.", dns.TypeDS, "sub.example.org."},
		{"www.sub.example.org.", dns.TypeDS, "sub.example.org."},
		{"example.org.", dns.TypeDS, "example.org."},
	} {
		var got model.Name
		if z := v.Find(c.name, c.qtype); z != nil {
			got = z.Name()
		}
		if got != c.want {
			t.Errorf("%s %s goes to %q, want %q", c.name, dns.Type(c.qtype), got, c.want)
		}
	}
	var names []model.Name
	for z := range v.Zones() {
		names = append(names, z.Name())
	}
	if !slices.Equal(names, []model.Name{"example.org.", "sub.example.org.", "a.b.sub.example.org."}) {
		t.Errorf("zones are %q", names)
	}
}

// The serial is the base plus the greater of the zone's last change and the last
// change of all zones.
func TestSerial(t *testing.T) {
	v := zone.Empty(0).Apply(10, zoneChanges(t, "example.org.", 10))
	z := v.Zone("example.org.")
	if z.Serial() != 7 || z.SOA().(*dns.SOA).Serial != 7 {
		t.Errorf("the serial is %d", z.Serial())
	}
	zoneRev := model.Change{Key: model.Key{Kind: model.ZoneRevKey, Zone: "example.org."}, ModRevision: 12}
	allRev := model.Change{Key: model.Key{Kind: model.AllRevKey}, ModRevision: 15}
	for _, c := range []struct {
		changes []model.Change
		want    uint32
	}{
		{nil, 7},
		{[]model.Change{zoneRev}, 9},
		{[]model.Change{allRev}, 12},
		{[]model.Change{allRev, zoneRev}, 12},
	} {
		if got := v.Apply(20, c.changes).Zone("example.org.").Serial(); got != c.want {
			t.Errorf("after %v the serial is %d, want %d", c.changes, got, c.want)
		}
	}
}

// Names of a generation other than the one in the zone's value do not exist; one
// revision switches.
func TestGenerations(t *testing.T) {
	const z = "example.org."
	v := zone.Empty(0).Apply(1, []model.Change{nameChange(1, z, "early.example.org.", "one", 1)})
	expect(t, v, "early.example.org.", dns.TypeTXT, "no zone")
	changes := zoneChanges(t, z, 2)
	v = v.Apply(2, changes)
	expect(t, v, "early.example.org.", dns.TypeTXT, `NOERROR aa; answer early.example.org. 60 TXT "one"`)

	v = v.Apply(3, []model.Change{nameChange(2, z, "early.example.org.", "two", 3), nameChange(2, z, "late.example.org.", "two", 3)})
	expect(t, v, "early.example.org.", dns.TypeTXT, `NOERROR aa; answer early.example.org. 60 TXT "one"`)
	expect(t, v, "late.example.org.", dns.TypeTXT, "NXDOMAIN aa; authority example.org. 30 SOA 7")
	if v.Names() != 2 {
		t.Errorf("%d names, want 2", v.Names())
	}

	next := *changes[0].Zone
	next.Generation = 2
	v = v.Apply(4, []model.Change{{Key: changes[0].Key, ModRevision: 4, Zone: &next}})
	expect(t, v, "early.example.org.", dns.TypeTXT, `NOERROR aa; answer early.example.org. 60 TXT "two"`)
	expect(t, v, "www.example.org.", dns.TypeA, "NXDOMAIN aa; authority example.org. 30 SOA 7")
	if v.Names() != 2 {
		t.Errorf("%d names, want 2", v.Names())
	}

	gone := v.Apply(5, []model.Change{{Key: changes[0].Key, ModRevision: 5, Deleted: true}, acceptance(z, 5)})
	expect(t, gone, "early.example.org.", dns.TypeTXT, "no zone")
	if gone.Names() != 0 {
		t.Errorf("%d names, want none", gone.Names())
	}
	expect(t, v, "early.example.org.", dns.TypeTXT, `NOERROR aa; answer early.example.org. 60 TXT "two"`)
}

func acceptance(z model.Name, rev int64) model.Change {
	return model.Change{Key: model.Key{Kind: model.AcceptKey, Zone: z}, ModRevision: rev}
}

func each(changes []model.Change) iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		for _, c := range changes {
			if !yield(c, nil) {
				return
			}
		}
	}
}

// No zone is taken for another one that hashes alike: found when a new zone was held
// in the place of a stranger's.
func TestManyZonesComeOneByOne(t *testing.T) {
	const zones = 300
	v := zone.Empty(0)
	for i := range zones {
		z := fmt.Sprintf("z%d.example.", i)
		rev := int64(2*i + 1)
		v = v.Apply(rev, []model.Change{nameChange(1, z, "www."+z, "text", rev)}) // beside what is served, as an import does
		v = v.Apply(rev+1, zoneChanges(t, z, rev+1))
	}
	n := 0
	for range v.Zones() {
		n++
	}
	if n != zones || len(v.Held()) != 0 {
		t.Errorf("%d zones, %d of them held; want %d and none", n, len(v.Held()), zones)
	}
	if v.Names() != zones {
		t.Errorf("%d names, want one in each of %d zones", v.Names(), zones)
	}
}

func TestBuildFailsWithItsSource(t *testing.T) {
	broke := errors.New("the connection broke")
	v, err := zone.Build(1, nil, func(yield func(model.Change, error) bool) {
		_ = yield(zoneChanges(t, "example.org.", 1)[0], nil) && yield(model.Change{}, broke)
	})
	if v != nil || !errors.Is(err, broke) {
		t.Errorf("got %v, %v", v, err)
	}
}
