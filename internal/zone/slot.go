package zone

import (
	"slices"
	"strings"

	"signpost/internal/model"
)

// slot is everything under one zone's name: its value, its generations of names,
// in use or not yet or no longer, and the key that stands for its answers. It never
// changes once it hangs in a view.
type slot struct {
	name   model.Name
	rev    stamp
	accept stamp
	raw    string      // the zone's value, the last good one if there was one
	mod    int64       // of the value, also of one that cannot be read
	conf   *model.Zone // nil: there is no value, or never a good one
	stored bool        // there is a value
	bad    bool        // which cannot be read
	gens   []generation
	said   trie[*said] // of its names, in any generation
	keys   int         // in said
	unread int         // of them, those that cannot be read
	zone   *Zone       // what is served; nil: there is no such zone
	held   *held       // why that is not what the rest says; nil: it is
}

type generation struct {
	number uint64
	names  names
}

func (s *slot) key() string { return string(s.name) }

// setting is what choosing in this zone depends on.
func (s *slot) setting(c *common) *setting {
	in := &setting{said: s.said, common: c}
	if s.conf != nil {
		in.incarnation = s.conf.Incarnation
	}
	return in
}

// hear takes a change of what is said of a name.
func (s *slot) hear(rel string, c model.Change) {
	before, ok := s.said.find(rel)
	if !ok {
		before = &said{name: strings.Clone(rel)}
	}
	now := before.take(c)
	s.count(before, -1)
	s.count(now, +1)
	if len(now.remarks) == 0 {
		s.said = s.said.without(rel)
		return
	}
	s.said = s.said.with(now)
}

// saidOf is what is said of a name; nil: nothing.
func (s *slot) saidOf(rel string) *said {
	if s == nil {
		return nil
	}
	of, _ := s.said.find(rel)
	return of
}

func (s *slot) count(what *said, by int) {
	keys, bad := what.counts()
	s.keys += by * keys
	s.unread += by * bad
}

func (s *slot) empty() bool {
	return s.rev.mod == 0 && s.accept.mod == 0 && !s.stored && len(s.gens) == 0 && s.keys == 0 && s.held == nil
}

// gen gives the names of a generation; none are the names of one unheard of.
func (s *slot) gen(number uint64) names {
	if s != nil {
		for _, g := range s.gens {
			if g.number == number {
				return g.names
			}
		}
	}
	return names{zone: s.nameOr("")}
}

func (s *slot) nameOr(none model.Name) model.Name {
	if s == nil {
		return none
	}
	return s.name
}

func (s *slot) setGen(number uint64, n names) {
	gens := slices.DeleteFunc(slices.Clone(s.gens), func(g generation) bool { return g.number == number })
	if n.stored > 0 {
		gens = append(gens, generation{number, n})
	}
	s.gens = gens
}

// setValue takes a change of the zone's key. A value that cannot be read leaves the
// last good one in its place.
func (s *slot) setValue(c model.Change) {
	switch {
	case c.Deleted:
		s.stored, s.bad, s.conf, s.raw, s.mod = false, false, nil, "", 0
	case c.Bad != nil && s.conf != nil:
		s.bad, s.mod = true, c.ModRevision
	default:
		s.stored, s.bad, s.conf, s.raw, s.mod = true, c.Bad != nil, c.Zone, string(c.Raw), c.ModRevision
	}
}

// serve makes s.zone what the rest of the slot says; before is the zone served
// until now, whose apex is kept when the value is the same.
func (s *slot) serve(before *Zone, all stamp) {
	switch {
	case !s.stored:
		s.zone = nil
		return
	case s.conf == nil:
		s.zone = &Zone{name: s.name, apex: item{}.pack()}
		return
	case before != nil && before.conf == s.conf:
		z := *before
		s.zone = &z
	default:
		s.zone = newZone(s.conf)
	}
	s.zone.names = s.gen(s.conf.Generation)
	s.zone.setRevision(max(s.rev.mod, all.mod))
}

// counts is how much there is in a view, or in what is served of a zone.
type counts struct {
	names, bad   int
	chosen, open int // as in names
}

func (c *counts) add(o counts, by int) {
	c.names += by * o.names
	c.bad += by * o.bad
	c.chosen += by * o.chosen
	c.open += by * o.open
}

func (s *slot) served() counts {
	if s == nil || s.zone == nil {
		return counts{}
	}
	n := &s.zone.names
	c := counts{names: n.stored, bad: n.bad + s.unread, chosen: n.chosen, open: n.open}
	if s.bad {
		c.bad++
	}
	return c
}

// each yields the live keys, as View.All does.
func (s *slot) each(yield func(model.Change) bool) bool {
	if s.accept.mod != 0 && !yield(s.accept.change(model.Key{Kind: model.AcceptKey, Zone: s.name})) {
		return false
	}
	rev, value := s.rev, stamp{s.mod, s.raw}
	if h := s.held; h != nil {
		rev, value = stamp{mod: h.zone.rev}, h.value
		if !yield((stamp{mod: h.at}).change(model.Key{Kind: model.HeldKey, Zone: s.name})) {
			return false
		}
	}
	if rev.mod != 0 && !yield(rev.change(model.Key{Kind: model.ZoneRevKey, Zone: s.name})) {
		return false
	}
	if s.zone == nil {
		return true
	}
	return yield(value.change(model.Key{Kind: model.ZoneKey, Zone: s.name})) && s.zone.eachKey(yield) && s.eachSaid(yield)
}

func (s *slot) eachSaid(yield func(model.Change) bool) bool {
	for of := range s.said.all() {
		for c := range of.keys(s.name, model.Name(absolute(of.name, s.name))) {
			if !yield(c) {
				return false
			}
		}
	}
	return true
}

// eachKey yields the keys of the zone's names.
func (z *Zone) eachKey(yield func(model.Change) bool) bool {
	if z.conf == nil {
		return true
	}
	for e := range z.names.t.all() {
		if !e.is(stored) {
			continue
		}
		k := model.Key{Kind: model.NameKey, Zone: z.name, Generation: z.conf.Generation, Name: model.Name(absolute(e.key(), z.name))}
		if !yield((stamp{e.mod(), e.raw()}).change(k)) {
			return false
		}
	}
	return true
}
