package zone

import (
	"strings"

	"signpost/internal/model"
)

// loading gathers the names of a generation to build them at once.
type loading struct {
	names   names
	elems   gathered[entry]
	waiting []waiting       // hosts of which it must be chosen what is answered
	kin     map[string]*kin // names that have others below them, or borrow
	shared  int             // of elems, those that are as they were
	changed bool            // what is beside is not as it was
	arena   arena
	buf     []byte
	sets    []byte
}

type waiting struct {
	item
	data *model.NameData
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
	h := hash(rel)
	before, known := old.t.findHashed(rel, h)
	it := l.item(c, rel, before)
	l.names.count(it, +1)
	if d := toChoose(c, rel, h, old); d != nil {
		if c.Bad == nil {
			it.raw = string(c.Raw)
		}
		l.waiting = append(l.waiting, waiting{it, d})
		l.addKin(it, rel)
		return
	}
	if c.Bad == nil {
		l.sets = appendSets(l.sets[:0], c.Name.Sets(zoneTTL))
		l.buf = appendEntry(l.buf[:0], it, l.sets, c.Raw)
	} else {
		l.buf = appendEntry(l.buf[:0], it, it.sets, it.raw)
	}
	e := before
	if !known || string(l.buf) != string(before) {
		e = entry(l.arena.keep(l.buf))
	} else {
		l.shared++
	}
	l.elems.add(e, h)
	l.addKin(it, e.key())
}

func (l *loading) addKin(it item, rel string) {
	l.addAbove(rel)
	if it.flags&wildcard == 0 {
		return
	}
	if star, ok := l.names.starBelow(rel); ok {
		l.kinOf(star).borrows = true
		l.addAbove(star)
	}
}

// item is what a key says, of a value that can be read neither that nor its record sets;
// before is the entry until now, or "".
func (l *loading) item(c model.Change, rel string, before entry) item {
	if c.Bad == nil {
		return item{flags: stored | flagsOf(c.Name), mod: c.ModRevision, key: rel}
	}
	last := item{key: rel}
	if before != "" {
		last = before.item()
		last.children, last.flags = 0, last.flags&^(borrows|draws|chooses|open) // what is chosen is counted when it is
	}
	return read(c, last)
}

// toChoose is the value of a host of which it must be chosen what is answered, as far as
// is known before all that is said is there; nil for any other.
func toChoose(c model.Change, rel string, h uint64, old *names) *model.NameData {
	b, known := old.beside.findHashed(rel, h)
	switch {
	case c.Bad == nil && (known || !plain(c.Name)):
		return c.Name
	case c.Bad != nil && known:
		return b.data
	}
	return nil
}

// choose does that.
func (l *loading) choose(in *setting, old *names) {
	var besides gathered[*beside]
	same := 0
	for _, w := range l.waiting {
		it, b := in.chosen(w.item, w.data)
		l.names.countChosen(it, +1)
		h := hash(it.key)
		before, _ := old.t.findHashed(it.key, h)
		l.elems.add(l.kept(it.pack(), h, old), h)
		if b == nil {
			continue
		}
		if was, ok := old.beside.findHashed(it.key, h); ok && before.mod() == it.mod && before.raw() == it.raw && b.alike(was) {
			b = was
			same++
		} else {
			b.name = strings.Clone(it.key)
		}
		besides.add(b, h)
	}
	if same > 0 && same == besides.len() && same == old.beside.len() {
		l.names.beside = old.beside
		return
	}
	l.names.beside = besides.trie()
	l.changed = besides.len() > 0 || old.beside.len() > 0
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

// built is the names. They are old itself when nothing is otherwise there.
func (l *loading) built(old *names, in *setting) names {
	l.choose(in, old)
	if len(l.kin) > 0 {
		l.join(old)
	}
	if !l.changed && l.shared > 0 && l.shared == l.elems.len() && l.shared == old.t.len() {
		return *old
	}
	l.names.t = l.elems.trie()
	for of := range in.said.all() { // words on hosts of plain addresses
		if of.words() {
			l.names.rechoose(of.name, in)
		}
	}
	return l.names
}

// join says in the entries what they have below them, and adds those that exist only
// for that.
func (l *loading) join(old *names) {
	for _, part := range l.elems {
		for _, h := range part {
			if k := l.kin[h.elem.key()]; k != nil {
				k.stored = true
			}
			l.countChild(h.elem.key())
		}
	}
	for rel, k := range l.kin {
		if !k.stored {
			l.countChild(rel)
		}
	}
	for _, part := range l.elems {
		for i, h := range part {
			if k := l.kin[h.elem.key()]; k != nil {
				if before, _ := old.t.findHashed(h.elem.key(), h.hash); before == h.elem {
					l.shared--
				}
				part[i].elem = l.kept(k.onto(h.elem.item()), h.hash, old)
			}
		}
	}
	for rel, k := range l.kin {
		if !k.stored {
			h := hash(rel)
			l.elems.add(l.kept(k.onto(item{key: rel}), h, old), h)
		}
	}
}

// kept is e, or the entry until now when that is the same.
func (l *loading) kept(e entry, h uint64, old *names) entry {
	before, known := old.t.findHashed(e.key(), h)
	if !known || before != e {
		return e
	}
	l.shared++
	return before
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
