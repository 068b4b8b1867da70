package diff

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

var (
	peersZones = flag.Int("peers", 0, "compare with BIND, Knot and NSD on so many random zones; 0: not at all")
	peersSeed  = flag.Int64("peers-seed", 0, "of the random zones; 0: a new one")
)

// batch is how many zones one start of a server serves.
const batch = 100

// Whatever the zone and the question, BIND, Knot and NSD say the same, or the
// difference is known. `make interop` runs it.
func TestPeersSayTheSame(t *testing.T) {
	if *peersZones == 0 {
		t.Skip("make interop compares with BIND, Knot and NSD")
	}
	seed := *peersSeed
	if seed == 0 {
		seed = time.Now().UnixMilli()
	}
	t.Logf("-peers %d -peers-seed %d", *peersZones, seed)
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			if why := p.install(); why != "" {
				t.Skip(why)
			}
			t.Parallel()
			known, asked := map[string]int{}, 0
			for from := 0; from < *peersZones; from += batch {
				asked += p.compare(t, samples(t, seed, from, min(from+batch, *peersZones)), known)
			}
			t.Logf("%d questions; known differences: %v", asked, known)
			for _, id := range slices.Sorted(maps.Keys(known)) {
				t.Logf("  %s: %d", id, known[id])
			}
		})
	}
}

func samples(t *testing.T, seed int64, from, to int) []served {
	t.Helper()
	var out []served
	for i := from; i < to; i++ {
		s, err := serve(zoneOf(fmt.Sprintf("z%d.test.", i)).Example(int(seed) + i))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func (p peer) compare(t *testing.T, zones []served, known map[string]int) (asked int) {
	t.Helper()
	zones = slices.DeleteFunc(zones, func(z served) bool { return p.refuses(z.sample) })
	addr := p.start(t, zones)
	for _, z := range zones {
		shown := false // one of a zone is enough
		a, err := dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range z.names {
			for _, typ := range types {
				q := question{name, typ}
				theirs, err := a.ask(q)
				if err != nil {
					t.Fatalf("%v\n%s", err, z.text)
				}
				asked++
				id, why := z.judge(p.name, q, theirs)
				if id != "" {
					known[id]++
				}
				if why == "" {
					continue
				}
				if known["unknown"]++; !shown {
					t.Error(why)
					shown = true
				}
			}
		}
		a.conn.Close()
	}
	return asked
}
