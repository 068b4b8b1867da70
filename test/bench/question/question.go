package question

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"github.com/miekg/dns"
)

// The questions: of 100, 60 for an A that exists, 30 for an AAAA of a name that
// exists, 10 for a name that does not.
const (
	shareA    = 60
	shareAAAA = 30
)

// Set is questions, packed once, in the order in which they are asked.
type Set struct {
	packets []byte
	ends    []uint32 // of each packet in packets
	wants   []want
	// Loose takes any reply to the right question: for the server that answers a
	// constant.
	Loose bool
}

// want is the reply that is right.
type want struct {
	rcode byte
	rdata []byte // of the one answer; nil: there is no answer
}

// New makes n questions about a zone of so many names. The same seed gives the same.
func New(names, n int, seed uint64) (*Set, error) {
	r := rand.New(rand.NewPCG(seed, 0))
	s := &Set{ends: make([]uint32, 0, n), wants: make([]want, 0, n)}
	for range n {
		i := r.IntN(names)
		var err error
		switch k := r.IntN(100); {
		case k < shareA:
			err = s.add(Name(i), dns.TypeA, want{rdata: A(i).AsSlice()})
		case k < shareA+shareAAAA:
			w := want{}
			if a, ok := AAAA(i); ok {
				w.rdata = a.AsSlice()
			}
			err = s.add(Name(i), dns.TypeAAAA, w)
		default:
			err = s.add(fmt.Sprintf("x%d", i), dns.TypeA, want{rcode: dns.RcodeNameError})
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// One is the question for the A of the i-th name alone.
func One(i int) (*Set, error) { return For(i, A(i)) }

// For is the question for the A of the i-th name when that is to be this address.
func For(i int, a netip.Addr) (*Set, error) {
	s := &Set{}
	return s, s.add(Name(i), dns.TypeA, want{rdata: a.AsSlice()})
}

func (s *Set) add(label string, qtype uint16, w want) error {
	m := dns.Msg{Question: []dns.Question{{Name: label + "." + Zone + ".", Qtype: qtype, Qclass: dns.ClassINET}}}
	b, err := m.Pack()
	if err != nil {
		return fmt.Errorf("pack the question for %s: %w", label, err)
	}
	s.packets = append(s.packets, b...)
	s.ends = append(s.ends, uint32(len(s.packets)))
	s.wants = append(s.wants, w)
	return nil
}

// Len is how many questions there are.
func (s *Set) Len() int { return len(s.ends) }

// Packet is the i-th question; its id is 0. It must not be changed.
func (s *Set) Packet(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = s.ends[i-1]
	}
	return s.packets[from:s.ends[i]]
}

const header = 12 // octets before the question

// Right says whether b is the right reply to the i-th question: a response with
// authority, to this question, with this rcode, and with the address as its only
// answer or with none. The id is the caller's matter.
func (s *Set) Right(i int, b []byte) bool {
	q := s.Packet(i)
	if len(b) < len(q) || b[2]&0x80 == 0 || !bytes.Equal(b[header:len(q)], q[header:]) {
		return false
	}
	if s.Loose {
		return true
	}
	w := &s.wants[i]
	const aa, tc = 0x04, 0x02
	if b[2]&aa == 0 || b[2]&tc != 0 || b[3]&0xf != w.rcode {
		return false
	}
	answers := binary.BigEndian.Uint16(b[6:])
	if w.rdata == nil {
		return answers == 0
	}
	return answers == 1 && bytes.Equal(rdata(b[len(q):]), w.rdata)
}

// rdata is the data of the record at the start of b, nil when there is none. Its
// owner is a pointer, or spelt out.
func rdata(b []byte) []byte {
	for len(b) > 0 && b[0] != 0 && b[0]&0xc0 == 0 {
		if len(b) < int(b[0])+1 {
			return nil
		}
		b = b[b[0]+1:]
	}
	if len(b) > 0 && b[0]&0xc0 == 0xc0 {
		b = b[1:]
	}
	const fixed = 1 + 2 + 2 + 4 + 2 // end of the owner, type, class, TTL, length
	if len(b) < fixed {
		return nil
	}
	if n := int(binary.BigEndian.Uint16(b[fixed-2:])); len(b) >= fixed+n {
		return b[fixed : fixed+n]
	}
	return nil
}
