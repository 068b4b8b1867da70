package size

import (
	"fmt"
	"iter"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

const (
	costRounds = 5
	costTimes  = 20_000 // in a round
	costNames  = 10_000 // far apart: more than the nearest caches hold
)

// cost is processor time and memory of one of many, in the round that took least: others
// on the machine take away from all rounds, and give to none.
type cost struct {
	time   time.Duration
	octets uint64 // allocated
}

func (c cost) String() string { return fmt.Sprintf("%d ns, %d B", c.time.Nanoseconds(), c.octets) }

func costOf(do func(i int)) cost {
	least := cost{time: time.Hour}
	for range costRounds {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := processTime()
		for i := range costTimes {
			do(i)
		}
		took := (processTime() - begin) / costTimes
		runtime.ReadMemStats(&after)
		if took < least.time {
			least = cost{took, (after.TotalAlloc - before.TotalAlloc) / costTimes}
		}
	}
	return least
}

// processTime is user and system time of this process, its garbage collector included.
func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails for bad arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// nth is the i-th of costNames names far apart.
func nth(i, n int) int { return i % costNames * 7919 % n }

func answering(t *testing.T, v *zone.View, n int) cost {
	names := make([]string, costNames)
	for i := range names {
		names[i] = string(hostName(nth(i, n)))
	}
	return costOf(func(i int) {
		q := names[i%costNames]
		if a := v.Find(model.Name(q), dns.TypeA).Answer(q, dns.TypeA, 0); len(a.Answer) != 1 {
			t.Fatalf("%s is answered with %v", q, a.Answer)
		}
	})
}

func answeringPlain(t *testing.T, v *zone.View, n int) cost {
	questions := make([][]byte, costNames)
	for i := range questions {
		m := new(dns.Msg)
		m.SetQuestion(string(hostName(nth(i, n))), dns.TypeA)
		raw, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		questions[i] = raw[12:]
	}
	var q zone.Question
	room := make([]byte, 0, 1500)
	return costOf(func(i int) {
		if _, ok := q.Read(questions[i%costNames]); !ok {
			t.Fatal("a question is not plain")
		}
		if _, s, ok := v.FindPlain(&q).AppendPlain(room, &q, 0); !ok || s.Answer != 1 {
			t.Fatalf("%s has no plain answer", q.Name())
		}
	})
}

// changing is what a replica does with one revision of one changed name.
func changing(v *zone.View, n int) cost {
	z := zoneName
	rev := v.Revision()
	gen := generationOf(v)
	return costOf(func(i int) {
		rev++
		at := nth(i, n)
		set := model.RRset{Type: dns.TypeA, TTL: 60, Data: [][]byte{address4(at).AsSlice()}}
		v = v.Apply(rev, []model.Change{
			{Key: model.Key{Kind: model.NameKey, Zone: z, Generation: gen, Name: hostName(at)}, ModRevision: rev, Raw: make([]byte, 28), Name: &model.NameData{RRsets: []model.RRset{set}}},
			{Key: model.Key{Kind: model.ZoneRevKey, Zone: z}, ModRevision: rev},
		})
	})
}

// generationOf is the generation in use of the zone.
func generationOf(v *zone.View) uint64 {
	for c := range v.All() {
		if c.Key.Kind == model.NameKey {
			return c.Key.Generation
		}
	}
	return 0
}

// reading is the first reading of all that is in etcd, into a view.
type reading struct {
	took   time.Duration
	ours   time.Duration // processor time of it, with making the view
	etcd   time.Duration // the same of etcd
	memory memory        // of etcd afterwards
}

// sink is a replica's, less all that comes after the first state.
type sink struct {
	view    *zone.View
	trouble []error
	done    func()
}

func (s *sink) Load(rev int64, _ uint64, all iter.Seq2[model.Change, error]) (err error) {
	s.view, err = zone.Build(rev, nil, all)
	if err == nil {
		s.done()
	}
	return err
}

func (s *sink) Next(int64, []model.Change) {}
func (s *sink) Confirm(time.Time)          {}
func (s *sink) Trouble(what string, err error) {
	s.trouble = append(s.trouble, fmt.Errorf("%s: %w", what, err))
}
