package zone

import (
	"encoding/binary"
	"net/netip"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// entry is all that is kept of one name, in one string, because a million names
// must fit into little memory and a string without pointers costs the garbage
// collector nothing:
//
//	flags      2 octets
//	keyLen     2
//	children   4   how many names exist directly below this one
//	setsLen    4
//	mod        8   the key's mod revision in etcd, also when its value cannot be read
//	key            the name relative to its zone, "www." in presentation form
//	sets           record sets by type: type 2, TTL 4, length of records 4,
//	               records: length 2 and RDATA each
//	raw            the key's value in etcd
//
// Numbers are big-endian. A name that exists only because of what is below it (an
// empty non-terminal, RFC 4592 section 2.2.2) has an entry too.
type entry string

const entryHeader = 20

type flags uint16

const (
	stored   flags = 1 << iota // there is a key for it in etcd
	wildcard                   // its host gives its A and AAAA to "*." below it
	borrows                    // it is that "*."
	bad                        // the key's value cannot be read; the last good one is here
	broken                     // and there was none
	hasNS                      // it is the top of a delegated zone (not the apex)
	hasDNAME
	hasCNAME
	hasHost // its A and AAAA are the plain addresses of a host
	chooses // or they are chosen: there is more in names.beside
	draws   // and a question may be answered with some of them
	open    // all that no operator took away: too few are up
)

func u16(s string, i int) uint16 { return uint16(s[i])<<8 | uint16(s[i+1]) }
func u32(s string, i int) uint32 { return uint32(u16(s, i))<<16 | uint32(u16(s, i+2)) }

func (e entry) is(f flags) bool  { return flags(u16(string(e), 0))&f != 0 }
func (e entry) key() string      { return string(e[entryHeader : entryHeader+int(u16(string(e), 2))]) }
func (e entry) mod() int64       { return int64(u32(string(e), 12))<<32 | int64(u32(string(e), 16)) }
func (e entry) children() uint32 { return u32(string(e), 4) }

func (e entry) sets() string {
	i := entryHeader + int(u16(string(e), 2))
	return string(e[i : i+int(u32(string(e), 8))])
}

func (e entry) raw() string {
	return string(e[entryHeader+int(u16(string(e), 2))+int(u32(string(e), 8)):])
}

// item is an entry taken apart, to be changed and packed again.
type item struct {
	flags    flags
	children uint32
	mod      int64
	key      string
	sets     string
	raw      string
}

// exists reports whether there is such a name in the zone at all.
func (it item) exists() bool { return it.flags&(stored|borrows) != 0 || it.children > 0 }

func (e entry) item() item {
	return item{flags(u16(string(e), 0)), e.children(), e.mod(), e.key(), e.sets(), e.raw()}
}

func (it item) pack() entry {
	room := make([]byte, 0, entryHeader+len(it.key)+len(it.sets)+len(it.raw))
	return entry(appendEntry(room, it, it.sets, it.raw))
}

// appendEntry appends the entry of an item with sets and raw in place of its own.
func appendEntry[octets string | []byte](b []byte, it item, sets, raw octets) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(it.flags))
	b = binary.BigEndian.AppendUint16(b, uint16(len(it.key)))
	b = binary.BigEndian.AppendUint32(b, it.children)
	b = binary.BigEndian.AppendUint32(b, uint32(len(sets)))
	b = binary.BigEndian.AppendUint64(b, uint64(it.mod))
	b = append(b, it.key...)
	b = append(b, sets...)
	return append(b, raw...)
}

// zoneTTL in an entry stands for the TTL of the zone, which may change without the
// name; what is added to it is the most that it may be.
const zoneTTL = model.MaxTTL + 1

func packSets(sets []model.RRset) string { return string(appendSets(nil, sets)) }

func appendSets(b []byte, sets []model.RRset) []byte {
	for _, s := range sets {
		b = binary.BigEndian.AppendUint16(b, s.Type)
		b = binary.BigEndian.AppendUint32(b, s.TTL)
		at := len(b)
		b = binary.BigEndian.AppendUint32(b, 0)
		for _, d := range s.Data {
			b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
			b = append(b, d...)
		}
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return b
}

// packAddresses is packSets for the A and AAAA of nothing but these addresses, sorted.
func packAddresses(addrs []netip.Addr, ttl uint32) string {
	var room [256]byte
	b := room[:0]
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		at := len(b)
		b = binary.BigEndian.AppendUint16(b, t)
		b = binary.BigEndian.AppendUint32(b, ttl)
		b = append(b, 0, 0, 0, 0)
		for _, a := range addrs {
			if family(t) == familyOf(a) {
				b = appendAddress(b, a)
			}
		}
		if size := len(b) - at - setHeader; size > 0 {
			binary.BigEndian.PutUint32(b[at+6:], uint32(size))
		} else {
			b = b[:at]
		}
	}
	return string(b)
}

func appendAddress(b []byte, a netip.Addr) []byte {
	if a = a.Unmap(); a.Is4() {
		ip := a.As4()
		return append(append(b, 0, 4), ip[:]...)
	}
	ip := a.As16()
	return append(append(b, 0, 16), ip[:]...)
}
