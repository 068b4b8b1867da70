package limit

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

func TestANetworkGetsItsRate(t *testing.T) {
	for _, rate := range []int{1, 10, 1000, 10_000} {
		l := New(rate)
		got := 0
		const seconds = 5
		for now := time.Hour; now < time.Hour+seconds*time.Second; now += 20 * time.Microsecond {
			if l.Allow(netip.MustParseAddr("192.0.2.1"), now) {
				got++
			}
		}
		want := rate * (seconds + 1) // a second's worth at once at the start
		if got < want*99/100-1 || got > want*104/100+1 {
			t.Errorf("%d a second for %d seconds: %d answers, want about %d", rate, seconds, got, want)
		}
	}
}

func TestOneNetworkIsOneClient(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.200", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"192.0.2.1", "::ffff:192.0.2.9", true},
		{"2001:db8:0:1::1", "2001:db8:0:ff::2", true},
		{"2001:db8:0:1::1", "2001:db8:0:100::1", false},
		{"fe80::1%a", "fe80::2%b", true},
	} {
		l := New(1)
		if !l.Allow(netip.MustParseAddr(c.a), time.Second) {
			t.Fatalf("%s got nothing", c.a)
		}
		if got := !l.Allow(netip.MustParseAddr(c.b), time.Second); got != c.same {
			t.Errorf("%s and %s are one client: %v, want %v", c.a, c.b, got, c.same)
		}
	}
}

// A flood from everywhere takes nothing from those who go on asking: who was due last
// is forgotten last.
func TestAFloodFromEverywhereDoesNotUnlimitOne(t *testing.T) {
	l := New(10)
	victim := netip.MustParseAddr("192.0.2.1")
	got := 0
	for i := range 400_000 {
		now := time.Second + time.Duration(i)*10*time.Microsecond // four seconds
		l.Allow(netip.AddrFrom4([4]byte{byte(100 + i>>16), byte(i >> 8), byte(i), 1}), now)
		if l.Allow(victim, now) {
			got++
		}
	}
	if got > 60 {
		t.Errorf("%d answers in four seconds, want about 50", got)
	}
}

func TestManyAtOnceGetNoMore(t *testing.T) {
	l := New(100)
	var got atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if l.Allow(netip.MustParseAddr("192.0.2.1"), time.Minute) {
					got.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got.Load() != 100 {
		t.Errorf("%d answers at one moment, want 100", got.Load())
	}
}

func TestItTakesAMegabyteWhoeverAsks(t *testing.T) {
	l := New(10)
	if n := unsafe.Sizeof(*l); n > 1<<20+64 {
		t.Errorf("a limit takes %d octets, want a megabyte", n)
	}
	var n uint32
	if allocs := testing.AllocsPerRun(100_000, func() {
		n++
		l.Allow(netip.AddrFrom4([4]byte{byte(n >> 16), byte(n >> 8), byte(n), 1}), time.Duration(n)*time.Microsecond)
	}); allocs > 0 {
		t.Errorf("%v allocations for each network that asks", allocs)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := New(1000)
	addrs := make([]netip.Addr, 4096)
	for i := range addrs {
		addrs[i] = netip.MustParseAddr(fmt.Sprintf("10.%d.%d.1", i>>8, i&255))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Allow(addrs[i%len(addrs)], time.Duration(i)*time.Microsecond)
	}
}
