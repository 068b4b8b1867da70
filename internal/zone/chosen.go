package zone

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// beside is what is kept of a host whose addresses are chosen, beside its entry, which
// holds what is chosen as its A and AAAA. Most hosts have nothing but plain addresses:
// of them there is only the entry.
type beside struct {
	name string
	data *model.NameData
	ttl  uint32 // as in an entry: that of the addresses, and the most that one of NODATA may be
	draw int    // of how many lots a question draws; 0: nothing is drawn
	lots [2][]lot
}

func (b *beside) key() string { return b.name }

// alike reports whether both say the same for values of the same revision.
func (b *beside) alike(o *beside) bool {
	return b.ttl == o.ttl && b.draw == o.draw && slices.Equal(b.lots[0], o.lots[0]) && slices.Equal(b.lots[1], o.lots[1])
}

// setting is what choosing in a zone depends on besides the values of its names.
type setting struct {
	incarnation uint64
	said        trie[*said]
	common      *common
	last        Said // room for the next
}

// of is all that is said of a name, until it is called again.
func (in *setting) of(rel string) *Said {
	out := &in.last
	*out = Said{Incarnation: in.incarnation, Votes: out.Votes[:0]}
	if in.common != nil {
		out.Sites, out.Checkers = in.common.sites, in.common.checkers
	}
	s, ok := in.said.find(rel)
	if !ok {
		return out
	}
	for _, r := range s.remarks {
		switch {
		case r.broken:
		case r.is(model.VoteKey):
			out.Votes = append(out.Votes, model.Vote{
				Site: r.site, Endpoint: r.endpoint, Generation: r.generation, Term: r.term, Verdict: model.Verdict(r.verdict),
			})
		case r.is(model.HostWordKey):
			out.Host = r.word
		case r.is(model.EndpointWordKey):
			if out.Endpoints == nil {
				out.Endpoints = map[string]*model.Word{}
			}
			out.Endpoints[r.endpoint] = r.word
		case r.is(model.OverKey):
			if out.Overs == nil {
				out.Overs = map[string]*model.Over{}
			}
			out.Overs[r.endpoint] = &model.Over{Generation: r.generation}
		}
	}
	return out
}

// plain reports whether a value alone says what is answered: it has no host, or one of
// nothing but plain addresses.
func plain(d *model.NameData) bool {
	h := d.Host
	if h == nil || d.Withdrawn {
		return true
	}
	return !h.Checked && len(h.Policy.Fallback) == 0 && !slices.ContainsFunc(d.RRsets, ofAddresses) &&
		!slices.ContainsFunc(h.Endpoints, func(e model.Endpoint) bool { return e.ID != model.MainEndpoint || e.Site != "" })
}

// ofAddresses reports whether a record set has addresses, which beside a host nobody but
// etcdctl puts: an entry could not tell them from the host's.
func ofAddresses(s model.RRset) bool { return s.Type == dns.TypeA || s.Type == dns.TypeAAAA }

func plainHost(d *model.NameData) flags {
	if d.Withdrawn || len(d.Host.Addresses()) == 0 || !plain(d) {
		return 0
	}
	return hasHost
}

// words reports whether an operator has a word on a host or on an endpoint of it.
func (in *setting) words(rel string) bool {
	s, ok := in.said.find(rel)
	return ok && s.words()
}

// chosen gives an item the record sets that its value has, with the addresses that are
// chosen of its host, and what is to be kept beside: nil for one with nothing but plain
// addresses that no operator has a word on.
func (in *setting) chosen(it item, d *model.NameData) (item, *beside) {
	it.flags = it.flags&^(chooses|draws|open|hasHost) | plainHost(d)
	if plain(d) && (it.flags&hasHost == 0 || !in.words(it.key)) {
		it.sets = packSets(d.Sets(zoneTTL))
		return it, nil
	}
	c := Choose(d.Host, in.of(it.key))
	b := &beside{name: it.key, data: d, ttl: c.entryTTL(), draw: c.Draw, lots: lotsOf(d.Host, &c)}
	it.flags |= chooses
	if c.Source == FromFailOpen {
		it.flags |= open
	}
	if c.Draw > 0 && max(len(b.lots[0]), len(b.lots[1])) > c.Draw {
		it.flags |= draws
	}
	if len(d.RRsets) == 0 {
		it.sets = packAddresses(c.Addresses, b.ttl)
	} else {
		it.sets = packSets(d.SetsWith(c.Addresses, b.ttl))
	}
	return it, b
}

// entryTTL is the TTL as an entry has it.
func (c *Choice) entryTTL() uint32 {
	if c.own == 0 {
		return zoneTTL + c.most
	}
	return c.TTL(0)
}

// rechoose chooses again for a name after something else than its value has changed.
func (s *names) rechoose(rel string, in *setting) {
	e, ok := s.t.find(rel)
	if !ok || !e.is(hasHost|chooses) {
		return
	}
	old := e.item()
	now, b := in.chosen(old, s.dataOf(e))
	s.keep(rel, b, false)
	if now.flags == old.flags && now.sets == old.sets {
		return
	}
	s.count(old, -1)
	s.count(now, +1)
	s.t = s.t.with(now.pack())
}

// keep puts what is kept beside a name into its place; nil for nothing. It is new when
// the value is.
func (s *names) keep(rel string, b *beside, isNew bool) {
	old, ok := s.beside.find(rel)
	switch {
	case b == nil && ok:
		s.beside = s.beside.without(rel)
	case b == nil, ok && !isNew && b.alike(old):
	default:
		b.name = strings.Clone(rel) // not a part of an entry, which would stay for it
		s.beside = s.beside.with(b)
	}
}

// dataOf is the value of a host. Of one that has nothing but plain addresses it is made
// from the entry.
func (s *names) dataOf(e entry) *model.NameData {
	if b, ok := s.beside.find(e.key()); ok {
		return b.data
	}
	main := model.Endpoint{ID: model.MainEndpoint}
	d := &model.NameData{Host: &model.Host{Wildcard: e.is(wildcard)}, ModRevision: e.mod()}
	for s := range setsIn(e.sets()) {
		set := model.RRset{Type: s.typ, TTL: s.ttl}
		for r := range s.records() {
			if a, ok := netip.AddrFromSlice([]byte(r)); ok && (s.typ == dns.TypeA || s.typ == dns.TypeAAAA) {
				main.Addresses = append(main.Addresses, a)
			}
			set.Data = append(set.Data, []byte(r))
		}
		switch {
		case s.typ != dns.TypeA && s.typ != dns.TypeAAAA:
			d.RRsets = append(d.RRsets, set)
		case s.ttl != zoneTTL:
			d.Host.TTL = s.ttl
		}
	}
	d.Host.Endpoints = []model.Endpoint{main}
	return d
}

// moved is what has changed of what is said of everything.
type moved struct {
	sites, checkers map[string]bool
}

func (m *moved) take(k model.Key) {
	if m.sites == nil {
		m.sites, m.checkers = map[string]bool{}, map[string]bool{}
	}
	switch k.Kind {
	case model.SiteWordKey:
		m.sites[k.Site] = true
	case model.CheckerKey:
		m.checkers[k.Site] = true
	}
}

func (m *moved) any() bool { return len(m.sites)+len(m.checkers) > 0 }

// concerns reports whether the choice for a host may be another one.
func (m *moved) concerns(h *model.Host) bool {
	if h.Checked {
		for site := range m.checkers {
			if judges(h, site) {
				return true
			}
		}
	}
	return len(m.sites) > 0 && slices.ContainsFunc(h.Endpoints, func(e model.Endpoint) bool { return m.sites[e.Site] })
}

// rechooseFor chooses again for all names that what has moved concerns, in one go.
func (s names) rechooseFor(m *moved, in *setting) names {
	var entries []hashed[entry]
	var besides []hashed[*beside]
	for b := range s.beside.all() {
		if !m.concerns(b.data.Host) {
			continue
		}
		h := hash(b.name)
		e, _ := s.t.findHashed(b.name, h)
		old := e.item()
		now, also := in.chosen(old, b.data) // there is one: hosts of plain addresses are not concerned
		if !also.alike(b) {
			also.name = b.name
			besides = append(besides, hashed[*beside]{h, also})
		}
		if now.flags != old.flags || now.sets != old.sets {
			s.count(old, -1)
			s.count(now, +1)
			entries = append(entries, hashed[entry]{h, now.pack()})
		}
	}
	s.t, s.beside = s.t.replaced(entries), s.beside.replaced(besides)
	return s
}

// rechosen chooses again for all names for which it may come out otherwise.
func (s names) rechosen(in *setting) names {
	for b := range s.beside.all() {
		s.rechoose(b.name, in)
	}
	for of := range in.said.all() {
		s.rechoose(of.name, in)
	}
	return s
}
