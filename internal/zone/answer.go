package zone

import (
	"strings"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Reply is what DNS says, without the frame of a message: the caller adds EDNS,
// truncates, and may change and append to all of it, for none of it belongs to the
// view.
type Reply struct {
	Rcode             int
	AA                bool
	Answer, Ns, Extra []dns.RR
}

// maxChain is how many CNAMEs one answer follows. Who asked goes on from there.
const maxChain = 16

// Answer is the algorithm of RFC 1034 section 4.3.2 with the amendments of RFC 2308
// (negative answers), 4592 (wildcards), 6672 (DNAME) and 8482 (ANY), for a name of
// this zone in presentation form as it was asked, whose case the owners keep. draw is a
// number made by chance for this question, on which it depends what is answered of
// hosts with weights; with 0 it is all that may be drawn.
func (z *Zone) Answer(qname string, qtype uint16, draw uint64) Reply {
	if !z.Readable() {
		return Reply{Rcode: dns.RcodeServerFailure}
	}
	a := answer{z: z, qtype: qtype, draw: draw}
	for owner, links := qname, 0; ; links++ {
		next := a.about(owner)
		if next == "" || links == maxChain || a.visited(next) || !model.NameOf(next).In(z.name) {
			return a.Reply
		}
		owner = next
	}
}

type answer struct {
	Reply
	z     *Zone
	qtype uint16
	draw  uint64
}

// visited reports whether the answer has a CNAME of this owner: the chain is a loop.
func (a *answer) visited(owner string) bool {
	for _, rr := range a.Answer {
		if rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, owner) {
			return true
		}
	}
	return false
}

// about adds what there is to say about one name. It gives the name to go on with
// after a CNAME, or "".
func (a *answer) about(owner string) (next string) {
	rel := a.z.relative(model.NameOf(owner))
	switch e, at := a.z.locate(rel, a.qtype); at {
	case exactly:
		a.AA = true
		return a.from(e, owner)
	case belowCut:
		a.refer(e, owner)
	case belowDNAME:
		a.AA = true
		return a.redirect(e, owner)
	case nowhere:
		a.AA = true
		a.Rcode = dns.RcodeNameError
		a.negative(owner, a.z.negTTL)
	}
	return ""
}

// from answers with the data of a name that exists, or of a wildcard.
func (a *answer) from(e entry, owner string) (next string) {
	switch {
	case e.is(broken):
		a.Reply = Reply{Rcode: dns.RcodeServerFailure}
		return ""
	case a.qtype == dns.TypeANY:
		a.any(e, owner)
		return ""
	case e.is(hasCNAME) && a.qtype != dns.TypeCNAME:
		// Whatever else is stored beside a CNAME is not seen (RFC 1034 section 3.6.2).
		return a.alias(e, owner)
	case a.qtype == dns.TypeSOA && e.key() == "":
		a.Answer = join(a.Answer, []dns.RR{a.z.soaFor(owner, a.z.soa.Hdr.Ttl)})
		return ""
	}
	s, ok := a.z.set(e, a.qtype, a.draw)
	if !ok {
		a.negative(owner, a.z.negTTLAt(e))
		return ""
	}
	rrs := s.rrs(owner)
	a.Answer = join(a.Answer, rrs)
	a.additional(rrs, false)
	return ""
}

func (a *answer) alias(e entry, owner string) (next string) {
	s, _ := a.z.set(e, dns.TypeCNAME, 0)
	rrs := s.rrs(owner)
	if len(rrs) == 0 {
		return ""
	}
	a.Answer = join(a.Answer, rrs[:1:1])
	return rrs[0].(*dns.CNAME).Target
}

// any answers QTYPE ANY with one record set, the smallest (RFC 8482 section 4.1).
func (a *answer) any(e entry, owner string) {
	var least set
	for s := range a.z.setsOf(e, a.draw) {
		if least.data == "" || len(s.data) < len(least.data) {
			least = s
		}
	}
	if least.data == "" {
		a.negative(owner, a.z.negTTLAt(e))
		return
	}
	a.Answer = join(a.Answer, least.rrs(owner))
}

// negative is for NXDOMAIN and NODATA: the SOA with the TTL for which they may be
// kept (RFC 2308 sections 2 and 5).
func (a *answer) negative(owner string, ttl uint32) {
	a.Ns = []dns.RR{a.z.soaFor(owner, ttl)}
}

// soaFor is the SOA with the zone's name in the case in which it was asked for.
func (z *Zone) soaFor(owner string, ttl uint32) dns.RR {
	soa := z.soa
	soa.Hdr.Name = owner[len(owner)-len(z.name):]
	soa.Hdr.Ttl = ttl
	return &soa
}

// refer answers with a delegation and the addresses that are known of its servers:
// glue below the cut and what the zone has of others (RFC 1034 section 4.3.2 step
// 3b, RFC 9471). After a CNAME the answer stays authoritative for that.
func (a *answer) refer(cut entry, owner string) {
	s, _ := a.z.set(cut, dns.TypeNS, 0)
	a.Ns = s.rrs(owner[len(owner)-a.z.lengthOf(cut, owner):])
	a.additional(a.Ns, true)
}

// lengthOf is how much of owner is the name of e, which is at or above it; for a
// wildcard that owner matched, all of it.
func (z *Zone) lengthOf(e entry, owner string) int {
	key := e.key()
	n := len(key) + len(z.name)
	if z.name == model.Root {
		n = len(key)
	}
	if strings.HasPrefix(key, "*.") && (n > len(owner) || !strings.EqualFold(owner[len(owner)-n:], absolute(key, z.name))) {
		return len(owner)
	}
	return n
}

// redirect answers for a name below a DNAME: with that and the CNAME that follows
// from it, of the same TTL (RFC 6672 section 3.1). One DNAME is used once in an
// answer, or names would grow until they are too long.
func (a *answer) redirect(e entry, owner string) (next string) {
	s, _ := a.z.set(e, dns.TypeDNAME, 0)
	at := len(owner) - a.z.lengthOf(e, owner)
	rrs := s.rrs(owner[at:])
	if len(rrs) == 0 {
		return ""
	}
	to := rrs[0].(*dns.DNAME).Target
	switch again := a.redirected(owner[at:]); {
	case !again:
		a.Answer = join(a.Answer, rrs[:1:1])
	case model.NameOf(to).In(model.NameOf(owner[at:])):
		return ""
	}
	if to == "." {
		next = owner[:at]
	} else {
		next = owner[:at] + to
	}
	if _, err := model.ParseName(next); err != nil {
		a.Rcode = dns.RcodeYXDomain
		return ""
	}
	a.Answer = append(a.Answer, &dns.CNAME{
		Hdr:    dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: s.ttl},
		Target: next,
	})
	if a.qtype == dns.TypeCNAME || a.qtype == dns.TypeANY {
		return ""
	}
	return next
}

func (a *answer) redirected(dname string) bool {
	for _, rr := range a.Answer {
		if rr.Header().Rrtype == dns.TypeDNAME && strings.EqualFold(rr.Header().Name, dname) {
			return true
		}
	}
	return false
}

// additional adds the addresses that this zone has of the names in rrs.
func (a *answer) additional(rrs []dns.RR, glue bool) {
	var seen map[model.Name]bool
	for _, rr := range rrs {
		name, ok := target(rr)
		if !ok {
			return
		}
		n := model.NameOf(name)
		if seen[n] || !n.In(a.z.name) {
			continue
		}
		if seen == nil {
			seen = map[model.Name]bool{}
		}
		seen[n] = true
		a.addresses(a.z.relative(n), name, glue)
	}
}

func (a *answer) addresses(rel, owner string, glue bool) {
	e, at := a.z.locate(rel, dns.TypeA)
	known := at == exactly
	if at == belowCut && glue {
		e, known = a.z.find(rel)
	}
	if !known {
		return
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if s, ok := a.z.set(e, t, a.draw); ok {
			a.Extra = join(a.Extra, s.rrs(owner))
		}
	}
}

// join keeps the one allocation of an answer of one set.
func join(rrs, more []dns.RR) []dns.RR {
	if rrs == nil {
		return more
	}
	return append(rrs, more...)
}
