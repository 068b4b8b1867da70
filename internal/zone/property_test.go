package zone_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// Every replica gives the same answer from the same revision: one that has followed
// each change and one that has just read the whole.
func TestFollowedAndReadWholeAreTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := zone.Empty(0)
		live, good := map[model.Key]model.Change{}, map[model.Key]model.Change{}
		revisions := rapid.Int64Range(1, 12).Draw(t, "revisions")
		for rev := int64(1); rev <= revisions; rev++ {
			changes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) model.Change { return anyChange(t, rev) }), 1, 8).Draw(t, "changes")
			changes = accepted(onePerKey(changes))
			v = v.Apply(rev, changes)
			for _, c := range changes {
				live[c.Key] = c
				if c.Bad == nil {
					good[c.Key] = c
				}
				if c.Deleted {
					delete(live, c.Key)
					delete(good, c.Key)
				}
			}
		}
		before := build(t, v.Revision(), nil, good)
		sameViews(t, v, build(t, v.Revision(), before, live))
		sameViews(t, v, build(t, v.Revision(), v, live))
		if len(live) == 0 && v.Names() > 0 {
			t.Fatal("names are left when all keys are gone")
		}
	})
}

func build(t *rapid.T, rev int64, old *zone.View, state map[model.Key]model.Change) *zone.View {
	v, err := zone.Build(rev, old, each(slices.Collect(maps.Values(state))))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// accepted adds to the removal of a zone what the control service does: without it
// the guard would hold.
func accepted(changes []model.Change) []model.Change {
	for _, c := range changes {
		if c.Key.Kind == model.ZoneKey && (c.Deleted || c.Bad != nil) {
			changes = append(changes, acceptance(c.Key.Zone, c.ModRevision))
		}
	}
	return changes
}

func onePerKey(changes []model.Change) []model.Change {
	seen := map[model.Key]bool{}
	return slices.DeleteFunc(changes, func(c model.Change) bool {
		again := seen[c.Key]
		seen[c.Key] = true
		return again
	})
}

var (
	zoneNames = []model.Name{"example.", "b.example."}
	owners    = []string{"a", "b", "*", "a.b", "*.a", "a.a", "b.*.a", "a.b.a", "*.b.a", "b.a.b.a"}
	askTypes  = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeCNAME, dns.TypeNS, dns.TypeDS, dns.TypeDNAME, dns.TypeANY, dns.TypeSOA, dns.TypeMX}
)

func anyChange(t *rapid.T, rev int64) model.Change {
	z := rapid.SampledFrom(zoneNames).Draw(t, "zone")
	c := model.Change{ModRevision: rev, Raw: fmt.Appendf(nil, "r%d", rev)}
	switch rapid.IntRange(0, 14).Draw(t, "kind") {
	case 0:
		c.Key = model.Key{Kind: model.AllRevKey}
		return c
	case 1:
		c.Key = model.Key{Kind: model.ZoneRevKey, Zone: z}
		return c
	case 10, 11, 12:
		anyRemark(t, &c, z)
	case 13, 14:
		anyCommon(t, &c)
	case 2, 3:
		c.Key = model.Key{Kind: model.ZoneKey, Zone: z}
		c.Zone = anyZone(t, z)
	default:
		owner := rapid.SampledFrom(owners).Draw(t, "owner")
		gen := rapid.Uint64Range(1, 2).Draw(t, "generation")
		c.Key = model.Key{Kind: model.NameKey, Zone: z, Generation: gen, Name: model.Name(owner + "." + string(z))}
		c.Name = anyName(t)
	}
	switch rapid.IntRange(0, 9).Draw(t, "state") {
	case 0, 1, 2:
		c = model.Change{Key: c.Key, ModRevision: rev, Deleted: true}
	case 3:
		c = model.Change{Key: c.Key, ModRevision: rev, Raw: c.Raw, Bad: errors.New("garbage")}
	}
	return c
}

// anyRemark makes of c a change of what is said of a host or endpoint.
func anyRemark(t *rapid.T, c *model.Change, z model.Name) {
	owner := rapid.SampledFrom(owners).Draw(t, "owner")
	c.Key = model.Key{Zone: z, Name: model.Name(owner + "." + string(z))}
	endpoint := rapid.SampledFrom([]string{"e0", "e1", "main"}).Draw(t, "endpoint")
	switch rapid.IntRange(0, 4).Draw(t, "remark") {
	case 0:
		c.Key.Kind, c.Word = model.HostWordKey, anyWord(t)
	case 1:
		c.Key.Kind, c.Key.Endpoint, c.Word = model.EndpointWordKey, endpoint, anyWord(t)
	case 2:
		c.Key.Kind, c.Key.Endpoint, c.Over = model.OverKey, endpoint, &model.Over{Generation: 3}
	default:
		c.Key.Kind, c.Key.Endpoint, c.Key.Site = model.VoteKey, endpoint, rapid.SampledFrom([]string{"k1", "k2"}).Draw(t, "site")
		c.Vote = &model.Vote{Site: c.Key.Site, Endpoint: endpoint, Generation: 3, Term: 7, Verdict: model.Verdict(rapid.IntRange(1, 3).Draw(t, "verdict"))}
	}
}

// anyCommon makes of c a change of what is said of everything.
func anyCommon(t *rapid.T, c *model.Change) {
	c.Key = model.Key{Site: rapid.SampledFrom([]string{"k1", "k2"}).Draw(t, "site")}
	switch rapid.IntRange(0, 3).Draw(t, "common") {
	case 0:
		c.Key, c.Freeze = model.Key{Kind: model.FreezeKey}, &model.Freeze{}
	case 1:
		c.Key.Kind, c.Word = model.SiteWordKey, anyWord(t)
	default:
		c.Key.Kind, c.Checker = model.CheckerKey, &model.Checker{Site: c.Key.Site, Term: rapid.Uint64Range(6, 7).Draw(t, "term")}
	}
}

func anyWord(t *rapid.T) *model.Word {
	return &model.Word{Say: model.Saying(rapid.IntRange(0, 3).Draw(t, "say")), Incarnation: rapid.Uint64Range(4, 5).Draw(t, "incarnation")}
}

func anyZone(t *rapid.T, name model.Name) *model.Zone {
	apex := []model.RRset{rrset(dns.TypeNS, "ns.a."+string(name))}
	if rapid.IntRange(0, 5).Draw(t, "apex dname") == 0 {
		apex = append(apex, rrset(dns.TypeDNAME, "a.example."))
	}
	return &model.Zone{
		Name: name, Incarnation: rapid.Uint64Range(4, 5).Draw(t, "zone incarnation"), Generation: rapid.Uint64Range(1, 2).Draw(t, "zone generation"), Apex: apex,
		TTL:        rapid.SampledFrom([]uint32{0, 90}).Draw(t, "zone ttl"),
		SerialBase: rapid.Uint32().Draw(t, "base"),
		SOA:        model.SOA{MName: "ns.", RName: "root.", Refresh: 1, Retry: 2, Expire: 3, Minimum: 4, TTL: 5},
	}
}

func rrset(t uint16, rdata ...string) model.RRset {
	set, err := model.ParseRRset(t, 60, rdata)
	if err != nil {
		panic(err)
	}
	return set
}

func anyName(t *rapid.T) *model.NameData {
	target := rapid.SampledFrom(owners).Draw(t, "target") + ".example."
	sets := map[uint16]model.RRset{
		dns.TypeA: rrset(dns.TypeA, "192.0.2.1", "192.0.2.2"), dns.TypeTXT: rrset(dns.TypeTXT, "text"), dns.TypeNS: rrset(dns.TypeNS, target),
		dns.TypeCNAME: rrset(dns.TypeCNAME, target), dns.TypeDNAME: rrset(dns.TypeDNAME, target), dns.TypeMX: rrset(dns.TypeMX, "1 "+target),
	}
	n := &model.NameData{Withdrawn: rapid.IntRange(0, 5).Draw(t, "withdrawn") == 0}
	for _, typ := range slices.Sorted(maps.Keys(sets)) {
		if rapid.IntRange(0, 4).Draw(t, "has") == 0 {
			n.RRsets = append(n.RRsets, sets[typ])
		}
	}
	switch rapid.IntRange(0, 4).Draw(t, "host") {
	case 0, 1:
		n.Host = anyHost(t)
	case 2:
		n.Host = &model.Host{Wildcard: rapid.Bool().Draw(t, "wildcard"), TTL: rapid.SampledFrom([]uint32{0, 20}).Draw(t, "ttl")}
		addrs := []netip.Addr{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}
		n.Host.Endpoints = []model.Endpoint{{ID: model.MainEndpoint, Addresses: addrs[:rapid.IntRange(0, 2).Draw(t, "addresses")]}}
	}
	return n
}

func sameViews(t *rapid.T, a, b *zone.View) {
	if a.Names() != b.Names() || a.BadValues() != b.BadValues() {
		t.Fatalf("%d and %d names, %d and %d bad values", a.Names(), b.Names(), a.BadValues(), b.BadValues())
	}
	if a.Chosen() != b.Chosen() || a.FailOpen() != b.FailOpen() {
		t.Fatalf("%d and %d hosts are chosen among, %d and %d fail open", a.Chosen(), b.Chosen(), a.FailOpen(), b.FailOpen())
	}
	if x, y := keysOf(a), keysOf(b); !slices.Equal(x, y) {
		t.Fatalf("the keys are\n%q and\n%q", x, y)
	}
	for _, owner := range append([]string{"x", "x.a", "x.b", "x.y.a", "x.b.a", "b.b.b.a", ""}, owners...) {
		for _, z := range zoneNames {
			name := string(z)
			if owner != "" {
				name = owner + "." + name
			}
			for _, typ := range askTypes {
				for draw := range uint64(4) {
					if x, y := saysDrawn(a, name, typ, draw), saysDrawn(b, name, typ, draw); x != y {
						t.Fatalf("%s %s is\n%s and\n%s", name, dns.Type(typ), x, y)
					}
				}
			}
		}
	}
	for _, z := range zoneNames {
		if x, y := recordsOf(a.Zone(z)), recordsOf(b.Zone(z)); !slices.Equal(x, y) {
			t.Fatalf("the records of %s are\n%q and\n%q", z, x, y)
		}
	}
}

func keysOf(v *zone.View) (keys []string) {
	for c := range v.All() {
		keys = append(keys, fmt.Sprint(c.Key, c.ModRevision, string(c.Raw)))
	}
	slices.Sort(keys)
	return keys
}

func recordsOf(z *zone.Zone) (records []string) {
	if z == nil {
		return nil
	}
	for rr := range z.Records() {
		records = append(records, rr.String())
	}
	slices.Sort(records)
	return records
}
