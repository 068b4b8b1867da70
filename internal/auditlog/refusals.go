package auditlog

import (
	"net/netip"
	"sync"
	"time"

	"signpost/internal/limits"
)

// The bounds of what is written of refusals a minute, at most twice as many at once: of
// one network and action, and of all.
const (
	pairLines = 10
	allLines  = 600
	// pairsSummed is of how many networks and actions it is known which was refused most.
	pairsSummed = 4096
)

// Refusals chooses which refusals are written one by one, and sums the others up: anybody
// can be refused as often as they like, and must fill neither a disk nor the room of
// others' lines. It is safe for concurrent use.
type Refusals struct {
	paces *limits.Paces

	mu    sync.Mutex
	more  int64 // that were not written since the last sum
	pairs map[refusal]int64
}

// refusal is whom refusals are counted of.
type refusal struct {
	from   netip.Prefix
	action string
}

// NewRefusals makes Refusals that have seen none.
func NewRefusals() *Refusals {
	return &Refusals{paces: limits.NewPaces(), pairs: map[refusal]int64{}}
}

// Take says whether a refusal is to be written. One that is not is summed up.
func (r *Refusals) Take(from netip.Prefix, action string, now time.Time) bool {
	if r.paces.Take(from.String()+" "+action, pairLines, now) == 0 && r.paces.Take("", allLines, now) == 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.more++
	p := refusal{from, action}
	if _, there := r.pairs[p]; there || len(r.pairs) < pairsSummed {
		r.pairs[p]++
	}
	return false
}

// Sum is what was not written since the last Sum, of all networks, with the network and
// the action of most of it. some is false when nothing was left out.
func (r *Refusals) Sum(now time.Time) (sum Record, some bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more == 0 {
		return Record{}, false
	}
	var worst refusal
	for p, n := range r.pairs {
		if n > r.pairs[worst] {
			worst = p
		}
	}
	sum = Record{Time: now, Outcome: MoreRefused, Action: worst.action, Lines: r.more, Kinds: int64(len(r.pairs))}
	if worst.from.IsValid() {
		sum.Source = worst.from.String()
	}
	r.more, r.pairs = 0, map[refusal]int64{}
	return sum, true
}
