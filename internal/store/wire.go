package store

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"signpost/internal/model"
)

// nameReader reads the wire form of storepb.Name without the messages in between:
// a replica reads a million of them when it starts. It takes what encodeName writes
// and what is much like it; of all else, such as a field that it does not know, a
// field twice or anything broken, it says so, and proto.Unmarshal reads it instead.
// FuzzNameReader holds the two to each other.
//
// What it gives shares the memory of what it reads and, among up to slab names, its
// own: it is for those who let go of all of it soon. The zero nameReader gives each
// name memory of its own.
type nameReader struct {
	slab  int
	names []model.NameData
	sets  []model.RRset
	data  [][]byte
	texts map[string]string // ids and sites, which many names share
}

// piece gives n of what is left of a slab, or of a new one.
func piece[T any](left *[]T, n, slab int) []T {
	if len(*left) < n {
		*left = make([]T, max(n, slab))
	}
	out := (*left)[:n:n]
	*left = (*left)[n:]
	return out
}

// name is not ok when raw is better read by proto.Unmarshal. The schema is 0 when
// there is none.
func (r *nameReader) name(raw []byte) (n *model.NameData, schema uint32, ok bool) {
	count, ok := countField(raw, 1)
	if !ok {
		return nil, 0, false
	}
	n = &piece(&r.names, 1, r.slab)[0]
	if count > 0 {
		n.RRsets = piece(&r.sets, count, r.slab)
	}
	f := fields{rest: raw}
	for i := 0; f.next(); {
		switch {
		case f.is(1, protowire.BytesType):
			n.RRsets[i] = r.set(&f)
			i++
		case f.is(2, protowire.BytesType) && n.Host == nil:
			n.Host = r.host(&f)
		case f.is(3, protowire.VarintType):
			n.Withdrawn = protowire.DecodeBool(f.number)
		case f.is(15, protowire.VarintType):
			schema = uint32(f.number)
		default:
			return nil, 0, false
		}
	}
	return n, schema, !f.failed
}

func (r *nameReader) set(of *fields) (s model.RRset) {
	count, ok := countField(of.octets, 3)
	if !ok {
		of.failed = true
		return s
	}
	if count > 0 {
		s.Data = piece(&r.data, count, r.slab)
	}
	f := fields{rest: of.octets}
	for i := 0; f.next(); {
		switch {
		case f.is(1, protowire.VarintType) && f.number <= 0xffff:
			s.Type = uint16(f.number)
		case f.is(2, protowire.VarintType):
			s.TTL = uint32(f.number)
		case f.is(3, protowire.BytesType):
			s.Data[i] = f.octets
			i++
		default:
			f.failed = true
		}
	}
	of.failed = of.failed || f.failed
	return s
}

// fields goes through a message. After something that is no field it has failed and
// there is no next.
type fields struct {
	rest   []byte
	num    protowire.Number
	typ    protowire.Type
	number uint64
	octets []byte
	failed bool
}

func (f *fields) is(num protowire.Number, typ protowire.Type) bool {
	return f.num == num && f.typ == typ
}

func (f *fields) next() bool {
	if len(f.rest) == 0 || f.failed {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		f.failed = true
		return false
	}
	f.num, f.typ, f.rest = num, typ, f.rest[n:]
	switch typ {
	case protowire.VarintType:
		f.number, n = protowire.ConsumeVarint(f.rest)
	case protowire.BytesType:
		f.octets, n = protowire.ConsumeBytes(f.rest)
		f.octets = slices.Clip(f.octets)
	default:
		n = -1 // no field of ours
	}
	if n < 0 {
		f.failed = true
		return false
	}
	f.rest = f.rest[n:]
	return true
}

// countField is how often a message has a field of octets.
func countField(raw []byte, num protowire.Number) (count int, ok bool) {
	f := fields{rest: raw}
	for f.next() {
		if f.is(num, protowire.BytesType) {
			count++
		}
	}
	return count, !f.failed
}
