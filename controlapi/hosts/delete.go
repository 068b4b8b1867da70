package hosts

import (
	"context"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// maxHeld is how many names below a host go with it in one transaction.
const maxHeld = 50

// DeleteHost removes a host with the records at its name and below it, which are
// its own. Delegations, and names at and below other hosts, stay.
func (s *Service) DeleteHost(ctx context.Context, in *pb.DeleteHostRequest) (out *pb.DeleteHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostDelete, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.DeleteHostResponse, error) {
		z, h, err := p.Host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		return deleteHost(p, z, h)
	})
}

func deleteHost(p *call.Plan, z *model.Zone, h store.Named) (*pb.DeleteHostResponse, error) {
	return DeleteAs(p, p.Call.Action, z, h)
}

// DeleteAs is deleteHost for a call that consists of other actions.
func DeleteAs(p *call.Plan, action access.Action, z *model.Zone, h store.Named) (*pb.DeleteHostResponse, error) {
	below, err := namesBelow(p, z, h.Name, "delete host")
	if err != nil {
		return nil, err
	}
	held := facts.HeldOf(below, facts.IsCutOrHost)
	if err := rules.KeepServer(z, h.Name, facts.DataAddresses(h.Data), nil); err != nil {
		return nil, err
	}
	out := &pb.DeleteHostResponse{Names: int32(len(held)), RecordSets: int32(len(h.Data.RRsets)), Change: &pb.Change{}}
	for _, n := range held {
		if err := rules.KeepServer(z, n.Name, facts.DataAddresses(n.Data), nil); err != nil {
			return nil, err
		}
		out.RecordSets += int32(len(n.Data.RRsets))
		p.PutName(z, n.Name, nil)
	}
	rest := &model.NameData{}
	for _, t := range []uint16{dns.TypeNS, dns.TypeDNAME, dns.TypeDS} {
		if kept, ok := model.FindRRset(h.Data.RRsets, t); ok {
			rest.RRsets = model.WithRRset(rest.RRsets, kept)
			out.RecordSets--
		}
	}
	if err := unrelate(p, z, h, new(*h.Host), keepNone); err != nil {
		return nil, err
	}
	if h.Host.Blocked != nil && len(rest.RRsets) == 0 {
		if err := checkNoWildcard(p, z, h.Name); err != nil {
			return nil, err
		}
	}
	p.Changed = z
	p.PutName(z, h.Name, rest)
	p.PutHost(z, h.Name, h.Host, nil)
	if err := keepName(p, z, h); err != nil {
		return nil, err
	}
	detail := ""
	if len(held) > 0 {
		detail = "with " + strconv.Itoa(len(held)) + " names below it"
	}
	p.RecordAs(action, z.Name, h.Name, detail, message.DescribeHost(h), "")
	return out, nil
}

// checkNoWildcard refuses to take a blocked name away that a wildcard would then answer for
// (RFC 4592 section 2.2.1). Names that are there only because of others below them are not
// looked for. Errors: Precondition.
func checkNoWildcard(p *call.Plan, z *model.Zone, blocked model.Name) error {
	refuse := func(who string) error {
		return model.E(model.Precondition, "delete host", blocked.Text()).In("fqdn").
			Because("it is blocked, and without it " + who + " would answer for its name").
			Hint("leave it blocked, so that the name stays silent, or unblock it first")
	}
	for at, ok := blocked.Parent(); ok && at.In(z.Name); at, ok = at.Parent() {
		star, err := at.Child("*")
		if err != nil {
			return err // it is no longer than the blocked name, so this is a mistake of ours
		}
		d, err := p.Datas(z, at, star)
		switch {
		case err != nil:
			return err
		case d[0] != nil && d[0].Host != nil && d[0].Host.Wildcard && !d[0].Withdrawn:
			return refuse("the wildcard host " + at.Text())
		case d[1] != nil && !d[1].Withdrawn:
			return refuse(star.Text())
		case d[0] != nil:
			return nil // the closest encloser
		}
	}
	return nil
}

// keepName keeps the name of a host that is being deleted for its owner, as the zone says;
// that of a blocked one is kept for nobody.
func keepName(p *call.Plan, z *model.Zone, h store.Named) error {
	policy, err := p.Policy(z)
	if err != nil {
		return err
	}
	until := policy.KeptUntil(p.Call.Desk.Now())
	if until.IsZero() || !mayKeep(p, z, policy, h, until) {
		return ReleaseName(p, z, h.Name)
	}
	if _, err := p.KeptNames(z, h.Name); err != nil {
		return err
	}
	p.PutKeptName(z, h.Name, h.Host.Kept(until))
	return nil
}

// mayKeep counts a name that is kept because its owner deletes their host, once for each
// call: within the time that names are kept, no more are kept so than one may have hosts. Or a
// name could be had for nothing, by registering and deleting it, and then another one.
func mayKeep(p *call.Plan, z *model.Zone, policy *model.ZonePolicy, h store.Named, until time.Time) bool {
	c := p.Call
	if c.Who.Kind != access.User || c.Who.Operator || c.Who.Name() != h.Host.Owner || c.Automation != "" {
		return true
	}
	return c.PaceKept(z, int(policy.WithDefaults().MaxHosts), until)
}

// ReleaseName keeps a name no longer.
func ReleaseName(p *call.Plan, z *model.Zone, name model.Name) error {
	kept, err := p.KeptNames(z, name)
	if err == nil && kept[0] != nil {
		p.PutKeptName(z, name, nil)
	}
	return err
}

// namesBelow is the names below a host of which op takes along what belongs to it.
func namesBelow(p *call.Plan, z *model.Zone, host model.Name, op string) ([]store.Named, error) {
	below, err := p.Below(z, host, maxHeld+1)
	if err == nil && len(below) > maxHeld {
		err = model.E(model.Exhausted, op, host.Text()).In("fqdn").
			Because("there are more than " + strconv.Itoa(maxHeld) + " names below it").Hint("delete those first")
	}
	return below, err
}
