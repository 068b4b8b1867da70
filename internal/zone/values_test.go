package zone_test

import (
	"errors"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// A value that cannot be read keeps its last good one and is counted; without one
// that name, or zone, answers SERVFAIL.
func TestValuesThatCannotBeRead(t *testing.T) {
	const z, www, mail = "example.org.", "www.example.org.", "mail.example.org."
	changes := zoneChanges(t, z, 1)
	good := zone.Empty(0).Apply(1, append(changes, nameChange(1, z, mail, "good", 1)))
	bad := good.Apply(2, []model.Change{
		nameChange(1, z, mail, "garbage", 2),
		nameChange(1, z, "new.example.org.", "garbage", 2),
		nameChange(1, z, "*.wild.example.org.", "garbage", 2),
		{Key: changes[0].Key, ModRevision: 2, Bad: errors.New("garbage")},
	})
	check := func(v *zone.View, names int) {
		t.Helper()
		expect(t, v, mail, dns.TypeTXT, `NOERROR aa; answer mail.example.org. 60 TXT "good"`)
		expect(t, v, www, dns.TypeA, "NOERROR aa; answer www.example.org. 300 A 192.0.2.1")
		expect(t, v, "new.example.org.", dns.TypeA, "SERVFAIL")
		expect(t, v, "x.new.example.org.", dns.TypeA, "NXDOMAIN aa; authority example.org. 30 SOA 7")
		expect(t, v, "x.wild.example.org.", dns.TypeA, "SERVFAIL")
		if v.BadValues() != 4 || v.Names() != names {
			t.Errorf("%d bad values and %d names, want 4 and %d", v.BadValues(), v.Names(), names)
		}
	}
	check(bad, 4)
	for c := range bad.All() {
		if c.Key.Name == mail && (string(c.Raw) != "good" || c.ModRevision != 2) {
			t.Errorf("a snapshot would hold %q of revision %d, not the last good value and the revision of the bad one", c.Raw, c.ModRevision)
		}
	}

	whole := []model.Change{
		{Key: changes[0].Key, ModRevision: 2, Bad: errors.New("garbage")},
		changes[1],
		nameChange(1, z, mail, "garbage", 2),
		nameChange(1, z, "new.example.org.", "garbage", 2),
		nameChange(1, z, "*.wild.example.org.", "garbage", 2),
		changes[2],
	}
	again, err := zone.Build(3, bad, each(whole))
	if err != nil {
		t.Fatal(err)
	}
	check(again, 4)

	fresh, err := zone.Build(3, nil, each(whole))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, fresh, www, dns.TypeA, "SERVFAIL")
	if fz := fresh.Zone(z); fz == nil || fz.Readable() || fz.SOA() != nil {
		t.Error("a zone that could never be read has a SOA")
	}
	better := fresh.Apply(4, []model.Change{changes[0]})
	expect(t, better, www, dns.TypeA, "NOERROR aa; answer www.example.org. 300 A 192.0.2.1")
	expect(t, better, mail, dns.TypeTXT, "SERVFAIL")
}

// The last good value of a name comes from the view before; what was below the name
// there does not.
func TestLastGoodValueWithoutWhatWasBelow(t *testing.T) {
	const z, above, below = "example.org.", "a.example.org.", "b.a.example.org."
	changes := zoneChanges(t, z, 1)
	good := host(t, above+" 192.0.2.1")
	good.Key.Zone, good.Key.Generation = z, 1
	before := zone.Empty(0).Apply(1, append(changes, good, nameChange(1, z, below, "good", 1)))
	v, err := zone.Build(2, before, each(append(changes, nameChange(1, z, above, "garbage", 2))))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, v, above, dns.TypeA, "NOERROR aa; answer a.example.org. 60 A 192.0.2.1")
	expect(t, v, below, dns.TypeA, "NXDOMAIN aa; authority example.org. 30 SOA 7")
	gone := v.Apply(3, []model.Change{nameChange(1, z, above, "deleted", 3)})
	expect(t, gone, above, dns.TypeA, "NXDOMAIN aa; authority example.org. 30 SOA 7")
}
