package signpost

import (
	"fmt"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// BenchmarkAZoneMore is one zone created where there are many, as a replica sees it, and
// the first answer from it: neither may grow with the number of zones.
func BenchmarkAZoneMore(b *testing.B) {
	for _, n := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, s := manyZones(n)
			for i := range n {
				s.counts.add("dns://192.0.2.1:53", zoneNumber(i).Key.Zone, dns.RcodeSuccess)
			}
			b.ReportAllocs()
			for i := n; b.Loop(); i++ {
				c := zoneNumber(i)
				r.Next(c.ModRevision, []model.Change{c})
				s.counts.add("dns://192.0.2.1:53", c.Key.Zone, dns.RcodeSuccess)
			}
		})
	}
}

func zoneNumber(i int) model.Change {
	name := model.Name(fmt.Sprintf("zone%07d.example.org.", i))
	return model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: name}, ModRevision: int64(i + 1), Zone: &model.Zone{Name: name, Generation: 1}}
}

// manyZones is a replica with so many zones, and a directive that answers from it.
func manyZones(n int) (*replica, *Signpost) {
	v, _ := zone.Build(1, nil, func(yield func(model.Change, error) bool) {
		for i := range n {
			if !yield(zoneNumber(i), nil) {
				return
			}
		}
	})
	s := &Signpost{zones: []model.Name{model.Root}}
	s.reader = &reader{servers: []string{"dns://192.0.2.1:53"}, zonesGone: s.leaveZones}
	s.counts.has = func(k countKey) bool { return s.counted(k, s.reader.view.Load()) }
	r := &replica{view: v, readers: map[*reader]bool{s.reader: true}}
	r.show(s.reader)
	return r, s
}

func TestCountersAreOfServersAndZonesThatExist(t *testing.T) {
	r, s := manyZones(3)
	has := func(server string, zone model.Name) bool {
		m := s.counts.shard(zone).Load()
		return m != nil && (*m)[countKey{server, zone}] != nil
	}
	const here = "dns://192.0.2.1:53"
	for i := range 4 {
		name := zoneNumber(i).Key.Zone
		s.counts.add(here, name, dns.RcodeSuccess)
		if has(here, name) != (i < 3) {
			t.Errorf("zone %s of 3 has a counter: %t", name, has(here, name))
		}
	}
	if s.counts.add("dns://192.0.2.2:53", zoneNumber(0).Key.Zone, dns.RcodeSuccess); has("dns://192.0.2.2:53", zoneNumber(0).Key.Zone) {
		t.Error("there is a counter of another server")
	}
	if s.counts.add(here, model.Root, dns.RcodeServerFailure); !has(here, model.Root) {
		t.Error("there is no counter of the directive's own zone")
	}
	last := zoneNumber(1).Key
	r.Next(10, []model.Change{{Key: model.Key{Kind: model.AcceptKey, Zone: last.Zone}, ModRevision: 10, Raw: []byte("1")}, {Key: last, ModRevision: 10, Deleted: true}})
	s.counts.add(here, last.Zone, dns.RcodeSuccess) // by a query that was under way
	if has(here, last.Zone) || !has(here, zoneNumber(2).Key.Zone) || !has(here, model.Root) {
		t.Error("when a zone goes its counter does not, or others do")
	}
}
