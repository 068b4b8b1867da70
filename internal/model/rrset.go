package model

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// MaxTTL is the largest TTL of a record, in seconds (RFC 2181 section 8).
const MaxTTL = 1<<31 - 1

// RRset is the record set of one owner and type (RFC 2181 section 5), class IN.
// The owner is known from where the set is kept.
type RRset struct {
	Type uint16
	TTL  uint32 // seconds, at most MaxTTL
	// Data is the RDATA of each record in uncompressed wire form, names with the
	// case they were given in; sorted as octets (RFC 4034 section 6.3), without
	// duplicates, never empty.
	Data [][]byte
}

// TypeName is the mnemonic of a record type; an unknown one is TYPE123 (RFC 3597).
func TypeName(t uint16) string { return dns.Type(t).String() }

// ParseType reads a mnemonic or TYPE123. Types that are no data (RFC 6895 section
// 3.1: OPT, TSIG, ANY, AXFR and so on) are refused. Errors are of kind Invalid.
func ParseType(s string) (uint16, error) {
	up := strings.ToUpper(strings.TrimSpace(s))
	t, ok := dns.StringToType[up]
	if !ok && strings.HasPrefix(up, "TYPE") {
		n, err := strconv.ParseUint(up[4:], 10, 16)
		t, ok = uint16(n), err == nil
	}
	switch {
	case !ok:
		return 0, E(Invalid, "read record type", s).In("type").Because("there is no such type").Hint("use a mnemonic such as TXT, or TYPE123")
	case !IsDataType(t):
		return 0, E(Invalid, "read record type", s).In("type").Because("it is not a type of stored data")
	}
	return t, nil
}

// IsDataType reports whether records of the type can be stored in a zone.
func IsDataType(t uint16) bool {
	switch {
	case t == dns.TypeNone, t == dns.TypeOPT, t == dns.TypeReserved, t >= 128 && t <= 255:
		return false // RFC 6895: 128 to 255 are meta-types and QTYPEs
	}
	return true
}

// ParseRRset reads records in presentation format, as a person or a program
// writes them after the type in a zone file. Names without a final dot are
// absolute; one of a single label is refused without the dot, for it is more likely
// meant relative. Errors are of kind Invalid and name the field.
func ParseRRset(t uint16, ttl uint32, rdata []string) (RRset, error) {
	if len(rdata) == 0 {
		return RRset{}, E(Invalid, "read records", TypeName(t)).In("rdata").Because("there are none").Hint("give at least one value")
	}
	rrs := make([]dns.RR, 0, len(rdata))
	for i, text := range rdata {
		rr, err := parseRR(t, ttl, text)
		if err != nil {
			return RRset{}, E(Invalid, "read record", TypeName(t)+" "+text).In("rdata[" + strconv.Itoa(i) + "]").Because(err.Error())
		}
		if label := loneLabel(t, text); label != "" {
			return RRset{}, E(Invalid, "read record", TypeName(t)+" "+text).In("rdata[" + strconv.Itoa(i) + "]").
				Because(label + " is not relative to the zone: names in record data are absolute").
				Hint("give the whole name, such as " + strings.Replace(label, "@", "www", 1) + ".example.org., or " + strings.Trim(label, "@") + ". if that is meant")
		}
		rrs = append(rrs, rr)
	}
	return NewRRset(rrs)
}

// NewRRset makes a set of records of one type. The TTL is the smallest of theirs.
// Errors are of kind Invalid.
func NewRRset(rrs []dns.RR) (RRset, error) {
	if len(rrs) == 0 {
		return RRset{}, E(Invalid, "make record set", "").Because("there are no records")
	}
	set := RRset{Type: rrs[0].Header().Rrtype, TTL: rrs[0].Header().Ttl}
	for _, rr := range rrs {
		h := rr.Header()
		if h.Rrtype != set.Type || h.Class != dns.ClassINET {
			return RRset{}, E(Invalid, "make record set", h.Name).Because("records of one set have one type, and class IN")
		}
		set.TTL = min(set.TTL, h.Ttl)
		data, err := rdataOf(rr)
		if err != nil {
			return RRset{}, err
		}
		set.Data = append(set.Data, data)
	}
	if set.TTL > MaxTTL {
		return RRset{}, E(Invalid, "make record set", rrs[0].Header().Name).In("ttl").Because("it is over 2147483647 seconds")
	}
	slices.SortFunc(set.Data, bytes.Compare)
	set.Data = slices.CompactFunc(set.Data, bytes.Equal)
	return set, nil
}

// RRs unpacks the set for an owner in presentation format. The records are the
// caller's to change. Errors are of kind Invalid: a set that was checked by
// NewRRset or Check has none.
func (s RRset) RRs(owner string) ([]dns.RR, error) {
	rrs := make([]dns.RR, len(s.Data))
	for i, d := range s.Data {
		rr, err := unpackRData(s.Type, owner, s.TTL, d)
		if err != nil {
			return nil, E(Invalid, "unpack record", owner+" "+TypeName(s.Type)).From(err)
		}
		rrs[i] = rr
	}
	return rrs, nil
}

// Check says whether the set is one that NewRRset could have made: for values
// that come from outside. Errors are of kind Invalid.
func (s RRset) Check() error {
	if !IsDataType(s.Type) || len(s.Data) == 0 || s.TTL > MaxTTL {
		return E(Invalid, "check record set", TypeName(s.Type)).Because("its type, TTL or number of records is out of range")
	}
	for _, d := range s.Data {
		if err := checkRData(s.Type, d); err != nil {
			return E(Invalid, "check record set", TypeName(s.Type)).In("rdata").Because(err.Error())
		}
	}
	return nil
}

// Text is the RDATA of each record in presentation format, which ParseRRset turns
// into the same data; where the type has no format of its own that does, in that of
// RFC 3597.
func (s RRset) Text() []string {
	text := make([]string, len(s.Data))
	for i, d := range s.Data {
		text[i] = textOf(s.Type, d)
	}
	return text
}

// MaxSetSize is the most that Size may be: what fits one DNS message of 65,535
// octets with its header, question and OPT, and a SOA beside it.
const MaxSetSize = 60_000

// Size is how many octets the set takes in a message at least: its owner as a
// pointer, its RDATA uncompressed.
func (s RRset) Size() int {
	size := 0
	for _, d := range s.Data {
		size += 12 + len(d)
	}
	return size
}

// Equal reports whether two sets have the same type, TTL and data.
func (s RRset) Equal(o RRset) bool {
	return s.Type == o.Type && s.TTL == o.TTL && slices.EqualFunc(s.Data, o.Data, bytes.Equal)
}

// FindRRset gives the set of a type from sets.
func FindRRset(sets []RRset, t uint16) (RRset, bool) {
	for _, s := range sets {
		if s.Type == t {
			return s, true
		}
	}
	return RRset{}, false
}

// WithRRset is sets with set in the place of any of its type, ordered by type;
// sets itself is left alone. WithoutRRset is sets without a type.
func WithRRset(sets []RRset, set RRset) []RRset {
	out := append(WithoutRRset(sets, set.Type), set)
	slices.SortFunc(out, func(a, b RRset) int { return int(a.Type) - int(b.Type) })
	return out
}

// WithoutRRset is sets without the one of a type; sets itself is left alone.
func WithoutRRset(sets []RRset, t uint16) []RRset {
	out := make([]RRset, 0, len(sets)+1)
	for _, s := range sets {
		if s.Type != t {
			out = append(out, s)
		}
	}
	return out
}
