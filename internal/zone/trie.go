package zone

import (
	"cmp"
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// trie is an immutable map from names to what is kept of them: a hash array mapped
// trie of 64 ways whose elements carry their own key. A changed copy shares all but
// the nodes on the way to the change. The zero trie is empty.
type trie[E keyed] struct{ root node[E] }

type keyed interface {
	comparable
	key() string
}

// node has elements and further nodes under the next six bits of the hash; a bit
// is set in at most one of the two maps. At the last depth, where the hash is used
// up, elems is a plain list. Nodes lie in their parent's array, not behind pointers:
// a look-up among a million names waits for memory three times, not five.
type node[E keyed] struct {
	elemMap, nodeMap uint64
	elems            []E
	nodes            []node[E]
}

const (
	ways  = 6  // bits of the hash that one node looks at
	depth = 10 // nodes on a way; 60 bits of the hash are looked at
)

// seed makes it hard to choose names that collide. Nothing that leaves the process
// depends on it.
var seed = maphash.MakeSeed()

func hash(key string) uint64 { return maphash.String(seed, key) }

func bitAt(h uint64, d int) uint64 { return 1 << (h >> (64 - ways - ways*d) & (1<<ways - 1)) }

func rank(bitmap, bit uint64) int { return bits.OnesCount64(bitmap & (bit - 1)) }

// find gives the element of a key; the zero E when there is none.
func (t *trie[E]) find(key string) (none E, ok bool) { return t.findHashed(key, hash(key)) }

func (t *trie[E]) findHashed(key string, h uint64) (none E, ok bool) {
	n := &t.root
	for d := 0; d < depth; d++ {
		bit := bitAt(h, d)
		if n.elemMap&bit != 0 {
			if e := n.elems[rank(n.elemMap, bit)]; e.key() == key {
				return e, true
			}
			return none, false // not the stranger whose hash begins alike
		}
		if n.nodeMap&bit == 0 {
			return none, false
		}
		n = &n.nodes[rank(n.nodeMap, bit)]
	}
	for _, e := range n.elems {
		if e.key() == key {
			return e, true
		}
	}
	return none, false
}

// with is the trie with e in the place of any element of its key.
func (t trie[E]) with(e E) trie[E] { return trie[E]{t.root.with(e, hash(e.key()), 0)} }

func (n node[E]) with(e E, h uint64, d int) node[E] {
	if d == depth {
		n.elems = append(slices.DeleteFunc(slices.Clone(n.elems), func(o E) bool { return o.key() == e.key() }), e)
		return n
	}
	bit := bitAt(h, d)
	switch i, j := rank(n.elemMap, bit), rank(n.nodeMap, bit); {
	case n.nodeMap&bit != 0:
		n.nodes = slices.Clone(n.nodes)
		n.nodes[j] = n.nodes[j].with(e, h, d+1)
	case n.elemMap&bit == 0:
		n.elemMap |= bit
		n.elems = inserted(n.elems, i, e)
	case n.elems[i].key() == e.key():
		n.elems = slices.Clone(n.elems)
		n.elems[i] = e
	default:
		o := n.elems[i]
		both := node[E]{}.with(o, hash(o.key()), d+1).with(e, h, d+1)
		n.elemMap &^= bit
		n.elems = removed(n.elems, i)
		n.nodeMap |= bit
		n.nodes = inserted(n.nodes, j, both)
	}
	return n
}

// replaced is the trie with elements in the places of those of their keys, which are all
// there. Each node on the way is copied once, not once for each.
func (t trie[E]) replaced(by []hashed[E]) trie[E] {
	if len(by) == 0 {
		return t
	}
	slices.SortFunc(by, func(a, b hashed[E]) int { return cmp.Compare(a.hash, b.hash) })
	return trie[E]{t.root.replaced(by, 0)}
}

func (n node[E]) replaced(sorted []hashed[E], d int) node[E] {
	n.elems, n.nodes = slices.Clone(n.elems), slices.Clone(n.nodes)
	if d == depth {
		for _, by := range sorted {
			i := slices.IndexFunc(n.elems, func(o E) bool { return o.key() == by.elem.key() })
			n.elems[i] = by.elem
		}
		return n
	}
	for len(sorted) > 0 {
		bit, end := bitAt(sorted[0].hash, d), 1
		for end < len(sorted) && bitAt(sorted[end].hash, d) == bit {
			end++
		}
		if n.elemMap&bit != 0 {
			n.elems[rank(n.elemMap, bit)] = sorted[0].elem
		} else {
			sub := &n.nodes[rank(n.nodeMap, bit)]
			*sub = sub.replaced(sorted[:end], d+1)
		}
		sorted = sorted[end:]
	}
	return n
}

// without is the trie without the element of a key, if there is one.
func (t trie[E]) without(key string) trie[E] {
	if _, ok := t.find(key); !ok {
		return t
	}
	return trie[E]{t.root.without(key, hash(key), 0)}
}

// without is for a key that is there. A node with one element and nothing else goes
// into its parent, so that equal contents have equal shape.
func (n node[E]) without(key string, h uint64, d int) node[E] {
	if d == depth {
		n.elems = slices.DeleteFunc(slices.Clone(n.elems), func(o E) bool { return o.key() == key })
		return n
	}
	bit := bitAt(h, d)
	i, j := rank(n.elemMap, bit), rank(n.nodeMap, bit)
	if n.elemMap&bit != 0 {
		n.elemMap &^= bit
		n.elems = removed(n.elems, i)
		return n
	}
	sub := n.nodes[j].without(key, h, d+1)
	if len(sub.elems) == 1 && len(sub.nodes) == 0 {
		n.nodeMap &^= bit
		n.nodes = removed(n.nodes, j)
		n.elemMap |= bit
		n.elems = inserted(n.elems, i, sub.elems[0])
		return n
	}
	n.nodes = slices.Clone(n.nodes)
	n.nodes[j] = sub
	return n
}

// len counts the elements.
func (t trie[E]) len() (n int) {
	for range t.all() {
		n++
	}
	return n
}

// all yields every element, in no order to rely on.
func (t trie[E]) all() iter.Seq[E] {
	return func(yield func(E) bool) { t.root.each(yield) }
}

func (n *node[E]) each(yield func(E) bool) bool {
	for _, e := range n.elems {
		if !yield(e) {
			return false
		}
	}
	for i := range n.nodes {
		if !n.nodes[i].each(yield) {
			return false
		}
	}
	return true
}

// unshared yields the elements of t that o does not have in just this form. What
// both share is not looked at, so that its cost is that of the difference.
func (t trie[E]) unshared(o trie[E]) iter.Seq[E] {
	return func(yield func(E) bool) { t.root.unshared(&o.root, yield) }
}

func (n *node[E]) unshared(o *node[E], yield func(E) bool) bool {
	if sameArray(n.elems, o.elems) && sameArray(n.nodes, o.nodes) {
		return true
	}
	if n.elemMap|n.nodeMap == 0 { // at full depth
		return n.each(yield)
	}
	for i, m := 0, n.elemMap; m != 0; i, m = i+1, m&(m-1) {
		bit := m & -m
		if o.elemMap&bit != 0 && o.elems[rank(o.elemMap, bit)] == n.elems[i] {
			continue
		}
		if !yield(n.elems[i]) {
			return false
		}
	}
	for i, m := 0, n.nodeMap; m != 0; i, m = i+1, m&(m-1) {
		bit := m & -m
		sub := &n.nodes[i]
		if o.nodeMap&bit == 0 {
			if !sub.each(yield) {
				return false
			}
		} else if !sub.unshared(&o.nodes[rank(o.nodeMap, bit)], yield) {
			return false
		}
	}
	return true
}

func sameArray[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// inserted and removed copy exactly what is needed, with no room to grow.
func inserted[T any](s []T, i int, v T) []T {
	out := make([]T, len(s)+1)
	copy(out, s[:i])
	out[i] = v
	copy(out[i+1:], s[i:])
	return out
}

func removed[T any](s []T, i int) []T {
	if len(s) == 1 {
		return nil
	}
	out := make([]T, len(s)-1)
	copy(out, s[:i])
	copy(out[i:], s[i+1:])
	return out
}
