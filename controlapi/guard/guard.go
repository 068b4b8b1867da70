// Package guard answers one question: would a change take away the last endpoint of a host
// that is up? It refuses that unless the caller says that they mean it.
package guard

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	stand "signpost/internal/standing"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// The last endpoint that is offered is taken away only by who says that they mean it.
// What a host would be left with is chosen as its answers are:
//
//	of the host's endpoints                      before   after   needs to be confirmed
//	some look up to the checkers, or are put up  yes      no      yes
//	some are offered: not drained or put down    yes      no      yes
//	anything else                                any      any     no
//
// All that this rests on is compared at the commit, and it is committed alone, so that two
// who each leave the other's endpoint cannot pass each other. For a whole site one
// comparison stands for all: any change of any zone's answers makes it be decided again, on
// the hosts that changed.

// Alteration is what a change does to what is said.
type Alteration func(*zone.Said)

// Nothing is no alteration.
func Nothing(*zone.Said) {}

// OfEndpoint is that a word, nil for none, is said of an endpoint.
func OfEndpoint(id string, w *model.Word) Alteration {
	return func(s *zone.Said) {
		s.Endpoints = maps.Clone(s.Endpoints)
		if s.Endpoints == nil {
			s.Endpoints = map[string]*model.Word{}
		}
		s.Endpoints[id] = inZone(s, w)
	}
}

// OfHost is that a word, nil for none, is said of a host.
func OfHost(w *model.Word) Alteration { return func(s *zone.Said) { s.Host = inZone(s, w) } }

// inZone is a word as it will be stored; nil for none.
func inZone(s *zone.Said, w *model.Word) *model.Word {
	if w == nil {
		return nil
	}
	of := *w
	of.Incarnation = s.Incarnation
	return &of
}

func saidOfSite(site string, w *model.Word) Alteration {
	return func(s *zone.Said) {
		s.Sites = maps.Clone(s.Sites)
		if s.Sites == nil {
			s.Sites = map[string]*model.Word{}
		}
		s.Sites[site] = w
	}
}

// Host refuses a change that takes away the last endpoint of a host, unless it is
// confirmed. Errors: Precondition.
func Host(p *call.Plan, z *model.Zone, h store.Named, confirmed bool, alter Alteration, next *model.Host) error {
	if confirmed {
		return nil
	}
	p.Alone()
	said, err := stand.Of(p.Tx, z, h.Name)
	if err != nil {
		return err
	}
	last := takesLast(said, h.Data.Host, alter, next)
	if last == "" {
		return nil
	}
	return model.E(model.Precondition, string(p.Call.Action), h.Name.Text()).In("confirm_last").Because(last).
		Hint("offer another first, or say that you mean it: --confirm-last, or confirm_last")
}

// Cleared is Host for a change that takes the last address from an endpoint, and
// not from the only one: then that is what it is meant for. Machines tell with their own
// secrets where they are, and are not asked: an address that they have no more may be
// another's.
func Cleared(p *call.Plan, z *model.Zone, h store.Named, confirmed bool, next *model.Host) error {
	machine := p.Call.Who.Kind == access.HostSecret || p.Call.Who.Kind == access.EndpointSecret
	if machine || len(h.Data.Host.Endpoints) < 2 || addressed(next) >= addressed(h.Data.Host) {
		return nil
	}
	return Host(p, z, h, confirmed, Nothing, next)
}

// addressed is how many endpoints of a host have addresses.
func addressed(h *model.Host) (n int) {
	for i := range h.Endpoints {
		n += min(len(h.Endpoints[i].Addresses), 1)
	}
	return n
}

// takesLast is why a change takes away the last endpoint of a host; "" when it does not.
func takesLast(said *zone.Said, h *model.Host, alter Alteration, next *model.Host) string {
	then := *said
	alter(&then)
	before, after := zone.Choose(h, said), zone.Choose(next, &then)
	switch {
	case has(before, IsUp) && !has(after, IsUp) && !has(after, isOffered):
		return "no other endpoint of the host is offered"
	case has(before, IsUp) && !has(after, IsUp):
		return "no other endpoint of the host is up"
	case has(before, isOffered) && !has(after, isOffered):
		return "no other endpoint of the host is offered"
	}
	return ""
}

func has(c zone.Choice, what func(*zone.Standing) bool) bool {
	for i := range c.Endpoints {
		if what(&c.Endpoints[i]) {
			return true
		}
	}
	return false
}

// IsUp reports whether an endpoint is taken to be up.
func IsUp(s *zone.Standing) bool { return s.State == zone.Up || s.State == zone.Suspect }

func isOffered(s *zone.Standing) bool { return IsUp(s) || s.State == zone.Down && s.Word == nil }

// mostNamed is how many hosts a refusal names.
const mostNamed = 5

// Site is Host for all hosts that have an endpoint on a site.
func Site(p *call.Plan, seen *Seen, site string, confirmed bool, w *model.Word) error {
	return guardAll(p, seen, site, confirmed, saidOfSite(site, w), func(h *model.Host) bool {
		return slices.ContainsFunc(h.Endpoints, func(e model.Endpoint) bool { return e.Site == site })
	})
}

// Checker is Host for all hosts that a checker judges: of those that are left,
// more than half may say down of what is up now.
func Checker(p *call.Plan, seen *Seen, site string, confirmed bool) error {
	without := func(s *zone.Said) {
		s.Checkers = slices.DeleteFunc(slices.Clone(s.Checkers), func(k model.Checker) bool { return k.Site == site })
	}
	return guardAll(p, seen, site, confirmed, without, func(h *model.Host) bool { return facts.Judges(h, site) })
}

// Seen is what a try of a change has found out of all hosts, for the next one; at
// first nothing.
type Seen struct {
	rev  int64
	last map[store.HostAt]bool // those of which the last endpoint would be taken away
}

// guardAll is Host for all hosts that are concerned. When others change something
// meanwhile, it is decided again on what they have changed, or in a zone where much happens
// it would never come to its commit.
func guardAll(p *call.Plan, seen *Seen, site string, confirmed bool, alter Alteration, concerned func(*model.Host) bool) error {
	if confirmed {
		return nil
	}
	p.Alone()
	takes := func(said *zone.Said, h *model.Host) bool { return concerned(h) && takesLast(said, h, alter, h) != "" }
	err := p.OfZonesBelow(model.Root, func() error {
		rev, err := p.Revision()
		if err != nil {
			return err
		}
		if seen.last != nil {
			changed, known := p.ChangedSince(seen.rev)
			if known && !changed.Everywhere() && len(changed.Zones) == 0 {
				err := guardAgain(p, seen, changed.Hosts, takes)
				seen.rev = rev
				return err
			}
		}
		*seen = Seen{rev: rev, last: map[store.HostAt]bool{}}
		return guardEach(p, seen, takes)
	})
	if err != nil || len(seen.last) == 0 {
		return err
	}
	var named []string
	for at := range seen.last {
		named = append(named, at.Name.Text())
	}
	slices.Sort(named)
	text := strings.Join(named[:min(len(named), mostNamed)], ", ")
	if more := len(named) - mostNamed; more > 0 {
		text += " and " + strconv.Itoa(more) + " others"
	}
	return model.E(model.Precondition, string(p.Call.Action), site).In("confirm_last").Because("nothing else would be up of " + text).
		Hint("offer something elsewhere first, or say that you mean it: --confirm-last, or confirm_last")
}

// guardEach looks at all hosts.
func guardEach(p *call.Plan, g *Seen, takes func(*zone.Said, *model.Host) bool) error {
	said, err := stand.All(p.Tx)
	if err != nil {
		return err
	}
	zones, err := p.Zones("", 0)
	if err != nil {
		return err
	}
	for _, z := range zones {
		for n, err := range p.EachName(z, "") {
			if err != nil {
				return err
			}
			if n.Data.Host != nil && takes(said.Of(z, n.Name), n.Data.Host) {
				g.last[store.HostAt{Zone: z.Name, Name: n.Name}] = true
			}
		}
	}
	return nil
}

// guardAgain looks at those that have changed.
func guardAgain(p *call.Plan, g *Seen, changed []store.HostAt, takes func(*zone.Said, *model.Host) bool) error {
	for _, at := range changed {
		delete(g.last, at)
		z, err := p.Zone(at.Zone)
		if model.KindOf(err) == model.NotFound && err != nil {
			continue
		}
		if err != nil {
			return err
		}
		datas, err := p.Datas(z, at.Name)
		if err != nil {
			return err
		}
		if datas[0] == nil || datas[0].Host == nil {
			continue
		}
		said, err := stand.Of(p.Tx, z, at.Name)
		if err != nil {
			return err
		}
		if takes(said, datas[0].Host) {
			g.last[at] = true
		}
	}
	return nil
}
