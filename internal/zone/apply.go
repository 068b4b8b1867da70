package zone

import "signpost/internal/model"

// Apply is the view after the changes of one revision. It shares with v all that
// does not change. A value that cannot be read leaves its last good one in place;
// without one its name, or zone, answers SERVFAIL. Names of a generation that is
// not in use are kept aside: none is answered, and a zone's switch to another
// generation costs no more than any change. What would take away most of a zone is
// held back: see guard.go. For names of which something is said, or that something
// concerns which is said of everything, it is chosen again what is answered.
func (v *View) Apply(rev int64, changes []model.Change) *View {
	n := *v
	n.rev = rev
	st := step{n: &n, touched: map[model.Name]*touched{}}
	for _, c := range changes {
		st.take(c)
	}
	for _, c := range changes { // now that it is known what choosing depends on
		if c.Key.Kind == model.NameKey {
			s := st.touch(c.Key.Zone)
			s.setGen(c.Key.Generation, s.gen(c.Key.Generation).apply(c, s.setting(n.common)))
		}
	}
	for _, s := range st.touched {
		st.choose(s)
		st.replace(s, v.rev)
	}
	return &n
}

// step is a view on its way from one revision to the next.
type step struct {
	n       *View
	touched map[model.Name]*touched
	moved   moved
}

// touched is a slot that changes, and those of its names of which something else is said.
type touched struct {
	*slot
	before *slot
	again  map[string]bool
}

func (s *touched) chooseAgain(rel string) {
	if s.again == nil {
		s.again = map[string]bool{}
	}
	s.again[rel] = true
}

// take takes a change of any key but a name's.
func (st *step) take(c model.Change) {
	switch k := c.Key; {
	case k.Kind == model.AllRevKey:
		st.n.all = stampOf(c)
		st.touchAll()
	case isCommon(k.Kind):
		st.n.common = st.n.common.take(c)
		st.moved.take(k)
		st.touchAll()
	case isSaid(k.Kind):
		s, rel := st.touch(k.Zone), relative(k.Name, k.Zone)
		s.hear(rel, c)
		s.chooseAgain(rel)
	case k.Kind == model.ZoneKey:
		st.touch(k.Zone).setValue(c)
	case k.Kind == model.ZoneRevKey:
		st.touch(k.Zone).rev = stampOf(c)
	case k.Kind == model.AcceptKey:
		st.touch(k.Zone).accept = stampOf(c)
	}
}

// choose chooses again in all generations of a slot where that may come out otherwise.
func (st *step) choose(s *touched) {
	in := s.setting(st.n.common)
	if s.before != nil && s.before.setting(nil).incarnation != in.incarnation {
		for of := range s.said.all() { // words may count, or count no more
			s.chooseAgain(of.name)
		}
	}
	if len(s.again) > 0 || st.moved.any() {
		for _, g := range s.gens {
			s.setGen(g.number, st.chosen(g.names, s.again, in))
		}
	}
}

func (st *step) chosen(n names, again map[string]bool, in *setting) names {
	for rel := range again {
		n.rechoose(rel, in)
	}
	if st.moved.any() {
		n = n.rechooseFor(&st.moved, in)
	}
	return n
}

func stampOf(c model.Change) stamp {
	if c.Deleted {
		return stamp{}
	}
	return stamp{c.ModRevision, string(c.Raw)}
}

// touch gives a slot of one's own to change.
func (st *step) touch(zone model.Name) *touched {
	if s := st.touched[zone]; s != nil {
		return s
	}
	s := &touched{slot: &slot{name: zone}}
	if old, ok := st.n.slots.find(string(zone)); ok {
		*s.slot, s.before = *old, old
	}
	st.touched[zone] = s
	return s
}

func (st *step) touchAll() {
	for s := range st.n.slots.all() {
		st.touch(s.name)
	}
}

// replace puts a slot into its place; from is the revision of the view before.
func (st *step) replace(t *touched, from int64) {
	v, s := st.n, t.slot
	v.counts.add(t.before.served(), -1)
	s.settle(t.before, v.all, min(from, v.rev))
	if s.held != nil && (len(t.again) > 0 || st.moved.any()) {
		s.keepChoosing(v.common, func(n names, in *setting) names { return st.chosen(n, t.again, in) })
	}
	v.counts.add(s.served(), +1)
	if s.held != nil || t.before != nil && t.before.held != nil {
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
