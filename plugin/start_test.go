package signpost

import (
	"encoding/binary"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/storepb"
)

var startNames = flag.Int("start-names", 100_000, "how many names BenchmarkFromSnapshot reads")

// BenchmarkFromSnapshot is a start without etcd but for the sockets: from the file to
// the view. B/name is what stays.
func BenchmarkFromSnapshot(b *testing.B) {
	path := filepath.Join(b.TempDir(), "snapshot")
	h := store.Snapshot{Prefix: "/signpost", Cluster: 1, Revision: 1_000_000}
	if err := store.WriteSnapshot(path, h, imported(*startNames)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		before := heapInUse()
		b.StartTimer()
		v, _, _, err := readSnapshot(path, "/signpost")
		b.StopTimer()
		if err != nil || v.Names() != *startNames {
			b.Fatalf("%d names, %v", v.Names(), err)
		}
		b.ReportMetric(float64(heapInUse()-before)/float64(v.Names()), "B/name")
		runtime.KeepAlive(v)
		b.StartTimer()
	}
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// imported is a zone of n names as an import leaves them: an A each, an AAAA for
// every fourth.
func imported(n int) func(func(model.Change) bool) {
	const zone = model.Name("dyn.example.org.")
	raw := func(m proto.Message) []byte {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			panic(err)
		}
		return b
	}
	return func(yield func(model.Change) bool) {
		apex := &storepb.Zone{Schema: 1, Generation: 1, Soa: &storepb.Soa{Mname: "ns1.example.net.", Rname: "h.example.net."}, Apex: []*storepb.RRset{
			{Type: uint32(dns.TypeNS), Ttl: 60, Rdata: [][]byte{[]byte("\x03ns1\x07example\x03net\x00")}},
		}}
		if !yield(model.Change{Key: model.Key{Kind: model.ZoneKey, Zone: zone}, ModRevision: 1, Raw: raw(apex)}) {
			return
		}
		for i := range n {
			at := binary.BigEndian.AppendUint32(nil, 10<<24|uint32(i))
			m := &storepb.Name{Schema: 1, Rrsets: []*storepb.RRset{{Type: uint32(dns.TypeA), Ttl: 3600, Rdata: [][]byte{at}}}}
			if i%4 == 0 {
				m.Rrsets = append(m.Rrsets, &storepb.RRset{Type: uint32(dns.TypeAAAA), Ttl: 3600, Rdata: [][]byte{append(make([]byte, 12), at...)}})
			}
			k := model.Key{Kind: model.NameKey, Zone: zone, Generation: 1, Name: model.Name(fmt.Sprintf("host%07d.%s", i, zone))}
			if !yield(model.Change{Key: k, ModRevision: int64(i/100 + 1), Raw: raw(m)}) {
				return
			}
		}
	}
}
