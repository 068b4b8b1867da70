// Package checks answers one question: how are the endpoints of a host tried, and what has
// come of it?
package checks

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/endpoints"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

const (
	// mostChecks is how many hosts of one owner may have a check, unless an administrator
	// of the zone sets it.
	mostChecks = 100
	// enoughCheckers is with how many checkers one may be lost together with its site, and
	// more than half of them still say so.
	enoughCheckers = 3
)

// Service is the service for checks of endpoints and what comes of them.
type Service struct {
	pb.UnimplementedHealthServiceServer
	*call.Desk
}

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// GetCheck shows how it is found out whether a host's endpoints are up.
func (s *Service) GetCheck(ctx context.Context, in *pb.GetCheckRequest) (out *pb.Check, err error) {
	c, err := s.Authorize(ctx, access.CheckRead, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	err = c.ReadHost(in.GetFqdn(), func(tx *store.Tx, z *model.Zone, h store.Named) error {
		check, err := tx.Check(z, h.Name)
		if err != nil {
			return err
		}
		if check == nil {
			return noCheck(h.Name)
		}
		out = checkMessage(h, check)
		return nil
	})
	return out, err
}

func noCheck(name model.Name) error {
	return model.E(model.NotFound, "find check of", name.Text()).Because("there is none").Hint("signpost check set " + name.Text() + " KIND makes one")
}

// SetCheck says how it is found out.
func (s *Service) SetCheck(ctx context.Context, in *pb.SetCheckRequest) (out *pb.SetCheckResponse, err error) {
	c, err := s.Authorize(ctx, access.CheckSet, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	wanted, err := checkOf(in)
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetCheckResponse, error) {
		z, old, was, err := checked(p, name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		if err := checkPace(p, z, was, wanted); err != nil {
			return nil, err
		}
		if err := countChecks(p, z, old, was); err != nil {
			return nil, err
		}
		next, show := old, was
		if !sameCheck(was, wanted) {
			if next, err = putCheck(p, z, old, was, wanted); err != nil {
				return nil, err
			}
			show = wanted
		}
		out := &pb.SetCheckResponse{Check: checkMessage(next, show), Change: &pb.Change{}}
		all, err := p.Checkers()
		out.Warnings = checkerWarnings(wanted.Sites, all)
		return out, err
	})
}

// RemoveCheck has all endpoints of a host taken for up.
func (s *Service) RemoveCheck(ctx context.Context, in *pb.RemoveCheckRequest) (out *pb.RemoveCheckResponse, err error) {
	c, err := s.Authorize(ctx, access.CheckRemove, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.RemoveCheckResponse, error) {
		z, old, was, err := checked(p, name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		if was == nil {
			return nil, noCheck(name)
		}
		_, err = putCheck(p, z, old, was, nil)
		return &pb.RemoveCheckResponse{Change: &pb.Change{}}, err
	})
}

// checked reads a host to be changed with its check, and refuses another etag than that
// has.
func checked(p *call.Plan, name model.Name, given string) (*model.Zone, store.Named, *model.Check, error) {
	z, h, err := p.Host(name, "")
	if err != nil {
		return nil, h, nil, err
	}
	check, err := p.Check(z, name)
	if err != nil {
		return nil, h, nil, err
	}
	rev := h.Data.ModRevision
	if check != nil {
		rev = max(rev, check.ModRevision)
	}
	return z, h, check, call.CheckEtag(given, name.Text(), rev)
}

// putCheck puts a check, or none, in the place of another. What was said of the endpoints
// was said with that one, so that all get new generations.
func putCheck(p *call.Plan, z *model.Zone, old store.Named, was, next *model.Check) (store.Named, error) {
	h := *old.Data.Host
	h.Checked, h.CheckSites = next != nil, nil
	if next != nil {
		h.CheckSites = next.Sites
	}
	h.Endpoints = slices.Clone(h.Endpoints)
	for i := range h.Endpoints {
		var err error
		if h.Endpoints[i].Generation, err = p.NewNumber(); err != nil {
			return old, err
		}
	}
	if next != nil && rules.Bounded(p, z) {
		var err error
		if next.Owner, err = p.Pseudonym("owner of a check " + old.Host.Owner); err != nil {
			return old, err
		}
	}
	p.PutCheck(z, old.Name, next)
	p.Record(z.Name, old.Name, "", describeCheck(was), describeCheck(next))
	return endpoints.PutHostData(p, z, old, &h)
}

// sameCheck reports whether two say the same of how it is found out.
func sameCheck(a, b *model.Check) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := a.WithDefaults(), b.WithDefaults()
	x.ModRevision, y.ModRevision, x.Owner, y.Owner = 0, 0, "", ""
	return reflect.DeepEqual(x, y)
}

// checkPace refuses to all but the zone's administrators to have targets tried more often
// than by default. What an administrator has set stays when another thing is changed.
func checkPace(p *call.Plan, z *model.Zone, was, wanted *model.Check) error {
	least := model.DefaultInterval
	if was != nil {
		least = min(least, was.WithDefaults().Interval)
	}
	if d := wanted.WithDefaults(); d.Interval >= least || !rules.Bounded(p, z) {
		return nil
	}
	return model.E(model.Denied, "set check of", p.Call.Resource.Name.Text()).In("interval").
		Because("less than " + least.String() + " is for the zone's administrators to set").Hint("ask one of them, or give a longer one")
}

// countChecks refuses an owner more checks than one may have. Errors: Exhausted.
func countChecks(p *call.Plan, z *model.Zone, h store.Named, was *model.Check) error {
	if was != nil || !rules.Bounded(p, z) {
		return nil
	}
	n, err := p.CountChecked(h.Host.Owner)
	if err == nil && n >= mostChecks {
		err = model.E(model.Exhausted, "set check of", h.Name.Text()).In("fqdn").
			Because("its owner has " + strconv.Itoa(n) + " hosts with a check, and one may have " + strconv.Itoa(mostChecks)).
			Hint("remove one, or ask an administrator of the zone to set it")
	}
	return err
}

// checkerWarnings says what the checkers that judge cannot do.
func checkerWarnings(sites []string, all []model.Checker) (warnings []string) {
	n := 0
	for _, k := range all {
		if len(sites) == 0 || slices.Contains(sites, k.Site) {
			n++
		}
	}
	for _, s := range sites {
		if !slices.ContainsFunc(all, func(k model.Checker) bool { return k.Site == s }) {
			warnings = append(warnings, "no checker is registered at site "+s)
		}
	}
	switch {
	case n == 0:
		warnings = append(warnings, "no checker judges: every endpoint is taken for up")
	case n < enoughCheckers:
		verb := " judge"
		if n == 1 {
			verb = " judges"
		}
		warnings = append(warnings, "only "+message.Checkers(n)+verb+", fewer than "+strconv.Itoa(enoughCheckers)+": the loss of a site together with its checker cannot be voted")
	}
	return warnings
}

// intervalText is a span for people: 5s, 1m.
func intervalText(d time.Duration) string {
	if d%time.Minute == 0 {
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return d.String()
}
