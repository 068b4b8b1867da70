package store

import (
	"sync"

	"signpost/internal/model"
)

// HostAt is a host by its name and its zone's.
type HostAt struct{ Zone, Name model.Name }

// Touched is of what the answers may have changed.
type Touched struct {
	All   bool // of anything: the copy was read anew, or very many have changed
	Sites bool // of what is on a site, or checked from one: words on sites, checkers, the freeze switch
	Hosts []HostAt
}

// mostTouched is how many names are kept in mind until they are asked for.
const mostTouched = 10000

// touches keeps in mind what has changed until it is asked for, once it was.
type touches struct {
	mu     sync.Mutex
	wanted bool
	all    bool
	sites  bool
	hosts  map[HostAt]bool
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
	out := Touched{All: t.all || !t.wanted, Sites: t.sites}
	for h := range t.hosts {
		out.Hosts = append(out.Hosts, h)
	}
	t.wanted, t.all, t.sites, t.hosts = true, false, false, nil
	return out
}

func (t *touches) everything() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all, t.hosts = true, nil
}

// key notes that a key has changed.
func (t *touches) key(k keys, key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.wanted || t.all {
		return
	}
	on, ok, err := k.parse(key)
	if err != nil || !ok {
		return
	}
	switch on.Kind {
	case model.CheckerKey, model.SiteWordKey, model.FreezeKey:
		t.sites = true
	case model.NameKey, model.VoteKey, model.HostWordKey, model.EndpointWordKey, model.OverKey:
		if t.hosts == nil {
			t.hosts = map[HostAt]bool{}
		}
		if t.hosts[HostAt{on.Zone, on.Name}] = true; len(t.hosts) > mostTouched {
			t.all, t.hosts = true, nil
		}
	case model.ZoneKey:
		t.all, t.hosts = true, nil // another generation, perhaps
	}
}
