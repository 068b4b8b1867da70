package zone

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type word string

func (w word) key() string { return string(w[:1]) }

func words(t trie[word]) (all []word) {
	for w := range t.all() {
		all = append(all, w)
	}
	slices.Sort(all)
	return all
}

// A trie does what a map does, one built at once is the one built step by step, and
// no copy changes another.
func TestTrieIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr trie[entry]
		m := map[string]entry{}
		type copied struct {
			tr trie[entry]
			n  int
		}
		var copies []copied
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			key := fmt.Sprint(rapid.IntRange(0, 100).Draw(t, "key"))
			if rapid.Bool().Draw(t, "add") {
				e := item{key: key, raw: rapid.StringN(0, 2, 2).Draw(t, "raw")}.pack()
				tr, m[key] = tr.with(e), e
			} else {
				tr = tr.without(key)
				delete(m, key)
			}
			copies = append(copies, copied{tr, len(m)})
		}
		var elems gathered[entry]
		for key, e := range m {
			if got, ok := tr.find(key); !ok || got != e {
				t.Fatalf("%s is %q, want %q", key, got, e)
			}
			elems.add(e, hash(key))
		}
		for i := 101; i < 300; i++ { // of so many, some share the way to an element that is there
			if got, ok := tr.find(fmt.Sprint(i)); ok || got != "" {
				t.Fatalf("found %q of what is not there", got)
			}
		}
		if once := elems.trie(); !same(&once.root, &tr.root) {
			t.Fatal("built at once it has another shape")
		}
		for _, c := range copies {
			n := 0
			for range c.tr.all() {
				n++
			}
			if n != c.n {
				t.Fatalf("a copy has %d elements, had %d", n, c.n)
			}
		}
	})
}

func same[E keyed](a, b *node[E]) bool {
	if a.elemMap != b.elemMap || a.nodeMap != b.nodeMap || len(a.nodes) != len(b.nodes) {
		return false
	}
	for i := range a.nodes {
		if !same(&a.nodes[i], &b.nodes[i]) {
			return false
		}
	}
	return len(a.elems) == len(b.elems) && (len(a.elems) == 0 || reflect.DeepEqual(a.elems, b.elems))
}

// Names whose hashes are the same to the last bit that is looked at share a list.
func TestTrieWithEqualHashes(t *testing.T) {
	const h = 0xdeadbeefdeadbeef
	var n node[word]
	for _, w := range []word{"a1", "b1", "c1", "b2"} {
		n = n.with(w, h, depth)
	}
	if got := words(trie[word]{n}); !slices.Equal(got, []word{"a1", "b2", "c1"}) {
		t.Errorf("got %q", got)
	}
	before := n
	n = n.without("b", h, depth)
	if got := words(trie[word]{n}); !slices.Equal(got, []word{"a1", "c1"}) {
		t.Errorf("got %q", got)
	}
	if got := words(trie[word]{before}); !slices.Equal(got, []word{"a1", "b2", "c1"}) {
		t.Errorf("the copy before is now %q", got)
	}
	built := nodeOf([]hashed[word]{{h, "a1"}, {h, "b2"}}, 0)
	if got := words(trie[word]{built}); !slices.Equal(got, []word{"a1", "b2"}) {
		t.Errorf("built at once: %q", got)
	}
}
