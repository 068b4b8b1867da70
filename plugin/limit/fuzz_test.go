package limit

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"time"
)

// bucket is the model of one network: tokens come with time, an answer takes one.
// Everything is in microseconds; a token is worth interval.
type bucket struct {
	credit, at int64
	first      int64
	allowed    int64
}

// FuzzAllow: whoever asks, whenever and however often, each network gets what a bucket
// of tokens gives it: rate at once, and no more than rate in a second after. Steps are
// of four octets: who, of which network, and how long after the step before, in
// microseconds as a mantissa and an exponent in the low half of an octet; with the last
// bit of who set it is that long before. The high half is the logarithm of how often.
func FuzzAllow(f *testing.F) {
	steps := func(s ...[4]byte) (b []byte) {
		for _, one := range s {
			b = append(b, one[:]...)
		}
		return b
	}
	second := [4]byte{2, 1, 244, 12} // nearly
	f.Add(uint32(0), steps([4]byte{2, 1, 0, 0}, [4]byte{2, 1, 0, 0}, second, [4]byte{8, 1, 1, 12}))
	f.Add(uint32(4), steps([4]byte{0, 1, 0, 0x30}, [4]byte{64, 1, 0, 0}, [4]byte{128, 1, 200, 7}, [4]byte{192, 1, 3, 9}, [4]byte{130, 2, 0, 0x20}))
	f.Add(uint32(999), steps([4]byte{2, 1, 0, 0xb0}, [4]byte{3, 1, 1, 0}, [4]byte{2, 1, 255, 15}, [4]byte{2, 2, 0, 0xf0}, second, [4]byte{2, 2, 0, 0xf0}))
	f.Add(uint32(99_999), steps([4]byte{2, 9, 0, 0xf0}, [4]byte{2, 9, 0, 0xf0}, [4]byte{2, 9, 0, 0xf0}, [4]byte{2, 9, 0, 0xf0}, second, [4]byte{2, 9, 0, 0xf0}))
	f.Add(uint32(66_666), steps([4]byte{2, 9, 0, 0xf0}, [4]byte{2, 9, 0, 0xf0}, [4]byte{2, 9, 0, 0xf0}, [4]byte{2, 9, 250, 11}, [4]byte{2, 9, 0, 0xf0}, [4]byte{2, 9, 0, 0xf0}))
	f.Fuzz(func(t *testing.T, rate uint32, script []byte) {
		rate = rate%MaxRate + 1
		l := New(int(rate))
		interval := int64(math.Ceil(1e6 / float64(rate)))
		burst := interval * int64(rate)
		now, latest := int64(time.Hour/time.Microsecond), int64(0)
		networks := map[netip.Prefix]*bucket{}
		cells := map[uint64]netip.Prefix{} // who would be taken for another
		crowds := map[uint64]int{}
		straight, alone := true, true
		const most = 1 << 18 // asks of an input, which may not take for ever
		for asks := 0; len(script) >= 4 && asks < most; script = script[4:] {
			addr, network := client(script[0], script[1])
			step := int64(script[2]) << (script[3] % 16)
			if script[0]&1 != 0 {
				step = -min(step, now)
				straight = straight && step == 0 // clocks of two processors may differ
			}
			now += step
			latest = max(latest, now)

			b := networks[network]
			if b == nil {
				b = &bucket{credit: burst, at: now, first: now}
				networks[network] = b
				h := l.hash(addr)
				cell := h&tagMask | 1 | h>>tagBits%sets<<tagBits
				_, taken := cells[cell]
				cells[cell] = network
				crowds[cell>>tagBits]++
				alone = alone && !taken && crowds[cell>>tagBits] <= ways
			}
			b.first = min(b.first, now)
			b.credit, b.at = min(burst, b.credit+now-b.at), now
			times := 1 << (script[3] >> 4)
			asks += times
			for range times {
				want := b.credit >= interval
				if want {
					b.credit -= interval
				}
				got := l.Allow(addr, time.Duration(now)*time.Microsecond)
				if got {
					b.allowed++
				}
				if straight && alone && got != want {
					t.Fatalf("%d a second: %v is answered: %v, want %v, with %d microseconds of credit", rate, addr, got, want, b.credit)
				}
			}
			// Whatever the clock does, and who else is taken for it.
			if bound := int64(rate) + (latest-b.first)*int64(rate)/1e6 + 1; crowds[l.hash(addr)>>tagBits%sets] <= ways && b.allowed > bound {
				t.Fatalf("%d a second: %v has %d answers in %d microseconds, want at most %d", rate, network, b.allowed, latest-b.first, bound)
			}
		}
	})
}

// client is an address and the network that it counts as.
func client(who, of byte) (netip.Addr, netip.Prefix) {
	var addr netip.Addr
	bits := Bits4
	switch who >> 6 {
	case 0, 1:
		addr = netip.AddrFrom4([4]byte{192, 0, of, who})
	case 2:
		addr = netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 192, 14: of, 15: who}) // one of IPv4, as a dual-stack socket has it
	default:
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 6: of, 7: who, 15: who}
		binary.BigEndian.PutUint32(b[8:], uint32(who)*0x01010101)
		addr, bits = netip.AddrFrom16(b), Bits6
	}
	network, err := addr.Unmap().Prefix(bits)
	if err != nil {
		panic(err)
	}
	return addr, network
}
