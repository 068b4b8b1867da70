package zone

import (
	"unsafe"

	"github.com/miekg/dns"
)

// place says how an entry relates to the name that was looked for.
type place int

const (
	nowhere    place = iota // there is no such name, nor a wildcard for it
	exactly                 // it is the name's own, or that of the wildcard that matches it
	belowCut                // the name is delegated by it
	belowDNAME              // the name is redirected by it
)

// locate looks for the entry that answers for a name, from the apex down: the first
// delegation or DNAME on the way hides what is below it, then the name itself, then
// the wildcard of the closest encloser (RFC 4592 section 3.3.1).
//
// DS at a delegation is the data of this side of it (RFC 4035 section 3.1.4.1), and
// a DNAME redirects what is below it but not itself (RFC 6672 section 2.3).
func (z *Zone) locate(rel string, qtype uint16) (entry, place) {
	if rel == "" {
		return z.apex, exactly
	}
	if z.apex.is(hasDNAME) {
		return z.apex, belowDNAME
	}
	if z.names.cuts == 0 {
		if e, ok := z.names.t.find(rel); ok {
			return e, exactly
		}
	}
	var starts [128]uint16
	n := labelStarts(rel, &starts)
	encloser := ""
	for i := n - 1; i >= 0; i-- {
		name := rel[starts[i]:]
		e, ok := z.names.t.find(name)
		switch {
		case !ok:
			return z.wild(encloser, qtype)
		case e.is(hasNS) && (i > 0 || qtype != dns.TypeDS):
			return e, belowCut
		case e.is(hasDNAME) && i > 0:
			return e, belowDNAME
		case i == 0:
			return e, exactly
		}
		encloser = name
	}
	return "", nowhere
}

// wild is the wildcard below the closest encloser. NS at a wildcard, which RFC 4592
// section 4.2 leaves open, delegates the names that it matches.
func (z *Zone) wild(encloser string, qtype uint16) (entry, place) {
	var room [256]byte // so that looking costs no allocation
	star := append(append(room[:0], "*."...), encloser...)
	e, ok := z.names.t.find(unsafe.String(&star[0], len(star)))
	switch {
	case !ok:
		return "", nowhere
	case e.is(hasNS) && qtype != dns.TypeDS:
		return e, belowCut
	}
	return e, exactly
}

// find gives the entry of just this name.
func (z *Zone) find(rel string) (entry, bool) {
	if rel == "" {
		return z.apex, true
	}
	return z.names.t.find(rel)
}

func labelStarts(rel string, starts *[128]uint16) (n int) {
	for i, end := 0, false; !end && n < len(starts); i, end = dns.NextLabel(rel, i) {
		starts[n] = uint16(i)
		n++
	}
	return n
}
