package store

import (
	"fmt"
	"path/filepath"
	"testing"

	"signpost/internal/model"
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
