package zone

import (
	"math/bits"
	"net/netip"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// lot is what one endpoint puts into the drawing: its addresses of one family.
type lot struct {
	weight uint64
	data   string // as in a set
}

// lotsOf gives the lots of the endpoints of a host that may be drawn, by family. When
// none has a weight all weigh the same.
func lotsOf(h *model.Host, c *Choice) (lots [2][]lot) {
	if c.Draw == 0 {
		return lots
	}
	heaviest := uint64(0)
	for i := range h.Endpoints {
		if c.Endpoints[i].Answered {
			heaviest = max(heaviest, h.Endpoints[i].Share())
		}
	}
	for i := range h.Endpoints {
		e := &h.Endpoints[i]
		if !c.Endpoints[i].Answered {
			continue
		}
		weight := e.Share()
		if heaviest == 0 {
			weight = 1
		}
		var data [2][]byte
		for _, a := range e.Addresses {
			f := familyOf(a)
			data[f] = appendAddress(data[f], a)
		}
		for f := range data {
			if len(data[f]) > 0 {
				lots[f] = append(lots[f], lot{weight, string(data[f])})
			}
		}
	}
	return lots
}

// family is the place of the lots for A or AAAA, familyOf of those of an address.
func family(t uint16) int {
	if t == dns.TypeA {
		return 0
	}
	return 1
}

func familyOf(a netip.Addr) int {
	if a.Unmap().Is4() {
		return 0
	}
	return 1
}

// drawn is the set of some of the lots: as many as one question is answered with, by
// weight and without putting back, as the number n has it. The set of all is whole.
func (b *beside) drawn(whole set, n uint64) set {
	lots := b.lots[family(whole.typ)]
	if len(lots) <= b.draw {
		return whole
	}
	if b.draw == 1 { // seldom otherwise, and free of allocations
		return set{whole.typ, whole.ttl, lots[pick(lots, &n)].data}
	}
	left := append([]lot(nil), lots...)
	out := set{typ: whole.typ, ttl: whole.ttl}
	for range b.draw {
		i := pick(left, &n)
		out = out.merged(set{whole.typ, whole.ttl, left[i].data})
		left = append(left[:i], left[i+1:]...)
	}
	return out
}

// pick gives one of the lots by weight.
func pick(lots []lot, n *uint64) int {
	total := uint64(0)
	for i := range lots {
		total += lots[i].weight
	}
	at, _ := bits.Mul64(shuffled(n), total)
	for i := range lots {
		if at < lots[i].weight {
			return i
		}
		at -= lots[i].weight
	}
	return 0
}

// shuffled makes of n the next of a sequence of numbers that look like chance
// (splitmix64), whatever n is.
func shuffled(n *uint64) uint64 {
	*n += 0x9e3779b97f4a7c15
	z := *n
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
