package hosts

import (
	"context"
	"net/netip"
	"slices"
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

// CreateHost registers a name and shows its secret, this once.
func (s *Service) CreateHost(ctx context.Context, in *pb.CreateHostRequest) (out *pb.CreateHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostCreate, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	addrs, err := rules.ParseAddresses("addresses", in.GetAddresses())
	if err != nil {
		return nil, err
	}
	var secret string
	var sum []byte
	if c.Who.MayHoldSecret() {
		if secret, sum, err = newHostSecret(); err != nil {
			return nil, err
		}
	}
	return call.Change(c, func(p *call.Plan) (*pb.CreateHostResponse, error) {
		z, data, ghost, hidden, err := placeFor(p, name)
		if err != nil {
			return nil, err
		}
		if err := checkQuota(p, z, name); err != nil {
			return nil, err
		}
		if err := rules.CheckTTL(z, in.GetTtl()); err != nil {
			return nil, err
		}
		if err := rules.CheckAddresses(p, z, "addresses", addrs); err != nil {
			return nil, err
		}
		if in.GetWildcard() {
			if err := rules.CheckWildcard(p, z, name); err != nil {
				return nil, err
			}
		}
		number, err := p.NewNumber()
		if err != nil {
			return nil, err
		}
		now := s.Now().UTC().Truncate(time.Second)
		h := &model.Host{TTL: in.GetTtl(), Wildcard: in.GetWildcard()}
		control := &model.HostControl{Owner: c.Who.Name(), Comment: in.GetComment(), SecretHash: sum, CreateTime: now}
		if secret != "" {
			control.Grants = control.Grants.With(model.GrantSecret, c.Maker())
		}
		GiveAddresses(h, control, model.NormalizeAddresses(addrs), number, now)
		data.Host = h
		next := store.Named{Name: name, Data: data, Host: control}
		p.Changed, p.Owner = z, control.Owner
		p.PutName(z, name, data)
		p.PutHost(z, name, ghost, control)
		if err := ReleaseName(p, z, name); err != nil {
			return nil, err
		}
		p.Record(z.Name, name, "", "", message.DescribeHost(next))
		out := &pb.CreateHostResponse{Host: message.Host(z, next), Secret: secret, Change: &pb.Change{}}
		if out.WithoutSecret = secret == ""; out.WithoutSecret {
			out.Warnings = append(out.Warnings, "host "+name.Text()+" has no secret: the token that created it may not do itself what the secret does")
		}
		if hidden != "" {
			out.Warnings = append(out.Warnings, "host "+name.Text()+" is hidden by the delegation or DNAME at "+hidden.Text()+" and not answered")
		}
		return out, nil
	})
}

// placeFor finds the zone of a new host, what of its name can be adopted, record sets
// that a host may have beside its addresses, and the name above that hides it, if one
// does. All keys from the name up to the apex are read, so that two registrations
// cannot pass each other. ghost is what is left of a host that an import took away.
func placeFor(p *call.Plan, name model.Name) (z *model.Zone, data *model.NameData, ghost *model.HostControl, hidden model.Name, err error) {
	z, path, err := facts.FindPath(p.Tx, name)
	if err != nil {
		return nil, nil, nil, "", err
	}
	if len(path) == 0 {
		return nil, nil, nil, "", model.E(model.Invalid, "create host", name.Text()).In("fqdn").
			Because("it is a zone's own name").Hint("hosts are below a zone; use records for the apex")
	}
	taken := func(what string) *model.Error {
		return model.E(model.AlreadyExists, "create host", name.Text()).In("fqdn").Because(what)
	}
	here := path[0]
	if here.Data != nil && here.Data.Host != nil {
		return nil, nil, nil, "", taken("there is such a host")
	}
	data = &model.NameData{}
	if here.Data != nil {
		*data = *here.Data
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeNS, dns.TypeDNAME} {
		if _, ok := model.FindRRset(data.RRsets, t); ok {
			return nil, nil, nil, "", taken("the name has " + model.TypeName(t) + " records that are no host's").From(model.ErrRecords)
		}
	}
	for _, above := range path[1:] {
		if facts.CutAbove([]store.Named{above}) {
			hidden = above.Name
		}
		if above.Data != nil && above.Data.Host != nil && above.Host != nil && above.Host.Withdrawn() {
			return nil, nil, nil, "", model.E(model.Precondition, "create host", name.Text()).In("fqdn").
				Because("it is below host " + above.Name.Text() + ", which is blocked or disabled").Hint("unblock or enable that first")
		}
	}
	return z, data, here.Host, hidden, nil
}

// GiveAddresses gives a host addresses, sorted and without duplicates: its endpoint
// main, with a new generation, there only while it has addresses.
func GiveAddresses(h *model.Host, control *model.HostControl, addrs []netip.Addr, generation uint64, now time.Time) {
	old := h.Addresses()
	h.Endpoints = h.WithoutEndpoint(model.MainEndpoint)
	if len(addrs) > 0 {
		h.Endpoints = h.WithEndpoint(model.Endpoint{ID: model.MainEndpoint, Addresses: addrs, Generation: generation})
	}
	if !slices.Equal(rules.Family(old, true), rules.Family(addrs, true)) {
		control.UpdateTime4 = now
	}
	if !slices.Equal(rules.Family(old, false), rules.Family(addrs, false)) {
		control.UpdateTime6 = now
	}
}
