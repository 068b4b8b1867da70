package hosts

import (
	"context"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

const (
	leaseAutomation = "system/lease"
	// leaseSteps is how many hosts one EndLeases changes at most.
	leaseSteps = 200
	leasePage  = 1000
)

// EndLeases withdraws hosts that were not refreshed within their zone's lease, and frees
// the names of those that have been withdrawn for long; a blocked one stays. Each is a
// change by itself, which looks at everything again, so that any number of services may
// do this at once. After some it stops; the rest is for the next time. What the clock says
// is not enough: a host must have been seen unrefreshed for a while.
func (s *Service) EndLeases(ctx context.Context) (withdrawn, freed int, err error) {
	zones, err := s.leasedZones(ctx)
	if err != nil {
		return 0, 0, err
	}
	s.overdue.begin()
	for _, zone := range zones {
		for after := model.Name(""); ; {
			due, last, err := s.dueHosts(ctx, zone, after)
			if err != nil {
				return withdrawn, freed, err
			}
			for _, name := range due {
				action, err := s.endLease(ctx, name)
				switch {
				case ctx.Err() != nil || model.KindOf(err) == model.Unavailable && err != nil:
					return withdrawn, freed, err
				case err != nil:
					s.Log.Warn("a host's lease is over and cannot be ended", "name", name.Text(), "error", err)
				case action == access.HostDisable:
					withdrawn++
				case action == access.HostDelete:
					freed++
				}
				if withdrawn+freed == leaseSteps {
					return withdrawn, freed, nil
				}
			}
			if after = last; after == "" {
				break
			}
		}
	}
	s.overdue.end()
	return withdrawn, freed, nil
}

func (s *Service) leasedZones(ctx context.Context) (out []model.Name, err error) {
	tx, err := s.Store.Look(ctx)
	if err != nil {
		return nil, err
	}
	zones, err := tx.Zones("", 0)
	for _, z := range zones {
		policy, err := tx.Policy(z)
		if err != nil {
			return nil, err
		}
		if policy.Lease > 0 {
			out = append(out, z.Name)
		}
	}
	return out, err
}

// dueHosts looks at a page of a zone's hosts; last is where there may be more.
func (s *Service) dueHosts(ctx context.Context, zone, after model.Name) (due []model.Name, last model.Name, err error) {
	tx, err := s.Store.Look(ctx)
	if err != nil {
		return nil, "", err
	}
	z, err := tx.Zone(zone)
	if model.KindOf(err) == model.NotFound && err != nil {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	policy, err := tx.Policy(z)
	if err != nil {
		return nil, "", err
	}
	hosts, err := tx.Hosts(z, after, leasePage)
	for _, h := range hosts {
		if h.Data != nil && h.Data.Host != nil && s.leaseStepNow(policy, h) != "" {
			due = append(due, h.Name)
		}
	}
	if len(hosts) == leasePage {
		last = hosts[leasePage-1].Name
	}
	return due, last, err
}

// leaseStep is what is to be done to a host; "": nothing. The first row that matches:
//
//	the zone's lease   the host                            step
//	none               any                                 nothing
//	some               not refreshed, until now answered,  withdraw it
//	                   and a quarter of the lease has gone
//	                   by: of that refreshes may be unwritten
//	some               withdrawn for long, blocked         nothing
//	some               withdrawn for long                  free its name
//	some               any                                 nothing
func leaseStep(policy *model.ZonePolicy, h *model.HostControl, now time.Time) access.Action {
	end := facts.LeaseEnd(policy, h)
	switch {
	case end.IsZero() || now.Before(end) || h.Lapsed == nil && now.Before(end.Add(policy.Unwritten())):
		return ""
	case h.Lapsed == nil:
		return access.HostDisable
	case h.Blocked != nil:
		return ""
	}
	return access.HostDelete
}

// leaseStepNow is leaseStep now, once this service has seen for long enough that it is due.
func (s *Service) leaseStepNow(policy *model.ZonePolicy, h store.Named) access.Action {
	step := leaseStep(policy, h.Host, s.Now())
	if step != "" && !s.overdue.long(h.Name, step, facts.LeaseEnd(policy, h.Host), watchOf(policy), s.elapsed()) {
		return ""
	}
	return step
}

// endLease does to a host what is to be done now, and says what that was.
func (s *Service) endLease(ctx context.Context, name model.Name) (step access.Action, err error) {
	_, err = s.ByItself(ctx, leaseAutomation, "", "", func(p *call.Plan) error {
		step = ""
		z, h, err := p.Host(name, "")
		if model.KindOf(err) == model.NotFound && err != nil {
			return nil
		}
		if err != nil {
			return err
		}
		policy, err := p.Policy(z)
		if err != nil {
			return err
		}
		step = s.leaseStepNow(policy, h)
		p.Call.Action = step
		switch step {
		case access.HostDisable:
			control := *h.Host
			control.Lapsed = Withdrawn(nil, "not refreshed since "+policy.LeaseEnd(h.Host).Add(-time.Duration(policy.Lease)*time.Second).UTC().Format(time.RFC3339), s.Now())
			if _, err = Put(p, z, h, store.Named{Name: name, Data: h.Data, Host: &control}); err == nil {
				p.Record(z.Name, name, "", facts.DescribeWithdrawal(h.Host), facts.DescribeWithdrawal(&control))
			}
		case access.HostDelete:
			_, err = deleteHost(p, z, h)
		}
		return err
	})
	if err == nil && step != "" {
		s.leases.WithLabelValues(string(step)).Inc()
	}
	return step, err
}
