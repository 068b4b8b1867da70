package automation

import (
	"context"
	"maps"
	"slices"

	"signpost/internal/model"
	"signpost/internal/standing"
	"signpost/internal/store"
	"signpost/internal/zone"
)

const (
	// lookedAtOnce is how many hosts are looked at by one look at etcd.
	lookedAtOnce = 500
	// manyOf is which part of all hosts is so many that all that is said is read at once.
	manyOf = 8
)

// look counts anew how the endpoints stand that may stand otherwise, and gives the hosts
// of which a mark of being passed over is to be changed. What it costs is in proportion
// to the hosts that are concerned.
func (a *Automation) look(ctx context.Context, t store.Touched) (due []store.HostAt, err error) {
	if t.All {
		return a.lookAtAll(ctx)
	}
	hosts := map[store.HostAt]bool{}
	for _, at := range t.Hosts {
		hosts[at] = true
	}
	for _, z := range t.Zones {
		if err := a.lookInto(ctx, z, hosts); err != nil {
			return nil, err
		}
	}
	if t.Checkers || len(t.Sites) > 0 {
		for at, stands := range a.tally.hosts {
			if t.Checkers || slices.ContainsFunc(stands, func(s stood) bool { return slices.Contains(t.Sites, s.site) }) {
				hosts[at] = true
			}
		}
	}
	if t.Freeze { // what was to be marked while it was on
		maps.Copy(hosts, a.manual)
	}
	if len(hosts) > lookedAtOnce && len(hosts) > len(a.tally.hosts)/manyOf {
		return a.lookAtMany(ctx, hosts)
	}
	return a.lookAtEach(ctx, hosts)
}

// lookAtAll finds all hosts.
func (a *Automation) lookAtAll(ctx context.Context) (due []store.HostAt, err error) {
	tx, err := a.store.Look(ctx)
	if err != nil {
		return nil, err
	}
	zones, err := tx.Zones("", 0)
	if err != nil {
		return nil, err
	}
	said, err := standing.All(tx)
	if err != nil {
		return nil, err
	}
	gone := maps.Clone(a.tally.hosts)
	for _, z := range zones {
		more, err := a.walk(ctx, tx, z, said, gone)
		if err != nil {
			return nil, err
		}
		due = append(due, more...)
	}
	a.drop(gone)
	return due, nil
}

// lookInto adds the hosts of a zone to those to be looked at, and drops those that are
// there no more.
func (a *Automation) lookInto(ctx context.Context, name model.Name, hosts map[store.HostAt]bool) error {
	gone := map[store.HostAt][]stood{}
	for at, stands := range a.tally.hosts {
		if at.Zone == name {
			gone[at] = stands
		}
	}
	tx, err := a.store.Look(ctx)
	if err != nil {
		return err
	}
	z, err := tx.Zone(name)
	switch {
	case err == nil:
		for n, err := range tx.EachName(z, "") {
			if err != nil {
				return err
			}
			if at := (store.HostAt{Zone: z.Name, Name: n.Name}); counted(n.Data.Host) {
				hosts[at] = true
				delete(gone, at)
			}
		}
	case model.KindOf(err) != model.NotFound:
		return err
	}
	a.drop(gone)
	return nil
}

// walk takes the hosts of a zone, and takes them out of gone.
func (a *Automation) walk(ctx context.Context, tx *store.Tx, z *model.Zone, said *standing.Everything, gone map[store.HostAt][]stood) (due []store.HostAt, err error) {
	var overs *store.Tx // it keeps what it reads, and does not grow without end
	for n, err := range tx.EachName(z, "") {
		if err == nil && a.looked%lookedAtOnce == 0 || overs == nil {
			overs, err = a.store.Look(ctx)
		}
		if err != nil {
			return nil, err
		}
		if !counted(n.Data.Host) {
			continue
		}
		at := store.HostAt{Zone: z.Name, Name: n.Name}
		is, err := a.takeSaid(overs, at, z, n.Data.Host, said)
		if err != nil {
			return nil, err
		}
		if is {
			due = append(due, at)
		}
		delete(gone, at)
	}
	return due, nil
}

func (a *Automation) drop(gone map[store.HostAt][]stood) {
	for at := range gone {
		a.tally.set(at, nil, nil)
		delete(a.manual, at)
	}
}

// lookAtMany takes hosts with all that is said, read at once.
func (a *Automation) lookAtMany(ctx context.Context, hosts map[store.HostAt]bool) (due []store.HostAt, err error) {
	tx, err := a.store.Look(ctx)
	if err != nil {
		return nil, err
	}
	said, err := standing.All(tx)
	if err != nil {
		return nil, err
	}
	return a.inParts(ctx, hosts, func(tx *store.Tx, at store.HostAt, z *model.Zone, h *model.Host) (bool, error) {
		return a.takeSaid(tx, at, z, h, said)
	})
}

// lookAtEach takes hosts with what is said of each.
func (a *Automation) lookAtEach(ctx context.Context, hosts map[store.HostAt]bool) (due []store.HostAt, err error) {
	return a.inParts(ctx, hosts, func(tx *store.Tx, at store.HostAt, z *model.Zone, h *model.Host) (bool, error) {
		choice, said, err := standing.Choose(tx, z, at.Name, h)
		return err == nil && a.take(at, h, choice, said), err
	})
}

// inParts has hosts taken by looks that do not grow without end.
func (a *Automation) inParts(ctx context.Context, hosts map[store.HostAt]bool, take func(*store.Tx, store.HostAt, *model.Zone, *model.Host) (bool, error)) (due []store.HostAt, err error) {
	for part := range slices.Chunk(slices.Collect(maps.Keys(hosts)), lookedAtOnce) {
		tx, err := a.store.Look(ctx)
		if err != nil {
			return nil, err
		}
		for _, at := range part {
			z, h, err := find(tx, at)
			if err != nil {
				return nil, err
			}
			if !counted(h) {
				a.tally.set(at, nil, nil)
				delete(a.manual, at)
				continue
			}
			is, err := take(tx, at, z, h)
			if err != nil {
				return nil, err
			}
			if is {
				due = append(due, at)
			}
		}
	}
	return due, nil
}

// takeSaid is take with all that is said, but for marks, which only manual fail-back has.
func (a *Automation) takeSaid(tx *store.Tx, at store.HostAt, z *model.Zone, h *model.Host, all *standing.Everything) (due bool, err error) {
	said := all.Of(z, at.Name)
	if isManual(h) {
		if said.Overs, err = tx.Overs(z, at.Name); err != nil {
			return false, err
		}
	}
	return a.take(at, h, zone.Choose(h, said), said), nil
}

// take keeps in mind how a host's endpoints stand, and reports whether a mark of it is to
// be changed.
func (a *Automation) take(at store.HostAt, h *model.Host, c zone.Choice, said *zone.Said) (due bool) {
	a.looked++
	a.tally.set(at, c.Endpoints, h)
	delete(a.manual, at)
	if !isManual(h) {
		return false
	}
	a.manual[at] = true
	mark, unmark := marks(h, c, said)
	return len(mark)+len(unmark) > 0
}
