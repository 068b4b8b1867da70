package store

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

func BenchmarkReadSnapshot(b *testing.B) {
	const names = 100_000
	raw := encodeName(addressed("192.0.2.1", 9))
	path := filepath.Join(b.TempDir(), "snap")
	err := WriteSnapshot(path, sampleHeader, func(yield func(model.Change) bool) {
		for i := range names {
			k := model.Key{Kind: model.NameKey, Zone: exampleOrg, Generation: 3, Name: model.Name(fmt.Sprintf("host-%d.example.org.", i))}
			if !yield(model.Change{Key: k, ModRevision: int64(i), Raw: raw}) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		l, err := ReadSnapshot(path, "/signpost")
		if err != nil {
			b.Fatal(err)
		}
		for c, err := range l.All {
			if err != nil || c.Bad != nil {
				b.Fatal(err, c.Bad)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/names, "ns/name")
}

// What a control service keeps of a host: its name's key and its own.
func BenchmarkKeptHosts(b *testing.B) {
	const hosts = 100_000
	dns := encodeName(addressed("192.0.2.1", 9))
	control := encodeHostControl(&model.HostControl{
		Owner: "egi/someone@example.org", SecretHash: make([]byte, 32), CreateTime: time.Unix(1_800_000_000, 0), UpdateTime4: time.Unix(1_800_000_000, 0),
	})
	k := newKeys("/signpost")
	for b.Loop() {
		before := heapAlloc()
		kept := newKeptKeys(k.root)
		for i := range hosts {
			kept.put(&mvccpb.KeyValue{Key: fmt.Appendf(nil, "%sdns/name/org.example.dyn./1/host%07d.", k.root, i), Value: dns, ModRevision: int64(i)})
		}
		for i := range hosts {
			kept.put(&mvccpb.KeyValue{Key: fmt.Appendf(nil, "%sctl/host/org.example.dyn./1/host%07d.", k.root, i), Value: control, ModRevision: int64(i)})
		}
		b.ReportMetric(float64(heapAlloc()-before)/hosts, "B/host")
		runtime.KeepAlive(kept)
	}
}

// What a control service keeps of what three checkers say of hosts with two endpoints.
func BenchmarkKeptVotes(b *testing.B) {
	const hosts = 30_000
	vote := encodeVote(&model.Vote{Generation: 1 << 50, Term: 1 << 50, Verdict: model.Down, Reason: model.NoConnection, Time: time.Unix(1_800_000_000, 0)})
	k := newKeys("/signpost")
	for b.Loop() {
		before := heapAlloc()
		kept := newKeptKeys(k.root)
		put := func(key string, value []byte) {
			kept.put(&mvccpb.KeyValue{Key: []byte(key), Value: value, ModRevision: 1})
		}
		for _, site := range []string{"amsterdam", "bologna", "cracow"} {
			for i := range hosts {
				for _, id := range []string{"a", "b"} {
					put(k.vote(site, exampleOrg, model.Name(fmt.Sprintf("host%07d.example.org.", i)), id), vote)
				}
			}
		}
		b.ReportMetric(float64(heapAlloc()-before)/hosts/6, "B/vote")
		b.ReportMetric(float64(len(kept.dirs.numbers)), "folders")
		runtime.KeepAlive(kept)
	}
}

// Signs of life of 10,000 endpoints, which come all at once.
func BenchmarkBeats(b *testing.B) {
	const endpoints = 10_000
	s, err := Open(Config{Endpoints: []string{localetcd.New(b).Endpoint()}})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	before, err := s.get(b.Context(), callTimeout, "x")
	if err != nil {
		b.Fatal(err)
	}
	var begin, end syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &begin)
	for b.Loop() {
		var all sync.WaitGroup
		for i := range endpoints {
			all.Go(func() {
				if err := s.Beat(b.Context(), exampleOrg, model.Name(fmt.Sprintf("h%d.example.org.", i)), "a", 1, 0); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
	}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &end)
	after, err := s.get(b.Context(), callTimeout, "x")
	if err != nil {
		b.Fatal(err)
	}
	n := float64(endpoints) * float64(b.N)
	b.ReportMetric(n/b.Elapsed().Seconds(), "beats/s")
	b.ReportMetric(n/float64(after.Header.Revision-before.Header.Revision), "beats/transaction")
	b.ReportMetric(float64(end.Utime.Nano()+end.Stime.Nano()-begin.Utime.Nano()-begin.Stime.Nano())/n/1000, "cpu-µs/beat") // etcd's with ours
}

func heapAlloc() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
