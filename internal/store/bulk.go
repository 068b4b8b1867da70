package store

import (
	"bytes"
	"strings"

	"signpost/internal/model"
)

// bulk reads many keys and values under v1/dns/ one after another, as they lie in
// etcd and in a snapshot: names of one zone together. It spares what it can of the
// work and of the memory that each would take by itself, and does what keys.parse and
// decodeChange do.
type bulk struct {
	keys  keys
	of    []byte    // what the keys of names begin with that were read last
	zone  model.Key // and the zone and generation that this means
	names strings.Builder
	buf   []byte
	read  nameReader
	out   []found
}

// bulkSlab is how many names share memory.
const bulkSlab = 256

// found is a key that was read: a change, or why there is none.
type found struct {
	change model.Change
	err    error
	known  bool // it is of a kind that followers are shown
}

func newBulk(k keys) *bulk { return &bulk{keys: k, read: nameReader{slab: bulkSlab}} }

// add reads a key and its value, which must not change after that.
func (b *bulk) add(key []byte, rev int64, value []byte) {
	k, known, err := b.key(key)
	f := found{change: model.Change{Key: k, ModRevision: rev}, err: err, known: known}
	if known {
		f.change = b.value(k, rev, value)
	}
	b.out = append(b.out, f)
}

// key does what keys.parse does. The texts of names share memory, bulkSlab of them.
func (b *bulk) key(key []byte) (model.Key, bool, error) {
	if len(b.of) > 0 && bytes.HasPrefix(key, b.of) {
		var ok bool
		if b.buf, ok = appendPlain(b.buf[:0], key[len(b.of):], b.zone.Zone); ok {
			k := b.zone
			k.Name = model.Name(b.text(b.buf))
			return k, true, nil
		}
	}
	k, known, err := b.keys.parse(string(key))
	if known && k.Kind == model.NameKey {
		b.of = append(b.of[:0], b.keys.gen(k.Zone, k.Generation)...)
		b.zone = model.Key{Kind: k.Kind, Zone: k.Zone, Generation: k.Generation}
	}
	return k, known, err
}

// text is t in memory that it shares with others.
func (b *bulk) text(t []byte) string {
	if b.names.Cap()-b.names.Len() < len(t) {
		b.names = strings.Builder{} // what was written stays with those who have it
		b.names.Grow(bulkSlab * (len(t) + 8))
	}
	at := b.names.Len()
	b.names.Write(t)
	return b.names.String()[at:]
}

func (b *bulk) value(k model.Key, rev int64, raw []byte) model.Change {
	if k.Kind != model.NameKey {
		return decodeChange(k, rev, raw)
	}
	c := model.Change{Key: k, ModRevision: rev, Raw: raw}
	c.Name, c.Bad = b.read.decode(raw, rev)
	return c
}

// take gives what was read since it was called last.
func (b *bulk) take() []found {
	out := b.out
	b.out = make([]found, 0, len(out))
	return out
}

// longestPlain is of octets in text; fewer than 256 on the wire, whatever z has escaped.
const longestPlain = 254

// appendPlain appends the name that plainName gives. Nearly all names are plain, and
// a replica reads millions.
func appendPlain[text string | []byte](to []byte, s text, z model.Name) (all []byte, ok bool) {
	if len(s)+len(z) > longestPlain || len(s) == 0 || s[len(s)-1] != '.' {
		return to, false
	}
	from := len(to)
	for end := len(s) - 1; end >= 0; {
		i := end - 1
		for i >= 0 && plainOctet(s[i]) {
			i--
		}
		if i >= 0 && s[i] != '.' || end-i < 2 || end-i > 64 {
			return to[:from], false
		}
		to = append(to, s[i+1:end]...)
		to = append(to, '.')
		end = i
	}
	if z != model.Root {
		to = append(to, z...)
	}
	return to, true
}

// bulkKeys makes many keys of names of one zone, one after another, as keys.of does.
type bulkKeys struct {
	keys keys
	of   model.Key // whose zone and generation prefix is for
	text []byte
	head int // of text, what keys of these begin with
}

// key is valid until the next.
func (b *bulkKeys) key(k model.Key) []byte {
	if k.Kind != model.NameKey {
		b.head = 0
		b.text = append(b.text[:0], b.keys.of(k)...)
		return b.text
	}
	if b.head == 0 || b.of.Zone != k.Zone || b.of.Generation != k.Generation {
		b.of = k
		b.text = append(b.text[:0], b.keys.gen(k.Zone, k.Generation)...)
		b.head = len(b.text)
	}
	b.text = appendRelative(b.text[:b.head], k.Name, k.Zone)
	return b.text
}

// rest is what the text of a name ends with after its labels below a zone.
func rest(z model.Name) string {
	if z == model.Root {
		return ""
	}
	return string(z)
}
