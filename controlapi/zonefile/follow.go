package zonefile

import (
	"maps"
	"slices"

	"signpost/controlapi/call"
	"signpost/controlapi/zones"
	"signpost/internal/model"
	"signpost/internal/store"
)

// again is the state under the claim: what was compared before it counts only if
// nothing has changed since.
func (j *join) again(c *call.Call, was state, to *answer) (state, error) {
	now, err := readState(c, j.name())
	if err != nil || now.zoneRevision == was.zoneRevision && zones.SameNames(now.lower, was.lower) {
		return now, err
	}
	if err := j.admits(now); err != nil {
		return now, err
	}
	j.created, j.notes = now.zone == nil, nil
	to.phase("comparing", int64(j.file.Len()))
	return now, j.compare(now, to.step)
}

// load writes the whole generation.
func (j *join) load(claim *store.Claim, st state, to *answer) error {
	var walking error
	err := claim.Load(func(yield func(model.Name, *model.NameData) bool) {
		for f, err := range j.fates(st, "") {
			if walking = err; err != nil || f.next != nil && !yield(f.name, f.next) {
				return
			}
		}
	}, to.steps)
	if walking != nil {
		return walking
	}
	return err
}

// follow writes into the generation what has changed in the zone, and counts anew
// what it touches.
func (j *join) follow(claim *store.Claim, was, now state) error {
	if (was.zone == nil) != (now.zone == nil) || now.zone != nil && (was.zone.Incarnation != now.zone.Incarnation || was.zone.Generation != now.zone.Generation) {
		return model.E(model.Aborted, "import zone", j.name().Text()).Because("the zone was deleted or made anew meanwhile").Hint("look at it and import again")
	}
	if err := j.admits(now); err != nil {
		return err
	}
	names, err := j.touched(was, now)
	if err != nil {
		return err
	}
	var writes []rewrite
	for _, at := range names {
		for times, st := range map[int64]state{-1: was, 1: now} {
			t := tally{}
			for f, err := range j.fates(st, at) {
				if err != nil {
					return err
				}
				j.count(&t, f)
				if times > 0 {
					writes = append(writes, rewrite{f.name, f.next})
				}
			}
			j.names.add(t, times)
		}
	}
	// What was there and is in neither now is not among the fates of now.
	written := map[model.Name]bool{}
	for _, w := range writes {
		written[w.name] = true
	}
	for _, at := range names {
		for f, err := range j.fates(was, at) {
			if err != nil {
				return err
			}
			if !written[f.name] {
				writes = append(writes, rewrite{f.name, nil})
			}
		}
	}
	return claim.Load(func(yield func(model.Name, *model.NameData) bool) {
		for _, w := range writes {
			if !yield(w.name, w.data) {
				return
			}
		}
	}, func(int) {})
}

// touched is the names at and below which anything changed that decides fates, none
// below another.
func (j *join) touched(was, now state) ([]model.Name, error) {
	var names []model.Name
	if now.zone != nil {
		var err error
		if names, err = store.ChangedNames(was.look, now.look, now.zone); err != nil {
			return nil, err
		}
	}
	lower := maps.Clone(was.lower)
	maps.Copy(lower, now.lower)
	for n := range lower {
		a, b := was.lower[n], now.lower[n]
		if a == nil || b == nil || !slices.EqualFunc(a.RRsets, b.RRsets, model.RRset.Equal) {
			names = append(names, n)
		}
	}
	for i, n := range names { // the wildcard of a host is part of the host
		if above, ok := n.Parent(); n.IsWildcard() && ok && above.Below(j.name()) {
			names[i] = above
		}
	}
	slices.SortFunc(names, store.OrderNames)
	var top []model.Name
	for _, n := range names {
		if len(top) == 0 || !n.In(top[len(top)-1]) {
			top = append(top, n)
		}
	}
	return top, nil
}
