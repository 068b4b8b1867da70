package zone_test

import (
	"fmt"
	"iter"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
)

// checkedHost is a host with an endpoint on each of two sites, of which three checkers
// say that they are up.
func checkedHost(i int) []model.Change {
	c := hostChange(i, 1)
	front := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	back := netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)})
	c.Name.Host = &model.Host{
		Checked: true, Policy: model.Policy{Kind: model.PolicyFailover},
		Endpoints: []model.Endpoint{
			{ID: "a", Site: "k1", Addresses: []netip.Addr{front}, Generation: 1},
			{ID: "b", Site: "k2", Addresses: []netip.Addr{back}, Generation: 1, Priority: 1},
		},
	}
	changes := []model.Change{c}
	for _, endpoint := range []string{"a", "b"} {
		for _, site := range []string{"k1", "k2", "k3"} {
			changes = append(changes, vote(c.Key.Name, endpoint, site, model.Up))
		}
	}
	return changes
}

func vote(name model.Name, endpoint, site string, says model.Verdict) model.Change {
	return model.Change{
		Key:         model.Key{Kind: model.VoteKey, Zone: "dyn.example.org.", Name: name, Endpoint: endpoint, Site: site},
		ModRevision: 2, Raw: make([]byte, 24), // the size of such a value in etcd
		Vote: &model.Vote{Site: site, Endpoint: endpoint, Generation: 1, Term: 1, Verdict: says},
	}
}

func checkers() (changes []model.Change) {
	for _, site := range []string{"k1", "k2", "k3"} {
		k := model.Key{Kind: model.CheckerKey, Site: site}
		changes = append(changes, model.Change{Key: k, ModRevision: 2, Checker: &model.Checker{Site: site, Term: 1}})
	}
	return changes
}

// checkedHosts is n plain hosts of which the first have checks.
func checkedHosts(n, checked int) iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		for c := range hosts(n) {
			if c.Name != nil && c.Name.Host != nil && string(c.Key.Name) < string(hostKey(checked).Name) {
				continue
			}
			if !yield(c, nil) {
				return
			}
		}
		for i := range checked {
			for _, c := range checkedHost(i) {
				if !yield(c, nil) {
					return
				}
			}
		}
		for _, c := range checkers() {
			if !yield(c, nil) {
				return
			}
		}
	}
}

var checkedView = sync.OnceValue(func() *zone.View {
	v, err := zone.Build(2, nil, checkedHosts(hundredThousand, hundredThousand))
	if err != nil {
		panic(err)
	}
	return v
})

func answers(v *zone.View, i int, want string) error {
	name := string(hostKey(i).Name)
	if got := says(v, name, dns.TypeA); got != "NOERROR aa; answer "+name+want {
		return fmt.Errorf("host %d: %s", i, got)
	}
	return nil
}

// Words on a site, the freeze switch and the list of checkers rebuild all names concerned
// in one step: at most 1 s for 100,000 names.
func TestOneStepForAllNames(t *testing.T) {
	v := checkedView()
	site := model.Key{Kind: model.SiteWordKey, Site: "k1"}
	all := model.Change{Key: model.Key{Kind: model.AllRevKey}, ModRevision: 3}
	for _, step := range []struct {
		what   string
		change model.Change
		want   string
	}{
		{"drains a site", model.Change{Key: site, ModRevision: 3, Word: &model.Word{Say: model.SayDrain}}, " 30 A 11.1.134.159"},
		{"takes that back", model.Change{Key: site, ModRevision: 4, Deleted: true}, " 30 A 10.1.134.159"},
		{"takes a checker away", model.Change{Key: model.Key{Kind: model.CheckerKey, Site: "k2"}, Deleted: true}, " 30 A 10.1.134.159"},
		{"freezes", model.Change{Key: model.Key{Kind: model.FreezeKey}, Freeze: &model.Freeze{}}, " 30 A 10.1.134.159"},
	} {
		start, worked := time.Now(), processTime()
		v = v.Apply(v.Revision()+1, []model.Change{step.change, all})
		took := processTime() - worked
		t.Logf("what %s takes %v of processor time and %v in all for %d names", step.what, took, time.Since(start), v.Names())
		if err := answers(v, hundredThousand-1, step.want); err != nil {
			t.Errorf("what %s: %v", step.what, err)
		}
		if took > mostForAll { // who measures reads what is logged, or BenchmarkOneStepForAllNames
			t.Errorf("what %s takes %v; 1 s is promised", step.what, took)
		}
	}
}

// BenchmarkOneStepForAllNames is the time on the clock that a word on a site takes for 100,000
// names, a step each.
func BenchmarkOneStepForAllNames(b *testing.B) {
	v := checkedView()
	all := model.Change{Key: model.Key{Kind: model.AllRevKey}}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; b.Loop(); n++ {
		word := model.Change{Key: model.Key{Kind: model.SiteWordKey, Site: "k1"}, ModRevision: int64(n), Deleted: n%2 == 1}
		if !word.Deleted {
			word.Word = &model.Word{Say: model.SayDrain}
		}
		v = v.Apply(v.Revision()+1, []model.Change{word, all})
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/step")
}

// processTime is user and system time of this process: others on the machine take nothing
// away from it.
func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails for bad arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A vote that makes a host of a million names answer otherwise.
func BenchmarkVote(b *testing.B) {
	v, err := zone.Build(2, nil, checkedHosts(million, 10_000))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		name := hostKey(i * 7919 % 10_000).Name
		rev := model.Change{Key: model.Key{Kind: model.ZoneRevKey, Zone: "dyn.example.org."}, ModRevision: int64(i + 3)}
		says := []model.Verdict{model.Down, model.Up}[i/10_000%2]
		v = v.Apply(int64(i+3), []model.Change{vote(name, "a", "k1", says), vote(name, "a", "k2", says), rev})
	}
}

// What a host with two endpoints and six votes holds.
func BenchmarkBuildChecked(b *testing.B) {
	for b.Loop() {
		before := heap()
		v, _ := zone.Build(2, nil, checkedHosts(hundredThousand, hundredThousand))
		b.ReportMetric(float64(heap()-before)/float64(v.Names()), "B/name")
	}
}
