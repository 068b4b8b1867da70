// Package zone answers one question: for this name and type, in this view of the
// state, what does DNS say? It opens no socket, reads no clock, takes no lock and
// knows no store.
package zone

import (
	"iter"
	"slices"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// View is the whole state at one revision. It never changes: what Find and the
// rest give belongs to that revision for as long as it is held. A nil *View stands
// for a state that has never been seen; it has no methods to call.
type View struct {
	rev   int64
	all   stamp // of the key that stands for the answers of all zones
	slots trie[*slot]
	names int
	bad   int
	held  []Held // by name
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
func (v *View) Names() int { return v.names }

// BadValues is the number of values that could not be read.
func (v *View) BadValues() int { return v.bad }

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

// Zones yields the zones by name.
func (v *View) Zones() iter.Seq[*Zone] {
	return func(yield func(*Zone) bool) {
		var zones []*Zone
		for s := range v.slots.all() {
			if s.zone != nil {
				zones = append(zones, s.zone)
			}
		}
		slices.SortFunc(zones, func(a, b *Zone) int { return model.CompareNames(a.name, b.name) })
		for _, z := range zones {
			if !yield(z) {
				return
			}
		}
	}
}

// All yields every live key: zones, the names of their generations in use, the keys
// that stand for answers and those that let the guard go; of a zone that the guard
// holds it is what is served, and a key that says so. The changes have Key, ModRevision and Raw only. For
// a value that could not be read it is the last good one, if there was one. The
// order is not to be relied on.
func (v *View) All() iter.Seq[model.Change] {
	return func(yield func(model.Change) bool) {
		if v.all.mod != 0 && !yield(v.all.change(model.Key{Kind: model.AllRevKey})) {
			return
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
