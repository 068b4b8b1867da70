package zone

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"signpost/internal/model"
)

// remark is one thing that is said of a host, an endpoint, a site or everything: a key
// in etcd and what matters of its value.
type remark struct {
	kind           uint8 // a model.KeyKind
	verdict        uint8 // of a vote
	bad            bool  // the value cannot be read; the last good one is here
	broken         bool  // and there was none: it says nothing
	site, endpoint string
	stamp
	generation, term uint64
	word             *model.Word
}

// remarkOf is what a key says; keep makes strings that hold on to nothing else.
func remarkOf(c model.Change, keep func(string) string) remark {
	r := remark{kind: uint8(c.Key.Kind), site: keep(c.Key.Site), endpoint: keep(c.Key.Endpoint), stamp: stampOf(c)}
	switch {
	case c.Bad != nil:
		r.bad, r.broken = true, true
	case c.Vote != nil:
		r.generation, r.term, r.verdict = c.Vote.Generation, c.Vote.Term, uint8(c.Vote.Verdict)
	case c.Over != nil:
		r.generation = c.Over.Generation
	case c.Checker != nil:
		r.term = c.Checker.Term
	case c.Word != nil:
		r.word = c.Word
	}
	return r
}

func (r remark) is(k model.KeyKind) bool { return model.KeyKind(r.kind) == k }

func (r remark) compare(o remark) int {
	return cmp.Or(cmp.Compare(r.kind, o.kind), cmp.Compare(r.endpoint, o.endpoint), cmp.Compare(r.site, o.site))
}

// said is all that is said of one name, or of everything, in order. It never changes
// once it is in a view.
type said struct {
	name    string // relative; "" for what is said of everything
	remarks []remark
}

func (s *said) key() string { return s.name }

// take is after a change of one key. A value that cannot be read leaves the last good
// one in its place; without one it says nothing, as if it were not there.
func (s *said) take(c model.Change) *said {
	now := remarkOf(c, strings.Clone)
	n := &said{name: s.name}
	i, found := slices.BinarySearchFunc(s.remarks, now, remark.compare)
	switch {
	case c.Deleted && found:
		n.remarks = slices.Concat(s.remarks[:i], s.remarks[i+1:])
	case c.Deleted:
		n.remarks = s.remarks
	case found:
		n.remarks = slices.Clone(s.remarks)
		n.remarks[i] = now.after(s.remarks[i])
	default:
		n.remarks = slices.Concat(s.remarks[:i], []remark{now}, s.remarks[i:])
	}
	return n
}

// after is the remark with what was there before it in place of what cannot be read.
func (r remark) after(before remark) remark {
	if !r.bad || before.broken {
		return r
	}
	before.bad, before.mod = true, r.mod
	return before
}

// last is what an earlier view says in place of a remark that cannot be read.
func (s *said) last(r remark) remark {
	if s == nil {
		return r
	}
	if i, found := slices.BinarySearchFunc(s.remarks, r, remark.compare); found {
		return r.after(s.remarks[i])
	}
	return r
}

func (s *said) mod(k model.Key) int64 {
	r := remark{kind: uint8(k.Kind), site: k.Site, endpoint: k.Endpoint}
	if s != nil {
		if i, found := slices.BinarySearchFunc(s.remarks, r, remark.compare); found {
			return s.remarks[i].mod
		}
	}
	return 0
}

// counts is how many keys there are and how many of them cannot be read.
func (s *said) counts() (all, bad int) {
	if s == nil {
		return 0, 0
	}
	for _, r := range s.remarks {
		if r.bad {
			bad++
		}
	}
	return len(s.remarks), bad
}

// keys yields the keys, as View.All does.
func (s *said) keys(zone, name model.Name) iter.Seq[model.Change] {
	return func(yield func(model.Change) bool) {
		if s == nil {
			return
		}
		for _, r := range s.remarks {
			k := model.Key{Kind: model.KeyKind(r.kind), Zone: zone, Name: name, Site: r.site, Endpoint: r.endpoint}
			if !yield(r.change(k)) {
				return
			}
		}
	}
}

// words reports whether an operator has a word on the host or on an endpoint.
func (s *said) words() bool {
	return s != nil && slices.ContainsFunc(s.remarks, func(r remark) bool { return r.word != nil })
}

// common is what is said of everything: words on sites, checkers and the freeze, which
// changes no answer.
type common struct {
	*said
	sites    map[string]*model.Word
	checkers []model.Checker
}

// of is what is said; nil for nothing.
func (c *common) of() *said {
	if c == nil {
		return nil
	}
	return c.said
}

// take is after a change of one key.
func (c *common) take(change model.Change) *common {
	before := c.of()
	if before == nil {
		before = &said{}
	}
	return commonOf(before.take(change))
}

func commonOf(s *said) *common {
	c := &common{said: s, sites: map[string]*model.Word{}}
	for _, r := range s.remarks {
		switch {
		case r.broken:
		case r.is(model.CheckerKey):
			c.checkers = append(c.checkers, model.Checker{Site: r.site, Term: r.term})
		case r.is(model.SiteWordKey):
			c.sites[r.site] = r.word
		}
	}
	return c
}

// isCommon reports whether a key is about everything, isSaid whether about one name.
func isCommon(k model.KeyKind) bool {
	return k == model.CheckerKey || k == model.SiteWordKey || k == model.FreezeKey
}

func isSaid(k model.KeyKind) bool {
	return k == model.VoteKey || k == model.HostWordKey || k == model.EndpointWordKey || k == model.OverKey
}
