// Package zone answers one question: for this name and type, in this view of the
// state, what does DNS say? It opens no socket, reads no clock, takes no lock and
// knows no store.
package zone

import (
	"iter"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// View is the whole state at one revision. It never changes: what Find and the
// rest give belongs to that revision for as long as it is held. A nil *View stands
// for a state that has never been seen; it has no methods to call.
type View struct {
	rev    int64
	all    stamp   // of the key that stands for the answers of all zones
	common *common // what is said of everything; nil: nothing
	slots  trie[*slot]
	counts counts // of slots
	held   []Held // by name
}

// stamp is a key of which nothing but its mod revision matters.
type stamp struct {
	mod int64 // 0: there is no such key
	raw string
}

// Empty is a state at a revision that holds nothing.
func Empty(rev int64) *View { return &View{rev: rev} }

// Revision is the revision of the state.
func (v *View) Revision() int64 { return v.rev }

// Names is the number of names that are stored, in the generations in use.
func (v *View) Names() int { return v.counts.names }

// Chosen is the number of hosts among them whose addresses are chosen, and FailOpen how
// many of these are answered with all that no operator took away: too few are up.
func (v *View) Chosen() int { return v.counts.chosen }

// FailOpen is said above Chosen.
func (v *View) FailOpen() int { return v.counts.open }

// BadValues is the number of values that could not be read.
func (v *View) BadValues() int {
	_, bad := v.common.of().counts()
	return v.counts.bad + bad
}

// Find gives the zone that a question is for: the longest that contains qname, nil
// for none. DS at the apex of a zone is a question for the zone above, when that
// is here too (RFC 4035 section 3.1.4.1).
func (v *View) Find(qname model.Name, qtype uint16) *Zone {
	var apex *Zone
	for n, ok := qname, true; ok; n, ok = n.Parent() {
		z := v.Zone(n)
		switch {
		case z == nil:
		case qtype == dns.TypeDS && apex == nil && n == qname:
			apex = z
		default:
			return z
		}
	}
	return apex
}

// Zone gives the zone of a name, nil if there is none.
func (v *View) Zone(name model.Name) *Zone {
	if s, ok := v.slots.find(string(name)); ok {
		return s.zone
	}
	return nil
}

// All yields every live key: zones, the names of their generations in use, what is said
// of them and of everything, the keys that stand for answers and those that let the
// guard go; of a zone that the guard
// holds it is what is served, and a key that says so. The changes have Key, ModRevision and Raw only. For
// a value that could not be read it is the last good one, if there was one. The
// order is not to be relied on.
func (v *View) All() iter.Seq[model.Change] {
	return func(yield func(model.Change) bool) {
		if v.all.mod != 0 && !yield(v.all.change(model.Key{Kind: model.AllRevKey})) {
			return
		}
		for c := range v.common.of().keys("", "") {
			if !yield(c) {
				return
			}
		}
		for s := range v.slots.all() {
			if !s.each(yield) {
				return
			}
		}
	}
}

func (st stamp) change(k model.Key) model.Change {
	return model.Change{Key: k, ModRevision: st.mod, Raw: []byte(st.raw)}
}
