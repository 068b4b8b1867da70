// Package monitor answers one question: what is the checker of a site to try, and what is
// it to tell of that?
package monitor

import (
	"iter"

	"signpost/internal/model"
)

// Host names a host.
type Host struct{ Zone, Name model.Name }

// Endpoint names an endpoint of a host.
type Endpoint struct {
	Host
	ID string
}

// scene is what etcd says, as far as it matters to the checker of one site.
type scene struct {
	site    string
	zones   map[model.Name]current
	hosts   map[numbered]*model.Host  // with a check and not withdrawn, of any generation
	checks  map[numbered]*model.Check // of any incarnation
	votes   map[Endpoint]model.Vote   // of this site
	checker *model.Checker            // of this site; nil: not registered
	removed bool                      // somebody has removed it
	frozen  bool

	touched map[Host]struct{}     // what is to be checked there may be another
	spoken  map[Endpoint]struct{} // what etcd has of our vote may be another
	loaded  bool
}

// current is which numbers of a zone count.
type current struct{ generation, incarnation uint64 }

// numbered is a host in a generation or an incarnation of its zone.
type numbered struct {
	Host
	number uint64
}

func newScene(site string) *scene {
	return &scene{
		site: site, zones: map[model.Name]current{}, hosts: map[numbered]*model.Host{}, checks: map[numbered]*model.Check{},
		votes: map[Endpoint]model.Vote{}, touched: map[Host]struct{}{}, spoken: map[Endpoint]struct{}{},
	}
}

// whole is a state as it is being read, and the keys whose values cannot be.
type whole struct {
	*scene
	bad []model.Key
}

// readWhole reads a state to its end.
func readWhole(site string, all iter.Seq2[model.Change, error]) (whole, error) {
	w := whole{scene: newScene(site)}
	for c, err := range all {
		switch {
		case err != nil:
			return whole{}, err
		case c.Bad != nil:
			w.bad = append(w.bad, c.Key)
		default:
			w.take(c)
		}
	}
	return w, nil
}

// load takes a whole state, of a revision. What was written since is newer.
func (s *scene) load(w whole, rev int64) {
	next := w.scene
	for _, k := range w.bad {
		next.keep(s, k)
	}
	for e, v := range s.votes {
		if v.ModRevision > rev {
			next.votes[e] = v
		}
	}
	next.touched, next.spoken, next.loaded = s.touched, s.spoken, true
	next.removed = next.checker == nil && (s.checker != nil || s.removed)
	for _, of := range []*scene{s, next} { // with what was there before
		for n := range of.hosts {
			next.touched[n.Host] = struct{}{}
		}
		for e := range of.votes {
			next.spoken[e] = struct{}{}
		}
	}
	*s = *next
}

// keep takes over the last good value of one that cannot be read.
func (s *scene) keep(old *scene, k model.Key) {
	host := Host{k.Zone, k.Name}
	switch k.Kind {
	case model.ZoneKey:
		if z, ok := old.zones[k.Zone]; ok {
			s.zones[k.Zone] = z
		}
	case model.NameKey:
		if h := old.hosts[numbered{host, k.Generation}]; h != nil {
			s.hosts[numbered{host, k.Generation}] = h
		}
	case model.CheckKey:
		if c := old.checks[numbered{host, k.Generation}]; c != nil {
			s.checks[numbered{host, k.Generation}] = c
		}
	case model.VoteKey:
		if v, ok := old.votes[Endpoint{host, k.Endpoint}]; ok && k.Site == s.site {
			s.votes[Endpoint{host, k.Endpoint}] = v
		}
	case model.CheckerKey:
		if k.Site == s.site {
			s.checker = old.checker
		}
	case model.FreezeKey:
		s.frozen = true // somebody has said something there
	}
}

// take takes one change. A value that cannot be read changes nothing, but for the freeze
// switch: whatever is written there, it is on.
func (s *scene) take(c model.Change) {
	if c.Bad != nil && c.Key.Kind != model.FreezeKey {
		return
	}
	host := Host{c.Key.Zone, c.Key.Name}
	switch c.Key.Kind {
	case model.ZoneKey:
		s.takeZone(c)
	case model.NameKey:
		at := numbered{host, c.Key.Generation}
		if c.Deleted || c.Name == nil || c.Name.Withdrawn || c.Name.Host == nil || !c.Name.Host.Checked {
			if s.hosts[at] == nil {
				return
			}
			delete(s.hosts, at)
		} else {
			s.hosts[at] = c.Name.Host
		}
		s.touched[host] = struct{}{}
	case model.CheckKey:
		s.takeCheck(numbered{host, c.Key.Generation}, c)
	case model.VoteKey:
		if c.Key.Site == s.site {
			s.takeVote(Endpoint{host, c.Key.Endpoint}, c)
		}
	case model.CheckerKey:
		if c.Key.Site == s.site {
			s.checker, s.removed = c.Checker, c.Deleted
		}
	case model.FreezeKey:
		s.frozen = !c.Deleted
	}
}

func (s *scene) takeZone(c model.Change) {
	if c.Deleted {
		delete(s.zones, c.Key.Zone)
	} else {
		is := current{c.Zone.Generation, c.Zone.Incarnation}
		if s.zones[c.Key.Zone] == is {
			return
		}
		s.zones[c.Key.Zone] = is
	}
	for n := range s.hosts {
		if n.Zone == c.Key.Zone {
			s.touched[n.Host] = struct{}{}
		}
	}
}

// takeVote takes our vote as etcd has it; what was written since is newer.
func (s *scene) takeVote(e Endpoint, c model.Change) {
	if s.votes[e].ModRevision > c.ModRevision {
		return
	}
	if c.Deleted {
		delete(s.votes, e)
	} else {
		s.votes[e] = *c.Vote
	}
	s.spoken[e] = struct{}{}
}

func (s *scene) takeCheck(at numbered, c model.Change) {
	if c.Deleted {
		delete(s.checks, at)
	} else {
		s.checks[at] = c.Check
	}
	s.touched[at.Host] = struct{}{}
}

// find gives a host and its check as they count now, with the incarnation of its zone; nil
// when there is nothing to check.
func (s *scene) find(h Host) (*model.Host, *model.Check, uint64) {
	z, ok := s.zones[h.Zone]
	if !ok {
		return nil, nil, 0
	}
	host, check := s.hosts[numbered{h, z.generation}], s.checks[numbered{h, z.incarnation}]
	if host == nil || check == nil {
		return nil, nil, 0
	}
	return host, check, z.incarnation
}
