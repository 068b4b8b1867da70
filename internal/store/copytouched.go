package store

import (
	"maps"
	"slices"
	"sync"

	"signpost/internal/model"
)

// HostAt is a host by its name and its zone's.
type HostAt struct{ Zone, Name model.Name }

// Touched is of what the answers may have changed.
type Touched struct {
	All      bool         // of anything: the copy was read anew, or very many have changed
	Zones    []model.Name // of what is in these: they are new or gone, or have other names by an import
	Sites    []string     // of what is on these: operators have another word on them
	Checkers bool         // of what is checked: one is registered anew, or no more
	Freeze   bool         // the freeze switch was turned
	Hosts    []HostAt
}

// Everywhere reports whether hosts are concerned that are not named.
func (t *Touched) Everywhere() bool { return t.All || len(t.Sites) > 0 || t.Checkers || t.Freeze }

// mostTouched is how many names are kept in mind until they are asked for.
const mostTouched = 10000

// touches keeps in mind what has changed until it is asked for, once it was.
type touches struct {
	mu       sync.Mutex
	wanted   bool
	all      bool
	zones    map[model.Name]bool
	sites    map[string]bool
	checkers bool
	freeze   bool
	hosts    map[HostAt]bool
}

// Touched is what has changed in the copy since it was called last, for one caller; at
// first all, and without a copy nothing.
func (s *Store) Touched() Touched {
	k := s.copy.Load()
	if k == nil {
		return Touched{}
	}
	return k.touched.take()
}

func (t *touches) take() Touched {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := Touched{
		All: t.all || !t.wanted, Zones: slices.Collect(maps.Keys(t.zones)), Sites: slices.Collect(maps.Keys(t.sites)),
		Checkers: t.checkers, Freeze: t.freeze, Hosts: slices.Collect(maps.Keys(t.hosts)),
	}
	t.wanted, t.all, t.zones, t.sites, t.checkers, t.freeze, t.hosts = true, false, nil, nil, false, false, nil
	return out
}

func (t *touches) everything() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all, t.zones, t.hosts = true, nil, nil
}

// key notes that a key has changed, from what it was in a world before.
func (t *touches) key(s *Store, before *world, key string, value []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.wanted || t.all {
		return
	}
	on, ok, err := s.keys.parse(key)
	if err != nil || !ok {
		return
	}
	switch on.Kind {
	case model.CheckerKey:
		t.checkers = true
	case model.SiteWordKey:
		t.sites = with(t.sites, on.Site)
	case model.FreezeKey:
		t.freeze = true
	case model.NameKey, model.VoteKey, model.HostWordKey, model.EndpointWordKey, model.OverKey:
		if t.hosts = with(t.hosts, HostAt{on.Zone, on.Name}); len(t.hosts) > mostTouched {
			t.all, t.hosts = true, nil
		}
	case model.ZoneKey:
		if !sameNames(on.Zone, before.find(key).value, value) {
			t.zones = with(t.zones, on.Zone)
		}
	}
}

func with[K comparable](m map[K]bool, k K) map[K]bool {
	if m == nil {
		m = map[K]bool{}
	}
	m[k] = true
	return m
}

// sameNames reports whether two values of a zone have the same names: what else is kept of
// it makes no host stand otherwise.
func sameNames(z model.Name, was, is []byte) bool {
	if len(was) == 0 || len(is) == 0 {
		return false
	}
	a, errA := decodeZone(z, was, 0)
	b, errB := decodeZone(z, is, 0)
	return errA == nil && errB == nil && a.Generation == b.Generation && a.Incarnation == b.Incarnation
}
