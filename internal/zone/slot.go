package zone

import (
	"slices"

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
	zone   *Zone // what is served; nil: there is no such zone
	held   *held // why that is not what the rest says; nil: it is
}

type generation struct {
	number uint64
	names  names
}

func (s *slot) key() string { return string(s.name) }

func (s *slot) empty() bool {
	return s.rev.mod == 0 && s.accept.mod == 0 && !s.stored && len(s.gens) == 0 && s.held == nil
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

func (s *slot) served() (names, bad int) {
	if s == nil || s.zone == nil {
		return 0, 0
	}
	if s.bad {
		bad = 1
	}
	return s.zone.names.stored, bad + s.zone.names.bad
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
	return yield(value.change(model.Key{Kind: model.ZoneKey, Zone: s.name})) && s.zone.eachKey(yield)
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
