package signpost_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	signpost "signpost/plugin"
)

var (
	reloads     = flag.Int("reloads", 10, "how often TestReloadLosesNoQuery reloads; the first ten one after another")
	reloadEvery = flag.Duration("reload-every", time.Second, "the time between the others")
)

// reloadSockets is how many sockets each Corefile wants: more, fewer, as many, none.
var reloadSockets = []int{2, 5, 1, 0, 0, 3, 3, 1, 4, 2}

// A Corefile can be reloaded under load, with sockets more, fewer, none and some
// again: no query is lost.
func TestReloadLosesNoQuery(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	conf := func(sockets int) string {
		text := "endpoint " + w.etcd.Endpoint()
		if sockets > 0 {
			text += fmt.Sprintf("\nlisten batch %d", sockets)
		}
		return block(text)
	}
	s := start(t, conf(2))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	type loss struct {
		at   time.Time
		what string
	}
	stop, losses := make(chan struct{}), make(chan loss, 1000)
	var asking sync.WaitGroup
	var asked atomic.Int64
	for i := range 16 {
		conn := dial(t, s.addr)
		asking.Go(func() {
			qtype := []uint16{dns.TypeA, dns.TypeNS}[i%2] // at once, and by the chain
			q := pack(t, new(dns.Msg).SetQuestion("ns1.example.org.", qtype))
			for n := uint16(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				binary.BigEndian.PutUint16(q, n)
				asked.Add(1)
				l := loss{at: time.Now()}
				switch r := swap(t, conn, q); {
				case r == nil && receive(t, conn, q) != nil: // a busy machine can hold up both
					l.what = "answered late"
				case r == nil:
					l.what = "not answered"
				case rcodeOf(r) != dns.RcodeSuccess:
					l.what = "answered with " + dns.RcodeToString[rcodeOf(r)]
				default:
					continue
				}
				l.what = dns.TypeToString[qtype] + " was " + l.what
				select {
				case losses <- l:
				default: // there are enough
				}
			}
		})
	}
	tick := time.NewTicker(*reloadEvery)
	defer tick.Stop()
	var began, ended []time.Time
	for i := range *reloads {
		sockets := reloadSockets[i%len(reloadSockets)]
		before, open := asked.Load(), kernelSockets(t, s.addr)
		if i >= 10 {
			<-tick.C
		}
		began = append(began, time.Now())
		if err := s.Reload(s.at(conf(sockets))); err != nil {
			t.Fatal(err)
		}
		ended = append(ended, time.Now())
		if n := signpost.BatchSockets(s.addr); n != sockets {
			t.Errorf("%d sockets read in batches, want %d", n, sockets)
		}
		now := kernelSockets(t, s.addr)
		both := 0
		for socket := range now {
			if open[socket] {
				both++
			}
		}
		if len(now) != sockets+1 || both != min(len(open), len(now)) {
			t.Errorf("from %d sockets to %d, with CoreDNS's own, %d were kept; want all but those that had to come or go", len(open), len(now), both)
		}
		eventually(t, func() bool { return asked.Load() > before+200 }, func() string { return "nothing is asked any more" })
	}
	close(stop)
	asking.Wait()
	close(losses)
	for l := range losses {
		n, _ := slices.BinarySearchFunc(ended, l.at, time.Time.Compare)
		where := "after the last reload"
		if n < len(ended) {
			where = fmt.Sprintf("%v after the begin of reload %d, which took %v, to %d sockets", l.at.Sub(began[n]), n, ended[n].Sub(began[n]), reloadSockets[n%len(reloadSockets)])
		}
		t.Errorf("%s; it was asked %s", l.what, where)
	}
	t.Logf("%d queries, %d reloads", asked.Load(), *reloads)
	if err := s.Reload(s.at(conf(2))); err != nil {
		t.Fatal(err)
	}
}

// A reload that fails, early or late, leaves all as it was.
func TestAReloadThatFailsLeavesItsBatchesToTheOldOne(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	s := start(t, block("endpoint "+w.etcd.Endpoint()+"\nlisten batch 2"))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	open := kernelSockets(t, s.addr)
	three := block("endpoint " + w.etcd.Endpoint() + "\nlisten batch 3")
	for _, bad := range []string{
		strings.Replace(s.at(three), "batch 3", "batch none", 1),
		strings.Replace(s.at(three), "bind", "log\nbind", 1),
		// This one fails when all plugins have started: the address is nobody's.
		s.at(three) + "example.net:53 {\nbind 192.0.2.1\nwhoami\n}\n",
	} {
		if err := s.Reload(bad); err == nil {
			t.Fatalf("this was loaded:\n%s", bad)
		}
		if now := kernelSockets(t, s.addr); !maps.Equal(now, open) || signpost.BatchSockets(s.addr) != 2 {
			t.Errorf("sockets %v after a reload that failed, %v before", now, open)
		}
		before, _ := signpost.BatchPackets(s.addr)
		s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")    // at once
		s.says(t, "example.org", "NS", "NOERROR ns1.example.org.") // and by the chain
		eventually(t, func() bool {                                // an answer is counted after it was sent
			after, _ := signpost.BatchPackets(s.addr)
			return after > before
		}, func() string { return "nothing is answered in batches any more" })
	}
}

// kernelSockets is the UDP sockets on an address of 127.0.0.0/8, by inode.
func kernelSockets(t *testing.T, addr string) map[string]bool {
	t.Helper()
	a := netip.MustParseAddrPort(addr)
	ip := a.Addr().As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), a.Port())
	table, err := os.ReadFile("/proc/net/udp") // proc(5)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for l := range strings.Lines(string(table)) {
		if f := strings.Fields(l); len(f) > 9 && f[1] == local {
			out[f[9]] = true
		}
	}
	return out
}

// A reload that fails when its fronts wait already leaves none of them to the next one.
func TestAReloadThatFailedHoldsUpNoBatches(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := start(t, block("endpoint "+nowhere))
	batches := s.at(block("endpoint " + nowhere + "\nlisten batch 2"))
	if err := s.Reload(batches + "." + ":" + taken.Addr().String()[len("127.0.0.1:"):] + " {\nbind 127.0.0.1\nwhoami\n}\n"); err == nil {
		t.Fatal("an address that is taken was taken")
	}
	if n := signpost.Waiting(); n != 0 {
		t.Errorf("%d fronts wait for servers that never start", n)
	}
	if err := s.Reload(batches); err != nil {
		t.Fatal(err)
	}
	if n := signpost.BatchSockets(s.addr); n != 2 {
		t.Errorf("%d sockets read in batches, want 2", n)
	}
}
