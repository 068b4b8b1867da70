package zone

import (
	"slices"

	"signpost/internal/model"
)

// guardedNames is how many names one step may always take away. The control service
// removes fewer in one transaction, but for what it is told to replace or delete
// whole, with which it puts the acceptance.
const guardedNames = 100

// Held is a zone that the guard keeps as it was, because what etcd says would take
// away most of it and nobody has said that this is meant.
type Held struct {
	Zone  model.Name
	Since int64 // the revision that it stays at; a newer v1/dns/accept/<zone> lets go
	Names int   // that are served
	Left  int   // that are left in etcd
	Gone  bool  // there is no such zone in etcd any more, or no value that could be read
}

// Held gives the zones that the guard keeps as they were, by name. The slice must
// not be changed.
func (v *View) Held() []Held { return v.held }

// held is what is served of a zone in place of what etcd says.
type held struct {
	at    int64 // the revision at which it was what etcd said
	value stamp // of the zone's key
	zone  *Zone
}

// settle decides what is served of a slot, given the slot before the step and the
// revision of that, or of the step when that is lower, as after the restore of a
// backup. A step is a revision, or reading the whole again.
//
//	before    an acceptance       what etcd has now                  served now
//	nothing   any                 any                                what etcd has
//	etcd's    newer than before   any                                what etcd has
//	etcd's    not newer           lacks more than half of the names  as before: held
//	                              and at least 100, or the zone
//	etcd's    not newer           more                               what etcd has
//	held      newer than before   any                                what etcd has
//	held      not newer           all names that are served          what etcd has
//	held      not newer           less                               as before: held
//
// What comes while a zone is held gathers in the slot, so that letting go shows
// what etcd has then.
func (s *slot) settle(before *slot, all stamp, from int64) {
	s.held = nil
	s.serve(before.zoneOrNil(), all)
	if before == nil || before.zone == nil || !before.zone.Readable() {
		return
	}
	was := held{at: from, value: stamp{before.mod, before.raw}, zone: before.zone}
	lost := s.losesMost
	if h := before.held; h != nil {
		was = *h
		was.at = min(h.at, from)
		lost = s.losesAny
	}
	if s.accept.mod > was.at || !lost(was.zone) {
		return
	}
	s.held, s.zone = &was, was.zone
}

// readable reports whether there is a zone of which a value could be read.
func (s *slot) readable() bool { return s.stored && s.conf != nil }

func (s *slot) losesMost(was *Zone) bool {
	if !s.readable() {
		return true
	}
	if was.names.stored < guardedNames {
		return false
	}
	lost, now := 0, s.gen(s.conf.Generation)
	for e := range was.names.t.unshared(now.t) {
		if e.is(stored) && !now.has(e.key()) {
			lost++
		}
	}
	return lost >= guardedNames && 2*lost > was.names.stored
}

func (s *slot) losesAny(was *Zone) bool {
	if !s.readable() {
		return true
	}
	now := s.gen(s.conf.Generation)
	for e := range was.names.t.unshared(now.t) {
		if e.is(stored) && !now.has(e.key()) {
			return true
		}
	}
	return false
}

func (s *names) has(rel string) bool {
	e, ok := s.t.find(rel)
	return ok && e.is(stored)
}

// resume goes on holding what was held when a snapshot was written: mark says since
// when, the slot what.
func (s *slot) resume(mark *held) {
	if mark == nil || s.zone == nil || !s.zone.Readable() {
		return
	}
	s.zone.setRevision(s.rev.mod) // not of the answers of all zones, which may have changed since
	s.held = &held{at: mark.at, value: stamp{s.mod, s.raw}, zone: s.zone}
}

// keepChoosing chooses among the addresses of hosts of a zone that is held as of any
// other: the guard is about names. The serial stays.
func (s *slot) keepChoosing(c *common, again func(names, *setting) names) {
	in := s.setting(c)
	in.incarnation = s.held.zone.conf.Incarnation
	z := *s.held.zone
	z.names = again(z.names, in)
	s.held.zone, s.zone = &z, &z
}

// withHeld is the list with what is true of a slot now.
func withHeld(list []Held, s *slot) []Held {
	list = slices.DeleteFunc(slices.Clone(list), func(h Held) bool { return h.Zone == s.name })
	if s.held != nil {
		h := Held{Zone: s.name, Since: s.held.at, Names: s.held.zone.names.stored, Gone: !s.readable()}
		if s.readable() {
			h.Left = s.gen(s.conf.Generation).stored
		}
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b Held) int { return model.CompareNames(a.Zone, b.Zone) })
	return list
}
