package zone

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/miekg/dns"
)

// set is one record set as an entry holds it.
type set struct {
	typ  uint16
	ttl  uint32
	data string // of each record: length 2, RDATA
}

const setHeader = 10

// setsIn yields packed sets, by type.
func setsIn(sets string) iter.Seq[set] {
	return func(yield func(set) bool) {
		for len(sets) > 0 {
			end := setHeader + int(u32(sets, 6))
			if !yield(set{u16(sets, 0), u32(sets, 2), sets[setHeader:end]}) {
				return
			}
			sets = sets[end:]
		}
	}
}

// own gives the entry's own set of a type.
func (e entry) own(t uint16) (set, bool) {
	sets := e.sets()
	for len(sets) > 0 {
		end := setHeader + int(u32(sets, 6))
		if u16(sets, 0) == t {
			return set{t, u32(sets, 2), sets[setHeader:end]}, true
		}
		sets = sets[end:]
	}
	return set{}, false
}

// set gives the set of a type at a name, with what it borrows from a host. Of what is
// drawn it is what this draw gives, with a draw of 0 all that may be drawn.
func (z *Zone) set(e entry, t uint16, draw uint64) (set, bool) {
	s, ok := e.own(t)
	if t == dns.TypeA || t == dns.TypeAAAA {
		if draw != 0 && ok && e.is(draws) {
			s = z.drawn(e, s, draw)
		}
		if e.is(borrows) {
			host := z.host(e)
			if lent, is := host.own(t); is {
				if draw != 0 && host.is(draws) {
					lent = z.drawn(host, lent, draw)
				}
				return z.withTTL(s).merged(z.withTTL(lent)), true
			}
		}
	}
	return z.withTTL(s), ok
}

// drawn is what a draw gives of the addresses of a host.
func (z *Zone) drawn(e entry, whole set, draw uint64) set {
	if b, ok := z.names.beside.find(e.key()); ok {
		return b.drawn(whole, draw)
	}
	return whole
}

func (z *Zone) withTTL(s set) set {
	s.ttl = z.ttlOf(s.ttl)
	return s
}

// ttlOf is a TTL that an entry has.
func (z *Zone) ttlOf(ttl uint32) uint32 {
	switch {
	case ttl < zoneTTL:
		return ttl
	case ttl == zoneTTL:
		return z.ttl
	}
	return min(z.ttl, ttl-zoneTTL)
}

// negTTLAt is the TTL of NODATA at a name.
func (z *Zone) negTTLAt(e entry) uint32 {
	if !e.is(chooses) && e.is(borrows) {
		e = z.host(e)
	}
	if e.is(chooses) {
		if b, ok := z.names.beside.find(e.key()); ok {
			return min(z.negTTL, z.ttlOf(b.ttl))
		}
	}
	return z.negTTL
}

// host is the entry that a "*." borrows from.
func (z *Zone) host(star entry) entry {
	rel, _ := parentOf(star.key())
	e, _ := z.names.t.find(rel)
	return e
}

// setsOf yields all sets at a name, as set does.
func (z *Zone) setsOf(e entry, draw uint64) iter.Seq[set] {
	return func(yield func(set) bool) {
		chosen := e.is(borrows | draws)
		if chosen {
			for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
				if s, ok := z.set(e, t, draw); ok && !yield(s) {
					return
				}
			}
		}
		for s := range setsIn(e.sets()) {
			if chosen && (s.typ == dns.TypeA || s.typ == dns.TypeAAAA) {
				continue
			}
			if !yield(z.withTTL(s)) {
				return
			}
		}
	}
}

// merged is the union of two sets of one type, with the smaller TTL; the zero set
// is nothing.
func (s set) merged(o set) set {
	if s.data == "" {
		return o
	}
	var both []string
	for d := range s.records() {
		both = append(both, d)
	}
	for d := range o.records() {
		both = append(both, d)
	}
	slices.Sort(both)
	var b bytes.Buffer
	for _, d := range slices.Compact(both) {
		b.Write(binary.BigEndian.AppendUint16(nil, uint16(len(d))))
		b.WriteString(d)
	}
	return set{s.typ, min(s.ttl, o.ttl), b.String()}
}

// records yields the RDATA of each record.
func (s set) records() iter.Seq[string] {
	return func(yield func(string) bool) {
		for d := s.data; len(d) > 0; {
			end := 2 + int(u16(d, 0))
			if !yield(d[2:end]) {
				return
			}
			d = d[end:]
		}
	}
}

// rrs unpacks the set for an owner. Nothing in it is shared with the view, and the
// slice has no room to grow.
func (s set) rrs(owner string) []dns.RR {
	h := dns.RR_Header{Name: owner, Rrtype: s.typ, Class: dns.ClassINET, Ttl: s.ttl}
	if s.typ == dns.TypeA {
		return s.addresses(h)
	}
	var out []dns.RR
	data := []byte(s.data)
	for len(data) > 0 {
		end := 2 + int(binary.BigEndian.Uint16(data))
		h.Rdlength = uint16(end - 2)
		// The store lets no set through that does not unpack.
		if rr, _, err := dns.UnpackRRWithHeader(h, data[2:end:end], 0); err == nil {
			out = append(out, rr)
		}
		data = data[end:]
	}
	return slices.Clip(out)
}

// addresses is rrs for A, the question that is asked most: a set of one address
// costs a single allocation.
func (s set) addresses(h dns.RR_Header) []dns.RR {
	const size = 2 + 4 // length and address
	blocks := make([]struct {
		rr   dns.A
		ip   [4]byte
		slot [1]dns.RR
	}, len(s.data)/size)
	h.Rdlength = 4
	var out []dns.RR
	if len(blocks) == 1 {
		out = blocks[0].slot[:]
	} else {
		out = make([]dns.RR, len(blocks))
	}
	for i := range blocks {
		b := &blocks[i]
		copy(b.ip[:], s.data[i*size+2:])
		b.rr.Hdr = h
		b.rr.A = b.ip[:]
		out[i] = &b.rr
	}
	return out
}

// target is the name in a record whose addresses are worth sending along.
func target(rr dns.RR) (name string, ok bool) {
	switch rr := rr.(type) {
	case *dns.NS:
		return rr.Ns, true
	case *dns.MX:
		return rr.Mx, true
	case *dns.SRV:
		return rr.Target, true
	case *dns.SVCB:
		return serviceTarget(rr), true
	case *dns.HTTPS:
		return serviceTarget(&rr.SVCB), true
	}
	return "", false
}

// serviceTarget: "." in a ServiceMode record is its owner (RFC 9460 section 2.5.2).
func serviceTarget(s *dns.SVCB) string {
	if s.Target == "." && s.Priority != 0 {
		return s.Hdr.Name
	}
	return s.Target
}
