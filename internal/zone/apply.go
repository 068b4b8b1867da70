package zone

import (
	"iter"

	"signpost/internal/model"
)

// Apply is the view after the changes of one revision. It shares with v all that
// does not change. A value that cannot be read leaves its last good one in place;
// without one its name, or zone, answers SERVFAIL. Names of a generation that is
// not in use are kept aside: none is answered, and a zone's switch to another
// generation costs no more than any change. What would take away most of a zone is
// held back: see guard.go.
func (v *View) Apply(rev int64, changes []model.Change) *View {
	n := *v
	n.rev = rev
	touched := map[model.Name]*slot{}
	for _, c := range changes {
		if c.Key.Kind == model.AllRevKey {
			n.all = stampOf(c)
			n.touchAll(touched)
			continue
		}
		s := n.touch(touched, c.Key.Zone)
		switch c.Key.Kind {
		case model.ZoneKey:
			s.setValue(c)
		case model.ZoneRevKey:
			s.rev = stampOf(c)
		case model.AcceptKey:
			s.accept = stampOf(c)
		case model.NameKey:
			s.setGen(c.Key.Generation, s.gen(c.Key.Generation).apply(c))
		}
	}
	for _, s := range touched {
		n.replace(s, v.rev)
	}
	return &n
}

func stampOf(c model.Change) stamp {
	if c.Deleted {
		return stamp{}
	}
	return stamp{c.ModRevision, string(c.Raw)}
}

// touch gives a slot of one's own to change.
func (v *View) touch(touched map[model.Name]*slot, zone model.Name) *slot {
	if s := touched[zone]; s != nil {
		return s
	}
	s := &slot{name: zone}
	if old, ok := v.slots.find(string(zone)); ok {
		*s = *old
	}
	touched[zone] = s
	return s
}

func (v *View) touchAll(touched map[model.Name]*slot) {
	for s := range v.slots.all() {
		v.touch(touched, s.name)
	}
}

// replace puts a slot into its place; from is the revision of the view before.
func (v *View) replace(s *slot, from int64) {
	before, _ := v.slots.find(string(s.name))
	names, bad := before.served()
	v.names, v.bad = v.names-names, v.bad-bad
	s.settle(before, v.all, min(from, v.rev))
	names, bad = s.served()
	v.names, v.bad = v.names+names, v.bad+bad
	if s.held != nil || before != nil && before.held != nil {
		v.held = withHeld(v.held, s)
	}
	if s.empty() {
		v.slots = v.slots.without(string(s.name))
		return
	}
	v.slots = v.slots.with(s)
}

func (s *slot) zoneOrNil() *Zone {
	if s == nil {
		return nil
	}
	return s.zone
}

// Build is the view of the whole state at a revision; all yields each key once. Of
// old, which may be nil, it takes last good values for those that cannot be read,
// and shares what is equal; what would take away most of a zone that it has is held
// back as in Apply. It fails only with an error from all.
func Build(rev int64, old *View, all iter.Seq2[model.Change, error]) (*View, error) {
	if old == nil {
		old = Empty(0)
	}
	b := building{old: old, slots: map[model.Name]*slot{}, gens: map[genKey]*loading{}}
	for c, err := range all {
		if err != nil {
			return nil, err
		}
		b.add(c)
	}
	v := &View{rev: rev, all: b.all}
	for k, l := range b.gens {
		s := b.slot(k.zone)
		s.setGen(k.number, l.built())
	}
	for before := range old.slots.all() {
		if before.zone != nil {
			b.slot(before.name) // one that is gone is a loss to be guarded against
		}
	}
	elems := make([]hashed[*slot], 0, len(b.slots))
	for _, s := range b.slots {
		before, _ := old.slots.find(string(s.name))
		mark := s.held
		s.settle(before, v.all, min(old.rev, rev))
		s.resume(mark)
		if s.held != nil {
			v.held = withHeld(v.held, s)
		}
		if s.empty() {
			continue
		}
		names, bad := s.served()
		v.names, v.bad = v.names+names, v.bad+bad
		elems = append(elems, hashed[*slot]{hash(s.key()), s})
	}
	v.slots = trieOf(elems)
	return v, nil
}

type building struct {
	old   *View
	all   stamp
	slots map[model.Name]*slot
	gens  map[genKey]*loading
	last  genKey // and its loading: names come zone by zone
	into  *loading
	from  names
}

type genKey struct {
	zone   model.Name
	number uint64
}

func (b *building) slot(zone model.Name) *slot {
	s := b.slots[zone]
	if s == nil {
		s = &slot{name: zone}
		b.slots[zone] = s
	}
	return s
}

func (b *building) add(c model.Change) {
	switch c.Key.Kind {
	case model.AllRevKey:
		b.all = stampOf(c)
	case model.ZoneRevKey:
		b.slot(c.Key.Zone).rev = stampOf(c)
	case model.AcceptKey:
		b.slot(c.Key.Zone).accept = stampOf(c)
	case model.HeldKey:
		b.slot(c.Key.Zone).held = &held{at: c.ModRevision}
	case model.ZoneKey:
		s := b.slot(c.Key.Zone)
		if before, ok := b.old.slots.find(string(s.name)); ok && c.Bad != nil && before.conf != nil {
			s.stored, s.conf, s.raw, s.mod = true, before.conf, before.raw, before.mod
		}
		s.setValue(c)
	case model.NameKey:
		k := genKey{c.Key.Zone, c.Key.Generation}
		if b.into == nil || b.last != k {
			b.turnTo(k)
		}
		b.into.add(c, &b.from)
	}
}

func (b *building) turnTo(k genKey) {
	l := b.gens[k]
	if l == nil {
		l = &loading{names: names{zone: k.zone}, kin: map[string]*kin{}}
		b.gens[k] = l
	}
	before, _ := b.old.slots.find(string(k.zone))
	b.last, b.into, b.from = k, l, before.gen(k.number)
}
