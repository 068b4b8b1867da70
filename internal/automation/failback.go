package automation

import (
	"context"
	"errors"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/standing"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// failBack keeps what took over, of hosts with manual fail-back, and counts how endpoints
// stand. It looks at those of which something has changed since the last look.
func (a *Automation) failBack(ctx context.Context) error {
	touched := a.store.Touched()
	a.recount = a.recount || touched.Everywhere()
	if touched.All = touched.All || a.all; touched.All {
		a.again = map[store.HostAt]bool{}
	}
	for at := range a.again {
		touched.Hosts = append(touched.Hosts, at)
	}
	due, err := a.look(ctx, touched)
	if a.all = err != nil; err != nil {
		return err
	}
	a.again = map[store.HostAt]bool{}
	a.tally.show()
	var errs []error
	for _, at := range due {
		if err := a.pass(ctx, at); err != nil {
			a.again[at] = true
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func isManual(h *model.Host) bool {
	return h != nil && h.Policy.Kind == model.PolicyFailover && h.Policy.ManualFailback
}

// pass makes the marks of one host what they are to be.
func (a *Automation) pass(ctx context.Context, at store.HostAt) error {
	var marked, unmarked []string
	_, err := a.store.Update(ctx, func(tx *store.Tx) error {
		marked, unmarked = nil, nil
		frozen, err := isFrozen(tx)
		if err != nil || frozen {
			return err
		}
		z, h, err := find(tx, at)
		if err != nil || !isManual(h) {
			return err
		}
		choice, said, err := standing.Choose(tx, z, at.Name, h)
		if err != nil {
			return err
		}
		if marked, unmarked = marks(h, choice, said); len(marked)+len(unmarked) == 0 {
			return nil
		}
		owner, err := ownerOf(tx, at)
		if err != nil {
			return err
		}
		record := func(id, before, after string) {
			tx.Audit(model.AuditRecord{
				Time: a.now(), Principal: byFailback, Action: string(access.EndpointPassOver), Zone: at.Zone, Name: at.Name,
				Detail: id, Before: before, After: after, Owner: owner,
			})
		}
		for _, id := range marked {
			tx.PutOver(z, at.Name, id, &model.Over{Generation: h.Endpoint(id).Generation, Time: a.now()})
			record(id, "", "passed over")
		}
		for _, id := range unmarked {
			tx.PutOver(z, at.Name, id, nil)
			record(id, "passed over", "")
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.steps.WithLabelValues("passed-over").Add(float64(len(marked)))
	a.steps.WithLabelValues("passed-over-no-more").Add(float64(len(unmarked)))
	if len(marked)+len(unmarked) > 0 {
		a.log.Info("another endpoint has taken over, and fail-back is manual", "name", at.Name.Text(), "passed_over", marked, "no_more", unmarked)
	}
	return nil
}

func find(tx *store.Tx, at store.HostAt) (*model.Zone, *model.Host, error) {
	z, err := tx.Zone(at.Zone)
	if model.KindOf(err) == model.NotFound && err != nil {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	datas, err := tx.Datas(z, at.Name)
	if err != nil || datas[0] == nil {
		return z, nil, err
	}
	return z, datas[0].Host, nil
}

// marks says which endpoints of a host with manual fail-back are to be marked as passed
// over, and of which the mark is to be taken away. Where the policy has chosen, and those
// that are answered have the priority number p:
//
//	the endpoint      its priority   and looks              is
//	is not marked     less than p    down to its checkers   marked: another has taken over
//	is marked         less than p    any                    left so
//	is marked         p or more      any                    marked no more: it has taken over,
//	                                                        or one that comes before it has
//	anything else     any            any                    left so
//
// Where nothing is up enough, nobody has taken over, and nothing changes.
func marks(h *model.Host, c zone.Choice, said *zone.Said) (mark, unmark []string) {
	answered, first := false, uint32(0)
	for i := range c.Endpoints {
		if c.Endpoints[i].Answered {
			answered, first = true, h.Endpoints[i].Priority
		}
	}
	if c.Source != zone.FromPolicy || !answered {
		return nil, nil
	}
	for i := range c.Endpoints {
		e, s := &h.Endpoints[i], &c.Endpoints[i]
		over := said.Overs[e.ID]
		marked := over != nil && over.Generation == e.Generation
		switch {
		case !marked && e.Priority < first && s.State == zone.Down && s.Word == nil:
			mark = append(mark, e.ID)
		case marked && e.Priority >= first:
			unmark = append(unmark, e.ID)
		}
	}
	return mark, unmark
}
