package zone

import (
	"iter"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Zone is one zone of a view. It never changes.
type Zone struct {
	name   model.Name
	soa    dns.SOA // as it is answered at the apex; empty for a zone of which no value could be read
	ttl    uint32  // of hosts without one
	negTTL uint32  // of negative answers (RFC 2308 section 5), not over that of the SOA
	apex   entry
	names  names
	rev    int64       // of the last change of its answers
	conf   *model.Zone // nil: no value of this zone could ever be read

	soaData string // the RDATA of soa in wire form, the serial apart
}

// Name is the zone's name.
func (z *Zone) Name() model.Name { return z.name }

// Readable reports whether the zone's value could ever be read. If not, Answer is
// SERVFAIL for every question and SOA is nil.
func (z *Zone) Readable() bool { return z.conf != nil }

// Serial is the SOA's serial.
func (z *Zone) Serial() uint32 { return z.soa.Serial }

// Names is the number of names that are stored below the apex.
func (z *Zone) Names() int { return z.names.stored }

// Draws reports whether there are hosts of which each question may be answered
// otherwise, so that it needs a draw.
func (z *Zone) Draws() bool { return z.names.draws > 0 }

func (z *Zone) setRevision(rev int64) {
	z.rev, z.soa.Serial = rev, z.conf.Serial(rev)
}

// SOA is the SOA record, the caller's to change.
func (z *Zone) SOA() dns.RR {
	if !z.Readable() {
		return nil
	}
	soa := z.soa
	return &soa
}

// Records yields every record of the zone but the SOA, as a transfer needs them:
// the apex first, and what is hidden below delegations and DNAMEs as well. Of hosts it
// is what is answered, and all that may be drawn. The records are the caller's to
// change.
func (z *Zone) Records() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		if !z.each(z.apex, yield) {
			return
		}
		for e := range z.names.t.all() {
			if !z.each(e, yield) {
				return
			}
		}
	}
}

func (z *Zone) each(e entry, yield func(dns.RR) bool) bool {
	owner := absolute(e.key(), z.name)
	for s := range z.setsOf(e, 0) {
		for _, rr := range s.rrs(owner) {
			if !yield(rr) {
				return false
			}
		}
	}
	return true
}

// newZone makes what is served of a zone's value: everything that does not depend
// on its names or on the revision.
func newZone(conf *model.Zone) *Zone {
	c := conf.WithDefaults()
	s := c.SOA
	it := item{sets: packSets(c.Apex)}
	if _, ok := model.FindRRset(c.Apex, dns.TypeDNAME); ok {
		it.flags |= hasDNAME
	}
	z := &Zone{
		name: c.Name,
		soa: dns.SOA{
			Hdr: dns.RR_Header{Name: string(c.Name), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: s.TTL},
			Ns:  dns.Fqdn(s.MName), Mbox: dns.Fqdn(s.RName),
			Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.Minimum,
		},
		ttl:    c.TTL,
		negTTL: min(s.TTL, s.Minimum, c.NegativeTTL),
		apex:   it.pack(),
		conf:   conf,
	}
	z.soaData = soaRdata(&z.soa)
	return z
}

// relative is a name of the zone without the zone's: "www." or "".
func (z *Zone) relative(n model.Name) string { return relative(n, z.name) }

func relative(n, zone model.Name) string {
	if zone == model.Root {
		if n == model.Root {
			return ""
		}
		return string(n)
	}
	return string(n[:len(n)-len(zone)])
}

func absolute(rel string, zone model.Name) string {
	if zone == model.Root && rel != "" {
		return rel
	}
	return rel + string(zone)
}
