package model

import (
	"encoding/binary"
	"iter"
	"slices"
)

// packedName is one name of a zone file: a million of them as NameData would take
// several times the memory.
type packedName struct {
	name Name
	data []byte // of each set: type, TTL, number of records, and of each its length and octets
	line int
}

// packer packs record sets into slabs, so that few values are many objects.
type packer struct{ slab []byte }

const slabSize = 256 << 10

func (p *packer) pack(sets []RRset) []byte {
	size := 0
	for _, s := range sets {
		size += 3 * binary.MaxVarintLen32
		for _, d := range s.Data {
			size += binary.MaxVarintLen16 + len(d)
		}
	}
	if cap(p.slab)-len(p.slab) < size {
		p.slab = make([]byte, 0, max(size, slabSize))
	}
	start := len(p.slab)
	b := p.slab
	for _, s := range sets {
		b = binary.AppendUvarint(b, uint64(s.Type))
		b = binary.AppendUvarint(b, uint64(s.TTL))
		b = binary.AppendUvarint(b, uint64(len(s.Data)))
		for _, d := range s.Data {
			b = binary.AppendUvarint(b, uint64(len(d)))
			b = append(b, d...)
		}
	}
	p.slab = b
	return b[start:len(b):len(b)]
}

func (n packedName) sets() []RRset {
	rest := n.data
	next := func() uint64 {
		v, size := binary.Uvarint(rest)
		rest = rest[size:]
		return v
	}
	sets := make([]RRset, 0, 2)
	for len(rest) > 0 {
		s := RRset{Type: uint16(next()), TTL: uint32(next())}
		s.Data = make([][]byte, next())
		for i := range s.Data {
			size := int(next())
			s.Data[i] = rest[:size:size]
			rest = rest[size:]
		}
		sets = append(sets, s)
	}
	return sets
}

// Len is how many names with records the file has strictly below the apex.
func (f *ZoneFile) Len() int { return len(f.names) }

// Names gives every name with records strictly below the apex, in the file's order,
// starting at one (it or the first after it); "" starts at the first. The sets are
// not to be changed.
func (f *ZoneFile) Names(from Name) iter.Seq2[Name, []RRset] {
	return func(yield func(Name, []RRset) bool) {
		i := 0
		if from != "" {
			i, _ = f.find(from)
		}
		for _, n := range f.names[i:] {
			if !yield(n.name, n.sets()) {
				return
			}
		}
	}
}

// At is the record sets of one name below the apex; none when it is not there.
func (f *ZoneFile) At(name Name) []RRset {
	if i, ok := f.find(name); ok {
		return f.names[i].sets()
	}
	return nil
}

func (f *ZoneFile) find(name Name) (int, bool) {
	return slices.BinarySearchFunc(f.names, name, func(n packedName, name Name) int { return f.order(n.name, name) })
}
