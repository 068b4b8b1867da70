package signpost

import (
	"sync"

	"signpost/internal/model"
)

// shared is the replicas of this process. On a reload of the Corefile two caddy
// instances overlap, and the new one takes over the replica of the old one with
// the view in it, when their settings agree.
var shared = registry{replicas: map[string]*replica{}}

type registry struct {
	mu       sync.Mutex
	replicas map[string]*replica // by settings.key
}

// Abandon lets go of what Corefiles hold in this process that failed to start. A
// reload that fails does it by itself.
func Abandon() {
	shared.detachUnsettled()
	fronts.forget()
}

// attach gives a reader the replica of these settings and starts it if there is
// none. owner is the same for all directives of one Corefile.
func (g *registry) attach(s settings, rd *reader, owner any) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	rd.owner = owner
	r := g.replicas[s.key()]
	if r == nil {
		if g.taken(s.snapshot, owner) {
			return model.E(model.Invalid, "use snapshot", s.snapshot).Because("another signpost of this Corefile has it for a different etcd").Hint("give each its own file")
		}
		var err error
		if r, err = open(s); err != nil {
			return err
		}
		g.replicas[s.key()] = r
	}
	r.add(rd)
	return nil
}

func (g *registry) taken(snapshot string, owner any) bool {
	for _, r := range g.replicas {
		if snapshot != "" && r.settings.snapshot == snapshot && r.has(owner) {
			return true
		}
	}
	return false
}

func (r *replica) has(owner any) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for rd := range r.readers {
		if rd.owner == owner {
			return true
		}
	}
	return false
}

// detach lets go of a reader's replica, which ends with its last reader. A reader
// that has none is left alone.
func (g *registry) detach(rd *reader) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.detachLocked(rd)
}

func (g *registry) detachLocked(rd *reader) {
	r := rd.replica
	if r == nil {
		return
	}
	rd.replica = nil
	if r.remove(rd) > 0 {
		return
	}
	delete(g.replicas, r.settings.key())
	for _, other := range g.replicas {
		if other.settings.snapshot == r.settings.snapshot {
			r.leaveSnapshot() // a reload has changed the settings; the file is the new one's
		}
	}
	r.close()
}

// settle notes that the instances of all readers have started.
func (g *registry) settle() { g.each(func(rd *reader) { rd.settled = true }) }

// detachUnsettled lets go of what instances hold that failed to start.
func (g *registry) detachUnsettled() {
	g.each(func(rd *reader) {
		if !rd.settled {
			g.detachLocked(rd)
		}
	})
}

func (g *registry) each(do func(*reader)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []*reader
	for _, r := range g.replicas {
		r.mu.Lock()
		for rd := range r.readers {
			all = append(all, rd)
		}
		r.mu.Unlock()
	}
	for _, rd := range all {
		do(rd)
	}
}
