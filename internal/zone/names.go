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
	draws  int // names of which each question may be answered otherwise
	chosen int // hosts whose addresses are chosen
	open   int // of them, those that fail open
	beside trie[*beside]
}

func (s *names) item(rel string) item {
	if e, ok := s.t.find(rel); ok {
		return e.item()
	}
	return item{key: rel}
}

// apply makes the state after a change of one key.
func (s names) apply(c model.Change, in *setting) names {
	rel := relative(c.Key.Name, s.zone)
	old := s.item(rel)
	now := read(c, old)
	var b *beside
	switch {
	case now.flags&bad != 0: // the last good value, if there was one, and what is beside it
		b, _ = s.beside.find(rel)
	case now.flags&stored != 0:
		now, b = in.chosen(now, c.Name)
	}
	s.keep(rel, b, now.flags&bad == 0)
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

// read is the item of a name after a change of its key, without the record sets of a
// value that can be read; old is the item before.
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
	}
	return it
}

func flagsOf(n *model.NameData) (f flags) {
	if n.Withdrawn {
		return 0
	}
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
	return f | plainHost(n)
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
	s.countChosen(it, by)
}

func (s *names) countChosen(it item, by int) {
	if it.flags&draws != 0 {
		s.draws += by
	}
	if it.flags&chooses != 0 {
		s.chosen += by
	}
	if it.flags&open != 0 {
		s.open += by
	}
}

// parentOf is a relative name without its first label; ok is false below the apex.
func parentOf(rel string) (parent string, ok bool) {
	i, end := dns.NextLabel(rel, 0)
	return rel[i:], !end
}
