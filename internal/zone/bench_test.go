package zone_test

import (
	"fmt"
	"iter"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

const (
	hundredThousand = 100_000
	million         = 1_000_000
)

func hostKey(i int) model.Key {
	return model.Key{Kind: model.NameKey, Zone: "dyn.example.org.", Generation: 1, Name: model.Name(fmt.Sprintf("host%07d.dyn.example.org.", i))}
}

func hostChange(i int, rev int64) model.Change {
	addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return model.Change{
		Key: hostKey(i), ModRevision: rev,
		Raw: make([]byte, 28), // the size of such a value in etcd
		Name: &model.NameData{
			Host: &model.Host{Endpoints: []model.Endpoint{{ID: model.MainEndpoint, Addresses: []netip.Addr{addr}}}},
		},
	}
}

func dynZone(rev int64) model.Change {
	ns, _ := model.ParseRRset(dns.TypeNS, 3600, []string{"ns1.example.net."})
	z := &model.Zone{
		Name: "dyn.example.org.", Generation: 1, Apex: []model.RRset{ns},
		SOA: model.SOA{MName: "ns1.example.net.", RName: "hostmaster.example.org.", Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 30, TTL: 3600},
	}
	return model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: z.Name}, ModRevision: rev, Raw: make([]byte, 60), Zone: z}
}

// hosts is a zone of n hosts with one address, and some names of other kinds.
func hosts(n int) iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		more := []model.Change{dynZone(1)}
		for name, rdata := range map[string][2]string{
			"*.wild.dyn.example.org.": {"A", "192.0.2.1"},
			"alias1.dyn.example.org.": {"CNAME", "alias2.dyn.example.org."},
			"alias2.dyn.example.org.": {"CNAME", "host0000001.dyn.example.org."},
		} {
			t, _ := model.ParseType(rdata[0])
			set, _ := model.ParseRRset(t, 60, []string{rdata[1]})
			k := model.Key{Kind: model.NameKey, Zone: "dyn.example.org.", Generation: 1, Name: model.Name(name)}
			more = append(more, model.Change{Key: k, ModRevision: 1, Name: &model.NameData{RRsets: []model.RRset{set}}})
		}
		for _, c := range more {
			if !yield(c, nil) {
				return
			}
		}
		for i := range n {
			if !yield(hostChange(i, 1), nil) {
				return
			}
		}
	}
}

// Two sizes: 100,000 names is what servers are compared with; among a million, asked
// for at random, an answer is mostly the wait for three reads of memory.
var (
	hostsView    = sync.OnceValue(func() *zone.View { return built(hundredThousand) })
	millionHosts = sync.OnceValue(func() *zone.View { return built(million) })
)

func built(n int) *zone.View {
	v, err := zone.Build(1, nil, hosts(n))
	if err != nil {
		panic(err)
	}
	return v
}

func benchmarkAnswer(b *testing.B, v *zone.View, qtype uint16, names ...string) {
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		q := names[i%len(names)]
		z := v.Find(model.NameOf(q), qtype)
		r := z.Answer(q, qtype, 0)
		if len(r.Answer)+len(r.Ns) == 0 {
			b.Fatal("no answer")
		}
	}
}

// spread is 10,000 of n names, far apart: more than the nearest caches hold.
func spread(format string, n int) []string {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf(format, i*7919%n)
	}
	return names
}

func BenchmarkAnswerA(b *testing.B) {
	benchmarkAnswer(b, hostsView(), dns.TypeA, spread("host%07d.dyn.example.org.", hundredThousand)...)
}

func BenchmarkAnswerAMillion(b *testing.B) {
	benchmarkAnswer(b, millionHosts(), dns.TypeA, spread("host%07d.dyn.example.org.", million)...)
}

func BenchmarkAnswerAOneName(b *testing.B) {
	benchmarkAnswer(b, millionHosts(), dns.TypeA, "host0000001.dyn.example.org.")
}

func BenchmarkAnswerNXDOMAIN(b *testing.B) {
	benchmarkAnswer(b, hostsView(), dns.TypeA, spread("nohost%07d.dyn.example.org.", hundredThousand)...)
}

func BenchmarkAnswerNODATA(b *testing.B) {
	benchmarkAnswer(b, hostsView(), dns.TypeTXT, spread("host%07d.dyn.example.org.", hundredThousand)...)
}

func BenchmarkAnswerWildcard(b *testing.B) {
	benchmarkAnswer(b, hostsView(), dns.TypeA, spread("x%d.wild.dyn.example.org.", hundredThousand)...)
}

func BenchmarkAnswerCNAMEChain(b *testing.B) {
	benchmarkAnswer(b, hostsView(), dns.TypeA, "alias1.dyn.example.org.")
}

// One change of an address in a view of a million names.
func BenchmarkApply(b *testing.B) {
	v := millionHosts()
	changes := make([]model.Change, 1000)
	for i := range changes {
		changes[i] = hostChange(i*7919%million, int64(i+2))
		changes[i].Name.Host.TTL = 30
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		c := changes[i%len(changes)]
		rev := model.Change{Key: model.Key{Kind: model.ZoneRevKey, Zone: c.Key.Zone}, ModRevision: int64(i + 2)}
		v = v.Apply(int64(i+2), []model.Change{c, rev})
	}
}

// What a change copies are the nodes on the way to it; the look of the guard at what it
// takes away makes nothing.
func TestAChangeAllocatesLittle(t *testing.T) {
	v := hostsView()
	c := hostChange(7, 2)
	c.Name.Host.TTL = 30
	changes := []model.Change{c, {Key: model.Key{Kind: model.ZoneRevKey, Zone: c.Key.Zone}, ModRevision: 2}}
	if n := testing.AllocsPerRun(100, func() { v.Apply(2, changes) }); n > 25 {
		t.Errorf("a change of one of %d names makes %v allocations, want 25 at most", v.Names(), n)
	}
}

// A million names as a whole, as after a restart, and how much memory they hold.
func BenchmarkBuild(b *testing.B) {
	all := make([]model.Change, 0, million+10)
	for c := range hosts(million) {
		all = append(all, c)
	}
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		before := heap()
		b.StartTimer()
		v, _ := zone.Build(1, nil, func(yield func(model.Change, error) bool) {
			for _, c := range all {
				if !yield(c, nil) {
					return
				}
			}
		})
		b.StopTimer()
		b.ReportMetric(float64(heap()-before)/float64(v.Names()), "B/name")
		runtime.KeepAlive(v)
		b.StartTimer()
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
