// Package limit answers one question: may one more answer go to this client's network
// now? It keeps name servers from being used to flood others, who never asked: the
// source of a UDP packet is easily forged.
package limit

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// The networks that count as one client: what one site has, as a rule.
const (
	Bits4 = 24
	Bits6 = 56
)

const (
	// MaxRate is the greatest rate of a Limit. Rates are kept as the time between two
	// answers in whole microseconds, rounded up: over 100,000 up to half of the rate is
	// lost to that.
	MaxRate = 1_000_000

	unit    = time.Microsecond // of what a cell keeps
	ways    = 4                // cells that a network may be in
	sets    = 1 << 15          // 1 MiB of cells
	tagBits = 16
	tagMask = 1<<tagBits - 1
)

// Limit is a rate of answers that each network may get. It takes a megabyte, however
// many networks ask: who has not asked for the longest time is forgotten first. It is
// safe for concurrent use, without a lock.
type Limit struct {
	seed     maphash.Seed
	interval uint64 // between two answers, in units
	burst    uint64 // how much earlier than that an answer may come
	cells    [sets][ways]atomic.Uint64
}

// New is a limit of rate answers a second, from 1 to MaxRate, and as many at once.
func New(rate int) *Limit {
	interval := (uint64(time.Second/unit) + uint64(rate) - 1) / uint64(rate)
	return &Limit{seed: maphash.MakeSeed(), interval: interval, burst: interval * uint64(rate-1)}
}

// Allow reports whether an answer may go to addr, and counts it if so. now is the time
// since any fixed moment, the same for all calls, and never more than 8 years.
//
// It is the generic cell rate algorithm (ITU-T I.371): a cell keeps when the network's
// next answer is due if it gets them evenly, and an answer may be as much too early as
// the burst lets it.
func (l *Limit) Allow(addr netip.Addr, now time.Duration) bool {
	h := l.hash(addr)
	tag, set := h&tagMask|1, &l.cells[h>>tagBits%sets]
	at := uint64(now / unit)
	for {
		cell, old := find(set, tag)
		due := at
		if old&tagMask == tag {
			due = max(at, old>>tagBits)
		}
		if due-at > l.burst {
			return false
		}
		if cell.CompareAndSwap(old, (due+l.interval)<<tagBits|tag) {
			return true
		}
	}
}

// find gives the cell of a tag, or else the one that is due first.
func find(set *[ways]atomic.Uint64, tag uint64) (cell *atomic.Uint64, value uint64) {
	for i := range set {
		v := set[i].Load()
		if v&tagMask == tag {
			return &set[i], v
		}
		if cell == nil || v>>tagBits < value>>tagBits {
			cell, value = &set[i], v
		}
	}
	return cell, value
}

func (l *Limit) hash(addr netip.Addr) uint64 {
	a := addr.Unmap().WithZone("")
	bits := Bits6
	if a.Is4() {
		bits = Bits4
	}
	b := a.As16()
	n := 16 - (a.BitLen()-bits)/8
	clear(b[n:])
	return maphash.Bytes(l.seed, b[:])
}
