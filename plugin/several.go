package signpost

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/coredns/coredns/plugin/transfer"
	"github.com/miekg/dns"

	"signpost/internal/model"
)

// several is the directives of one server block, each with an etcd of its own. To the
// rest of CoreDNS, which knows one plugin of a name in each block, they are one.
type several struct {
	all    []*Signpost
	shares []share // the longest zone first
}

// share is one of the ZONES of a directive.
type share struct {
	zone model.Name
	of   *Signpost
}

func newSeveral(all []*Signpost) *several {
	m := &several{all: all}
	for _, s := range all {
		for _, z := range s.zones {
			m.shares = append(m.shares, share{z, s})
		}
	}
	slices.SortStableFunc(m.shares, func(a, b share) int {
		return cmp.Compare(dns.CountLabel(b.zone.String()), dns.CountLabel(a.zone.String()))
	})
	return m
}

// apart says what keeps directives of one block from being told apart.
func apart(all []options, bad func(string, ...any)) {
	owner := map[model.Name]int{}
	etcds := map[string]string{}
	for i, o := range all {
		for _, z := range o.zones {
			if was, ok := owner[z]; ok && was != i {
				bad("two signposts of one server block have %s; give each its own ZONES, for who answers must not depend on which etcd is there", z.Text())
			}
			owner[z] = i
		}
		key := o.settings.key()
		if was, ok := etcds[o.cluster]; ok && was != key {
			bad("two signposts of one server block follow different etcds; give each a name of its own: cluster NAME")
		}
		etcds[o.cluster] = key
		if o.sockets > 0 {
			alone(all, i, bad)
		}
	}
}

// alone says what keeps the i-th directive from answering in batches: it is not asked
// who else may know better.
func alone(all []options, i int, bad func(string, ...any)) {
	for j, other := range all {
		if j == i {
			continue
		}
		if other.sockets > 0 && j > i {
			bad("listen batch is given by two signposts of one server block; give it in one, or use a server block and an address for each")
		}
		for _, z := range other.zones {
			if slices.ContainsFunc(all[i].zones, z.Below) {
				bad("listen batch: %s of another signpost of the block lies inside; give it there, or leave it out", z.Text())
			}
		}
	}
}

// Name is the directive's.
func (m *several) Name() string { return pluginName }

// ServeDNS has the directive answer that has the longest of ZONES that contains the
// name, as CoreDNS chooses between server blocks:
//
//	the directive's state   its zone for the name   what happens
//	none                    unknown                 SERVFAIL
//	there                   there                   answered
//	there                   none                    the directive with the next longest
//	any                     the name, asked for DS  one with a zone above it, if any
//
// A directive without a state counts as having the zones that its ZONES name.
// What is nobody's goes to the next plugin.
func (m *several) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	s, at := m.place(&r.Question[0])
	if s == nil {
		return m.all[0].pass(ctx, w, r)
	}
	return s.serve(ctx, w, r, at)
}

func (m *several) place(q *dns.Question) (s *Signpost, at place) {
	name := model.NameOf(q.Name)
	for _, sh := range m.shares {
		if !name.In(sh.zone) {
			continue
		}
		p, ours := sh.of.place(q)
		apex := name == sh.zone && p.zone == nil || p.zone != nil && p.zone.Name() == name
		switch {
		case !ours:
		case q.Qtype != dns.TypeDS || !apex:
			return sh.of, p
		case s == nil: // DS is asked of the zone above
			s, at = sh.of, p
		}
	}
	return s, at
}

// Ready reports whether all are.
func (m *several) Ready() bool {
	return !slices.ContainsFunc(m.all, func(s *Signpost) bool { return !s.Ready() })
}

// CacheBypassZones is those of all.
func (m *several) CacheBypassZones() (out []string) {
	for _, s := range m.all {
		out = append(out, s.CacheBypassZones()...)
	}
	return out
}

// Transfer implements transfer.Transferer for the zones of all, by the same choice as
// for questions.
func (m *several) Transfer(name string, serial uint32) (<-chan []dns.RR, error) {
	n, err := model.ParseName(name)
	if err != nil {
		return nil, transfer.ErrNotAuthoritative
	}
	for _, sh := range m.shares {
		if !n.In(sh.zone) {
			continue
		}
		if out, err := sh.of.Transfer(name, serial); !errors.Is(err, transfer.ErrNotAuthoritative) {
			return out, err
		}
	}
	return nil, transfer.ErrNotAuthoritative
}
