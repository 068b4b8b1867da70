// Package updates asks: how many updates of addresses a second does a control service take
// through /nic/update, beside BIND, which takes them from its own nsupdate?
//
// Both write to the same disk and answer when that is done, each in a process of its own, and
// so are the clients: of ours this one. A client sends one update at a time, to a name of its
// own in turn, over a connection that is kept (nsupdate's is UDP).
package updates

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	measure = flag.Bool("updates", false, "measure updates a second; root installs BIND")
	rounds  = flag.Int("updates-rounds", 5, "rounds, in each of which all are measured in turn")
	span    = flag.Duration("updates-for", 3*time.Second, "how long ours is measured each time")
	count   = flag.Int("updates-count", 2500, "how many updates BIND is sent each time")
)

// hosts is how many names there are at each.
const hosts = 512

// next makes every update a change.
var next atomic.Uint32

func nextAddress() netip.Addr {
	v := next.Add(1)
	return netip.AddrFrom4([4]byte{100, byte(v >> 16), byte(v >> 8), byte(v)})
}

// side is a server with so many clients; run gives how many updates a second it took.
type side struct {
	name string
	run  func() float64
	got  []float64
}

func TestUpdatesBesideBIND(t *testing.T) {
	if !*measure {
		t.Skip("it takes minutes and installs BIND: make bench, or -args -updates")
	}
	b, o := startBIND(t), startOurs(t)
	var sides []*side
	for _, clients := range []int{1, 16, 256} {
		sides = append(sides, &side{name: fmt.Sprintf("/nic/update, clients %d", clients), run: func() float64 { return o.round(t, clients) }})
	}
	for _, clients := range []int{1, 8} {
		sides = append(sides, &side{name: fmt.Sprintf("nsupdate, clients %d", clients), run: func() float64 { return b.round(t, clients) }})
	}
	for r := range *rounds {
		for _, s := range sides {
			load := loadAverage()
			rate := s.run()
			s.got = append(s.got, rate)
			t.Logf("round %d, load %s: %s: %.0f a second", r+1, load, s.name, rate)
		}
	}
	t.Logf("| updates a second, %s | median | least | most |", loadAverage())
	for _, s := range sides {
		slices.Sort(s.got)
		t.Logf("| %s | %.0f | %.0f | %.0f |", s.name, s.got[len(s.got)/2], s.got[0], s.got[len(s.got)-1])
	}
}

// loadAverage is what others do on the machine, as the system counts it: of the last minute.
func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(raw))[0]
}
