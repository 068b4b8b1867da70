package zone

import (
	"encoding/binary"
	"unsafe"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Question is a plain question as it stands in a message, taken apart without
// allocating: any type about data, class IN, a name of octets that need no escape. It
// is filled by Read, may be used again, and holds on to the message until then.
type Question struct {
	Type   uint16
	name   plainName
	target plainName // of the CNAME that is followed
}

// plainName is a name in the two forms that an answer needs.
type plainName struct {
	wire   []byte     // as it was asked, or stored: uncompressed, with its case
	key    [256]byte  // as a model.Name
	n      int        // octets of key
	starts [128]uint8 // where the labels begin in key
	labels int
}

// plainOctets is each octet that stands unescaped in a model.Name, in lower case; 0 is
// for all others.
var plainOctets = func() (t [256]byte) {
	for c := byte('!'); c <= '~'; c++ {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c + 'a' - 'A'
	}
	for _, c := range []byte(`."'@;()\`) {
		t[c] = 0
	}
	return t
}()

// read takes the name at the start of b and gives its length; ok is false for names
// that are compressed, cut short, too long, the root or not plain.
func (p *plainName) read(b []byte) (size int, ok bool) {
	n, labels := 0, 0
	for n < len(b) {
		l := int(b[n])
		if l == 0 {
			p.wire, p.n, p.labels = b[:n+1], n, labels
			return n + 1, n > 0
		}
		end := n + 1 + l
		if l > 63 || end >= len(b) || end > len(p.key)-2 {
			return 0, false
		}
		p.starts[labels] = uint8(n)
		labels++
		for i := n + 1; i < end; i++ {
			c := plainOctets[b[i]]
			if c == 0 {
				return 0, false
			}
			p.key[i-1] = c
		}
		p.key[end-1] = '.'
		n = end
	}
	return 0, false
}

// from is the name from its label i on; of no label: the root.
func (p *plainName) from(i int) string {
	if i == p.labels {
		return "."
	}
	b := p.key[p.starts[i]:p.n]
	return unsafe.String(&b[0], len(b)) // for looking up only: nothing keeps it
}

// Name is the name that is asked for, good until the next Read.
func (q *Question) Name() model.Name { return model.Name(q.name.from(0)) }

// Read takes the question at the start of b, and gives its length. ok is false for
// all that is not plain: then nothing is known.
func (q *Question) Read(b []byte) (size int, ok bool) {
	n, ok := q.name.read(b)
	if !ok || len(b) < n+4 || binary.BigEndian.Uint16(b[n+2:]) != dns.ClassINET {
		return 0, false
	}
	q.Type = binary.BigEndian.Uint16(b[n:])
	return n + 4, isPlain(q.Type)
}

// isPlain leaves out what is asked of the zone above (DS), and what is no type of
// data: OPT, and 128 to 255 (RFC 6895 section 3.1).
func isPlain(t uint16) bool { return t != dns.TypeDS && t != dns.TypeOPT && (t < 128 || t > 255) }

// FindPlain is Find for a plain question.
func (v *View) FindPlain(q *Question) *Zone {
	for i := 0; i <= q.name.labels; i++ {
		if s, ok := v.slots.find(q.name.from(i)); ok && s.zone != nil {
			return s.zone
		}
	}
	return nil
}

// Sections says what AppendPlain appended: the number of records of each section.
type Sections struct {
	Rcode             int
	Answer, Authority int
}

// plainLinks is how many CNAMEs are followed here.
const plainLinks = 4

// AppendPlain appends to b the records of Answer for a question about this zone and the
// same draw, in wire form without compression, in the same order; they are authoritative. ok is
// false for what it leaves to Answer, which is what is seldom asked and what takes
// more than one look:
//
//	the name        the type                     appended
//	exists          there, no names in RDATA     its record set
//	                there, with additional data  left
//	                not there                    the SOA (NODATA)
//	is an alias     not CNAME                    the CNAME and what there is to say of its target
//	                                             in this zone; more than 4 links are left
//	does not exist  any                          the SOA (NXDOMAIN)
//	is below a cut or DNAME, cannot be read      left
//
// Nothing is allocated when b has room, but for a wildcard host that also has record
// sets at its "*" and for what is drawn of several endpoints.
func (z *Zone) AppendPlain(b []byte, q *Question, draw uint64) (_ []byte, s Sections, ok bool) {
	if !z.Readable() {
		return b, s, false
	}
	for at := &q.name; ; at = &q.target {
		e, where := z.locate(z.plainRelative(at), q.Type)
		switch {
		case where == nowhere:
			s.Rcode = dns.RcodeNameError
			s.Authority++
			return z.appendNegative(b, at, z.negTTL), s, true
		case where != exactly, e.is(broken), s.Answer == plainLinks:
			return b, s, false
		case e.is(hasCNAME) && q.Type != dns.TypeCNAME:
			var target []byte
			if b, target, ok = z.appendAlias(b, at, e); !ok {
				return b, s, false
			}
			s.Answer++
			if _, ok := q.target.read(target); !ok {
				return b, s, false
			}
			if !z.holds(&q.target) {
				return b, s, true
			}
		default:
			return z.appendSet(b, at, e, q.Type, draw, s)
		}
	}
}

// plainRelative is relative for a name of this zone.
func (z *Zone) plainRelative(p *plainName) string {
	if p.n == len(z.name) {
		return ""
	}
	n := p.n - len(z.name)
	if z.name == model.Root {
		n = p.n
	}
	return unsafe.String(&p.key[0], n) // for looking up only
}

// holds reports whether a name is in the zone.
func (z *Zone) holds(p *plainName) bool { return model.Name(p.from(0)).In(z.name) }

func (z *Zone) appendSet(b []byte, owner *plainName, e entry, t uint16, draw uint64, s Sections) ([]byte, Sections, bool) {
	set, ok := z.set(e, t, draw)
	switch {
	case t == dns.TypeSOA && e.key() == "", ok && hasTargets(t):
		return b, s, false
	case !ok:
		s.Authority++
		return z.appendNegative(b, owner, z.negTTLAt(e)), s, true
	}
	for d := set.data; len(d) > 0; {
		end := 2 + int(u16(d, 0))
		b = appendRecord(b, owner.wire, t, set.ttl)
		b = append(b, d[:end]...) // its length and itself
		d = d[end:]
		s.Answer++
	}
	return b, s, true
}

// hasTargets says of which types target knows names worth more data.
func hasTargets(t uint16) bool {
	switch t {
	case dns.TypeNS, dns.TypeMX, dns.TypeSRV, dns.TypeSVCB, dns.TypeHTTPS:
		return true
	}
	return false
}

// appendAlias appends the CNAME of a name and gives its target as it was appended.
func (z *Zone) appendAlias(b []byte, owner *plainName, e entry) (_, target []byte, ok bool) {
	set, _ := z.set(e, dns.TypeCNAME, 0)
	if len(set.data) < 2 {
		return b, nil, false
	}
	d := set.data[:2+int(u16(set.data, 0))]
	b = appendRecord(b, owner.wire, dns.TypeCNAME, set.ttl)
	b = append(b, d...)
	return b, b[len(b)-len(d)+2:], true
}

// appendNegative is negative in wire form.
func (z *Zone) appendNegative(b []byte, owner *plainName, ttl uint32) []byte {
	b = appendRecord(b, owner.wire[len(owner.wire)-wireLen(z.name):], dns.TypeSOA, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(z.soaData)))
	b = append(b, z.soaData...)
	binary.BigEndian.PutUint32(b[len(b)-soaNumbers:], z.soa.Serial)
	return b
}

// wireLen is the length in wire form of a name that is the end of a plain one.
func wireLen(n model.Name) int {
	if n == model.Root {
		return 1
	}
	return len(n) + 1
}

func appendRecord(b, owner []byte, t uint16, ttl uint32) []byte {
	b = append(b, owner...)
	b = binary.BigEndian.AppendUint16(b, t)
	b = binary.BigEndian.AppendUint16(b, dns.ClassINET)
	return binary.BigEndian.AppendUint32(b, ttl)
}

// soaNumbers is the octets of a SOA's RDATA after its names, of which the serial is
// the first.
const soaNumbers = 5 * 4

// soaRdata is the RDATA of a SOA in wire form.
func soaRdata(soa *dns.SOA) string {
	var b [2*255 + 64]byte
	at, err := dns.PackDomainName(soa.Ns, b[:], 0, nil, false)
	if err != nil {
		return "" // the model lets no such name through
	}
	if at, err = dns.PackDomainName(soa.Mbox, b[:], at, nil, false); err != nil {
		return ""
	}
	for _, n := range []uint32{soa.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minttl} {
		binary.BigEndian.PutUint32(b[at:], n)
		at += 4
	}
	return string(b[:at])
}
