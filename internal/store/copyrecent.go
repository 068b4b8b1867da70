package store

import (
	"sync"

	"signpost/internal/model"
)

// mostRecent is how many changes of keys are kept in mind, about.
const mostRecent = 8192

// recent is which keys of v1/dns/ have changed lately, the removed ones too.
type recent struct {
	mu   sync.Mutex
	from int64 // all that changed after this revision is known
	keys []changedKey
}

type changedKey struct {
	rev  int64
	key  string
	same bool // a zone that has the same names as before
}

// reset begins anew after a revision.
func (r *recent) reset(rev int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.keys = rev, nil
}

// note takes a change before anybody sees the state that it makes.
func (r *recent) note(c changedKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.keys) >= mostRecent {
		half := len(r.keys) / 2
		r.from = r.keys[half-1].rev
		for half < len(r.keys) && r.keys[half].rev == r.from {
			half++
		}
		r.keys = append(r.keys[:0:0], r.keys[half:]...)
	}
	r.keys = append(r.keys, c)
}

// since is what has changed after a revision; false: it is not known any more.
func (r *recent) since(rev int64) ([]changedKey, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rev < r.from {
		return nil, false
	}
	i := len(r.keys)
	for i > 0 && r.keys[i-1].rev > rev {
		i--
	}
	return append([]changedKey(nil), r.keys[i:]...), true
}

// ChangedSince is of what the answers may have changed between a revision and the one that
// tx looks at; false: it is not known. What is decided on it must be compared otherwise.
func (tx *Tx) ChangedSince(rev int64) (out Touched, known bool) {
	k := tx.s.copy.Load()
	if k == nil || tx.world == nil {
		return out, false
	}
	changed, known := k.recent.since(rev)
	hosts := map[HostAt]bool{}
	for _, c := range changed {
		on, ok, err := tx.s.keys.parse(c.key)
		if err != nil || !ok {
			continue
		}
		switch on.Kind {
		case model.CheckerKey:
			out.Checkers = true
		case model.SiteWordKey:
			out.Sites = append(out.Sites, on.Site)
		case model.FreezeKey:
			out.Freeze = true
		case model.NameKey, model.VoteKey, model.HostWordKey, model.EndpointWordKey, model.OverKey:
			if at := (HostAt{on.Zone, on.Name}); !hosts[at] {
				hosts[at] = true
				out.Hosts = append(out.Hosts, at)
			}
		case model.ZoneKey:
			if !c.same {
				out.Zones = append(out.Zones, on.Zone)
			}
		}
	}
	return out, known
}
