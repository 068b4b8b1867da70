package zone

import (
	"iter"
	"slices"
	"strings"

	"signpost/internal/model"
)

// Build is the view of the whole state at a revision; all yields each key once. Of
// old, which may be nil, it takes last good values for those that cannot be read,
// and shares what is equal; what would take away most of a zone that it has is held
// back as in Apply. It fails only with an error from all.
func Build(rev int64, old *View, all iter.Seq2[model.Change, error]) (*View, error) {
	if old == nil {
		old = Empty(0)
	}
	b := building{old: old, slots: map[model.Name]*slot{}, gens: map[genKey]*loading{}, said: map[saidKey]*said{}, ids: map[string]string{}}
	for c, err := range all {
		if err != nil {
			return nil, err
		}
		b.add(c)
	}
	v := &View{rev: rev, all: b.all, common: b.settleSaid()}
	for k, l := range b.gens {
		s := b.slot(k.zone)
		before, _ := old.slots.find(string(k.zone))
		was := before.gen(k.number)
		s.setGen(k.number, l.built(&was, s.setting(v.common)))
	}
	for before := range old.slots.all() {
		if before.zone != nil {
			b.slot(before.name) // one that is gone is a loss to be guarded against
		}
	}
	var slots gathered[*slot]
	for _, s := range b.slots {
		before, _ := old.slots.find(string(s.name))
		mark := s.held
		s.settle(before, v.all, min(old.rev, rev))
		if s.held != nil {
			s.keepChoosing(v.common, names.rechosen)
		}
		s.resume(mark)
		if s.held != nil {
			v.held = withHeld(v.held, s)
		}
		if s.empty() {
			continue
		}
		v.counts.add(s.served(), +1)
		slots.add(s, hash(s.key()))
	}
	v.slots = slots.trie()
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
	said  map[saidKey]*said // of the zone "": of everything
	ids   map[string]string
}

type saidKey struct {
	zone model.Name
	name string
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
	case model.CheckerKey, model.SiteWordKey, model.FreezeKey:
		b.hear(saidKey{}, c)
	case model.VoteKey, model.HostWordKey, model.EndpointWordKey, model.OverKey:
		b.hear(saidKey{c.Key.Zone, relative(c.Key.Name, c.Key.Zone)}, c)
	}
}

func (b *building) hear(k saidKey, c model.Change) {
	if c.Deleted {
		return
	}
	of := b.said[k]
	if of == nil {
		of = &said{name: strings.Clone(k.name)}
		b.said[saidKey{k.zone, of.name}] = of
	}
	of.remarks = append(of.remarks, remarkOf(c, b.once))
}

// once is the same string for equal ones: there are few ids of sites and endpoints.
func (b *building) once(s string) string {
	if same, ok := b.ids[s]; ok {
		return same
	}
	s = strings.Clone(s)
	b.ids[s] = s
	return s
}

// settleSaid puts what is said into the slots and gives what is said of everything.
func (b *building) settleSaid() *common {
	var c *common
	zones := map[model.Name]*gathered[*said]{}
	for k, of := range b.said {
		before := b.old.common.of()
		if k != (saidKey{}) {
			s, _ := b.old.slots.find(string(k.zone))
			before = s.saidOf(k.name)
		}
		for i, r := range of.remarks {
			of.remarks[i] = before.last(r)
		}
		slices.SortFunc(of.remarks, remark.compare)
		if k == (saidKey{}) {
			c = commonOf(of)
			continue
		}
		if zones[k.zone] == nil {
			zones[k.zone] = &gathered[*said]{}
		}
		zones[k.zone].add(of, hash(of.name))
		b.slot(k.zone).count(of, +1)
	}
	for zone, all := range zones {
		b.slot(zone).said = all.trie()
	}
	return c
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
