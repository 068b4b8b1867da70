package zone

import (
	"github.com/miekg/dns"

	"signpost/internal/model"
)

// names is every name below the apex of one generation of a zone. A copy is
// another state: the trie is shared.
type names struct {
	zone   model.Name
	t      trie[entry]
	stored int // names with a key
	bad    int // of them, those whose value cannot be read
	cuts   int // names that hide what is below them: delegations and DNAMEs
}

func (s *names) item(rel string) item {
	if e, ok := s.t.find(rel); ok {
		return e.item()
	}
	return item{key: rel}
}

// apply makes the state after a change of one key.
func (s names) apply(c model.Change) names {
	rel := relative(c.Key.Name, s.zone)
	old := s.item(rel)
	now := read(c, old)
	s.set(now)
	if (old.flags^now.flags)&wildcard != 0 {
		if star, ok := s.starBelow(rel); ok {
			it := s.item(star)
			it.flags = it.flags&^borrows | lent(now)
			s.set(it)
		}
	}
	return s
}

// read is the item of a name after a change of its key; old is the item before.
func read(c model.Change, old item) item {
	it := item{key: old.key, children: old.children, flags: old.flags & borrows}
	switch {
	case c.Deleted:
	case c.Bad != nil && old.flags&stored != 0 && old.flags&broken == 0:
		it = old
		it.flags |= bad
		it.mod = c.ModRevision
	case c.Bad != nil:
		it.flags |= stored | bad | broken
		it.mod, it.raw = c.ModRevision, string(c.Raw)
	default:
		it.flags |= stored | flagsOf(c.Name)
		it.mod, it.raw = c.ModRevision, string(c.Raw)
		it.sets = packSets(c.Name.Sets(zoneTTL))
	}
	return it
}

func flagsOf(n *model.NameData) (f flags) {
	for _, s := range n.RRsets {
		switch s.Type {
		case dns.TypeNS:
			f |= hasNS
		case dns.TypeDNAME:
			f |= hasDNAME
		case dns.TypeCNAME:
			f |= hasCNAME
		}
	}
	if n.Host != nil && n.Host.Wildcard {
		f |= wildcard
	}
	return f
}

func lent(host item) flags {
	if host.flags&wildcard != 0 {
		return borrows
	}
	return 0
}

// starBelow is the "*." below a name; ok is false where that would be too long for
// a domain name, and nothing can be asked that it would match.
func (s *names) starBelow(rel string) (star string, ok bool) {
	star = "*." + rel
	_, err := model.ParseName(absolute(star, s.zone))
	return star, err == nil
}

// set puts an item in its place, and the empty non-terminals above it in theirs.
func (s *names) set(it item) {
	old := s.item(it.key)
	s.count(old, -1)
	s.count(it, +1)
	if it.exists() {
		s.t = s.t.with(it.pack())
	} else {
		s.t = s.t.without(it.key)
	}
	if it.exists() == old.exists() {
		return
	}
	parent, ok := parentOf(it.key)
	if !ok {
		return
	}
	p := s.item(parent)
	if it.exists() {
		p.children++
	} else {
		p.children--
	}
	s.set(p)
}

func (s *names) count(it item, by int) {
	if it.flags&stored != 0 {
		s.stored += by
	}
	if it.flags&bad != 0 {
		s.bad += by
	}
	if it.flags&(hasNS|hasDNAME) != 0 {
		s.cuts += by
	}
}

// parentOf is a relative name without its first label; ok is false below the apex.
func parentOf(rel string) (parent string, ok bool) {
	i, end := dns.NextLabel(rel, 0)
	return rel[i:], !end
}

// loading gathers the names of a generation to build them at once.
type loading struct {
	names names
	elems []hashed[entry]
	kin   map[string]*kin // names that have others below them, or borrow
}

type kin struct {
	children uint32
	borrows  bool
	stored   bool
}

// add takes a key, each at most once. old is what was kept of the generation until
// now, for last good values; what is equal is shared with it.
func (l *loading) add(c model.Change, old *names) {
	if c.Deleted {
		return
	}
	rel := relative(c.Key.Name, l.names.zone)
	before, known := old.t.find(rel)
	last := item{key: rel}
	if known {
		last = before.item()
		last.children, last.flags = 0, last.flags&^borrows
	}
	it := read(c, last)
	l.names.count(it, +1)
	e := it.pack()
	if known && e == before {
		e = before
	}
	l.elems = append(l.elems, hashed[entry]{hash(e.key()), e})
	l.addAbove(e.key())
	if !e.is(wildcard) {
		return
	}
	if star, ok := l.names.starBelow(rel); ok {
		l.kinOf(star).borrows = true
		l.addAbove(star)
	}
}

func (l *loading) kinOf(rel string) *kin {
	k := l.kin[rel]
	if k == nil {
		k = &kin{}
		l.kin[rel] = k
	}
	return k
}

func (l *loading) addAbove(rel string) {
	for p, ok := parentOf(rel); ok && l.kin[p] == nil; p, ok = parentOf(p) {
		l.kin[p] = &kin{}
	}
}

func (l *loading) built() names {
	for _, h := range l.elems {
		if k := l.kin[h.elem.key()]; k != nil {
			k.stored = true
		}
		l.countChild(h.elem.key())
	}
	for rel, k := range l.kin {
		if !k.stored {
			l.countChild(rel)
		}
	}
	for i, h := range l.elems {
		if k := l.kin[h.elem.key()]; k != nil {
			l.elems[i].elem = k.onto(h.elem.item())
		}
	}
	for rel, k := range l.kin {
		if !k.stored {
			l.elems = append(l.elems, hashed[entry]{hash(rel), k.onto(item{key: rel})})
		}
	}
	l.names.t = trieOf(l.elems)
	return l.names
}

func (l *loading) countChild(rel string) {
	if p, ok := parentOf(rel); ok {
		l.kin[p].children++
	}
}

func (k *kin) onto(it item) entry {
	it.children = k.children
	if k.borrows {
		it.flags |= borrows
	}
	return it.pack()
}
