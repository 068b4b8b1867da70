package limits

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"
)

var (
	here  = Network(netip.MustParseAddr("192.0.2.1"))
	there = Network(netip.MustParseAddr("2001:db8::1"))
	begin = time.Unix(1_800_000_000, 0)
)

func wrong(n int) (c Credential) {
	binary.BigEndian.PutUint64(c[:], uint64(n))
	return c
}

func TestNetworks(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := Network(netip.MustParseAddr(a)).String(); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
}

func TestACredentialIsDelayedThenLockedForLongerAndLonger(t *testing.T) {
	g, now := NewGuesses(), begin
	for i := 1; i < mostFailures; i++ {
		f := g.Failed(here, wrong(1), now)
		if f.Retry != 0 || (f.Delay == 0) != (i <= freeFailures) || f.Delay > longestDelay {
			t.Errorf("failure %d: %+v", i, f)
		}
	}
	for lock, minutes := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		want := time.Duration(minutes) * time.Minute
		if f := g.Failed(here, wrong(1), now); f.Retry != want {
			t.Errorf("lock %d: %+v, want %v", lock, f, want)
		}
		if got := g.Locked(here, wrong(1), now.Add(want/2)); got != want/2 {
			t.Errorf("lock %d: %v are left half way, want %v", lock, got, want/2)
		}
		if got := g.Locked(there, wrong(1), now); got != 0 {
			t.Errorf("another network is locked for %v", got)
		}
		if got := g.Locked(here, wrong(2), now); got != 0 {
			t.Errorf("another credential is locked for %v", got)
		}
		now = now.Add(want)
	}
	now = now.Add(2 * longestLock)
	if f := g.Failed(here, wrong(1), now); f.Retry != 0 {
		t.Errorf("after a long rest: %+v", f)
	}
}

func TestFailuresNowAndThenLockNothing(t *testing.T) {
	g, now := NewGuesses(), begin
	for range 100 {
		if f := g.Failed(here, wrong(1), now); f.Retry != 0 {
			t.Fatalf("%+v", f)
		}
		now = now.Add(10 * time.Second)
	}
}

func TestManyCredentialsOfOneNetwork(t *testing.T) {
	g, now := NewGuesses(), begin
	for i := range mostPairs {
		if f := g.Failed(here, wrong(i), now); f.Retry != 0 {
			t.Fatalf("credential %d: %+v", i, f)
		}
	}
	if f := g.Failed(here, wrong(1000), now); f.Retry == 0 || f.Delay == 0 {
		t.Errorf("one too many: %+v", f)
	}
	if f := g.Failed(there, wrong(1000), now); f.Retry != 0 {
		t.Errorf("another network: %+v", f)
	}
	if f := g.Failed(here, wrong(1001), now.Add(sourceWindow+time.Second)); f.Retry != 0 {
		t.Errorf("an hour later: %+v", f)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	g, p := NewGuesses(), NewPaces()
	for i := range 200_000 {
		var a [16]byte
		binary.BigEndian.PutUint32(a[:], uint32(i))
		g.Failed(Network(netip.AddrFrom16(a)), wrong(i), begin)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 12<<20 {
		t.Errorf("200,000 wrong credentials take %d octets, want at most 12 MiB", grown)
	}
	runtime.KeepAlive(g)
	runtime.KeepAlive(p)
}

func TestAPace(t *testing.T) {
	p, now := NewPaces(), begin
	for i := range 120 {
		if w := p.Take("a", 60, now); w != 0 {
			t.Fatalf("%d: wait %v", i, w)
		}
	}
	if w := p.Take("a", 60, now); w <= 0 || w > time.Second {
		t.Errorf("wait %v, want up to a second", w)
	}
	if w := p.Take("b", 60, now); w != 0 {
		t.Errorf("another waits %v", w)
	}
	if w := p.Take("a", 60, now.Add(time.Second)); w != 0 {
		t.Errorf("a second later: wait %v", w)
	}
	if w := p.Take("a", 6000, now.Add(2*time.Second)); w != 0 {
		t.Errorf("with a greater pace: wait %v", w)
	}
}
