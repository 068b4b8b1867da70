package auditlog

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// What one network has refused, by one action or by all, takes a bounded number of lines;
// the others are in a sum.
func TestRefusalsOfOneSourceAreSummedUp(t *testing.T) {
	r, now := NewRefusals(), time.Unix(1_800_000_000, 0)
	bad, good := netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/64")
	if _, some := r.Sum(now); some {
		t.Error("a sum of nothing")
	}
	written := 0
	for range 10_000 {
		if r.Take(bad, "host.read", now) {
			written++
		}
	}
	if written != 2*pairLines {
		t.Errorf("%d lines of one network and action, want %d", written, 2*pairLines)
	}
	if !r.Take(bad, "zone.delete", now) || !r.Take(good, "host.read", now) {
		t.Error("another action or network is not written")
	}
	if sum, some := r.Sum(now); !some || sum.Lines != 10_000-2*pairLines || sum.Kinds != 1 || sum.Source != "192.0.2.7/32" || sum.Action != "host.read" || sum.Outcome != MoreRefused {
		t.Errorf("%+v", sum)
	}
	if _, some := r.Sum(now); some {
		t.Error("the same sum again")
	}
	now = now.Add(time.Minute)
	if !r.Take(bad, "host.read", now) {
		t.Error("a minute later it is not written again")
	}
	written = 0
	for i := range 100_000 {
		if r.Take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), fmt.Sprint(i%3), now) {
			written++
		}
	}
	if written > 2*allLines {
		t.Errorf("%d lines of many networks, want at most %d", written, 2*allLines)
	}
	if sum, _ := r.Sum(now); sum.Lines != int64(100_000-written) || sum.Kinds != pairsSummed {
		t.Errorf("%+v", sum)
	}
}
