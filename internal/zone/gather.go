package zone

import (
	"cmp"
	"slices"
	"strings"
)

// hashed is an element on its way into a trie that is built at once, which takes a
// tenth of the time of adding elements one by one.
type hashed[E keyed] struct {
	hash uint64
	elem E
}

// gathered is elements of different keys on their way into a trie, by the way that
// they take from its root: so many small heaps are sorted faster than a large one, and
// each is let go of when its part of the trie is there.
type gathered[E keyed] [1 << ways][]hashed[E]

func (g *gathered[E]) add(e E, h uint64) {
	way := h >> (64 - ways)
	g[way] = append(g[way], hashed[E]{h, e})
}

func (g *gathered[E]) len() (n int) {
	for _, part := range g {
		n += len(part)
	}
	return n
}

// trie builds the trie and empties g. Two do it at a time: at a start nothing is
// answered before it is done.
func (g *gathered[E]) trie() trie[E] {
	var built [1 << ways]node[E]
	other := make(chan struct{})
	go func() {
		defer close(other)
		for i := 1; i < len(g); i += 2 {
			built[i] = g.part(i)
		}
	}()
	for i := 0; i < len(g); i += 2 {
		built[i] = g.part(i)
	}
	<-other
	var root node[E]
	for i, n := range built {
		switch {
		case len(n.elems) == 1 && len(n.nodes) == 0:
			root.elemMap |= 1 << i
			root.elems = append(root.elems, n.elems[0])
		case len(n.elems)+len(n.nodes) > 0:
			root.nodeMap |= 1 << i
			root.nodes = append(root.nodes, n)
		}
	}
	root.elems, root.nodes = slices.Clip(root.elems), slices.Clip(root.nodes)
	return trie[E]{root}
}

func (g *gathered[E]) part(way int) node[E] {
	part := g[way]
	g[way] = nil
	slices.SortFunc(part, func(a, b hashed[E]) int { return cmp.Compare(a.hash, b.hash) })
	return nodeOf(part, 1)
}

func nodeOf[E keyed](sorted []hashed[E], d int) (n node[E]) {
	if d == depth {
		for _, s := range sorted {
			n.elems = append(n.elems, s.elem)
		}
		return n
	}
	var starts [1<<ways + 1]int // where the elements of each way begin that has any
	ways, single := 0, 0
	for i, s := range sorted {
		bit := bitAt(s.hash, d)
		if ways > 0 && bit == bitAt(sorted[starts[ways-1]].hash, d) {
			continue
		}
		if i+1 == len(sorted) || bit != bitAt(sorted[i+1].hash, d) {
			n.elemMap |= bit
			single++
		} else {
			n.nodeMap |= bit
		}
		starts[ways] = i
		ways++
	}
	starts[ways] = len(sorted)
	n.elems = make([]E, 0, single)
	n.nodes = make([]node[E], 0, ways-single)
	for i := range ways {
		if of := sorted[starts[i]:starts[i+1]]; len(of) == 1 {
			n.elems = append(n.elems, of[0].elem)
		} else {
			n.nodes = append(n.nodes, nodeOf(of, d+1))
		}
	}
	return n
}

// arena keeps what never changes in pieces of memory for several, so that a million
// entries are some ten thousand objects for the garbage collector and waste nothing
// between them. A piece stays as long as any of what is in it: small pieces bound what
// changes leave behind.
type arena struct{ piece strings.Builder }

const arenaPiece = 2 << 10

func (a *arena) keep(b []byte) string {
	if len(b) > arenaPiece/4 {
		return string(b)
	}
	if a.piece.Cap()-a.piece.Len() < len(b) {
		a.piece = strings.Builder{} // what was written stays with those who have it
		a.piece.Grow(arenaPiece)
	}
	at := a.piece.Len()
	a.piece.Write(b)
	return a.piece.String()[at:]
}
