package records

import (
	"context"
	"net/netip"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/delegation"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// SetRecordSet puts a record set in the place of the one of its type.
func (s *Service) SetRecordSet(ctx context.Context, in *pb.SetRecordSetRequest) (out *pb.SetRecordSetResponse, err error) {
	c, err := s.Authorize(ctx, access.RecordSet, call.RecordAt(in.GetFqdn(), in.GetType()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, t, err := ownerAndType(in.GetFqdn(), in.GetType())
	if err != nil {
		return nil, err
	}
	if in.Ttl != nil && in.GetTtl() == 0 {
		return nil, model.E(model.Invalid, "set records", name.Text()+" "+model.TypeName(t)).In("ttl").
			Because("0 would keep everybody from caching the answer, which no zone allows").Hint("leave it out for the zone's default")
	}
	wanted, err := NewSet(t, in.GetTtl(), in.GetRdata())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetRecordSetResponse, error) {
		at, err := recordPlace(p, name, t, in.GetEtag())
		if err != nil {
			return nil, err
		}
		if err := rules.CheckTTL(at.Zone, in.GetTtl()); err != nil {
			return nil, err
		}
		if p.Owner != "" {
			if err := checkOwners(p, at, wanted); err != nil {
				return nil, err
			}
		}
		set := wanted
		if set.TTL == 0 {
			set.TTL = at.Zone.WithDefaults().TTL
		}
		old, had := model.FindRRset(at.Sets(), t)
		if !had || !old.Equal(set) {
			if err := rules.CheckBounds(p, at, set); err != nil {
				return nil, err
			}
			if err := Put(p, at, model.WithRRset(at.Sets(), set)); err != nil {
				return nil, err
			}
			p.Record(at.Zone.Name, name, model.TypeName(t), message.RRset(old), message.RRset(set))
		}
		return &pb.SetRecordSetResponse{RecordSet: message.Record(at, set), Change: &pb.Change{}}, nil
	})
}

// checkOwners refuses records at and below a host that its owner may not have there: with
// addresses that no host of the zone may have, or for all names without records where
// another owns a host. Errors: Invalid, Denied.
func checkOwners(p *call.Plan, at facts.Place, set model.RRset) error {
	hints, err := rules.HintsIn(set)
	if err != nil {
		return err
	}
	addrs := append(facts.AddressesIn([]model.RRset{set}), hints...)
	allowed, err := rules.AddressRulesOf(p, at.Zone, addrs)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if why := allowed.Unfit(a.Unmap()); why != "" {
			return model.E(model.Invalid, "set records", at.Name.Text()+" "+model.TypeName(set.Type)).In("rdata").Because(a.String() + ": " + why)
		}
	}
	if above, ok := at.Name.Parent(); ok && at.Name.IsWildcard() {
		return rules.CheckAlone(p, at.Zone, above, p.Owner, "fqdn")
	}
	return nil
}

// DeleteRecordSet removes a record set.
func (s *Service) DeleteRecordSet(ctx context.Context, in *pb.DeleteRecordSetRequest) (out *pb.DeleteRecordSetResponse, err error) {
	c, err := s.Authorize(ctx, access.RecordDelete, call.RecordAt(in.GetFqdn(), in.GetType()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, t, err := ownerAndType(in.GetFqdn(), in.GetType())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.DeleteRecordSetResponse, error) {
		at, err := recordPlace(p, name, t, in.GetEtag())
		if err != nil {
			return nil, err
		}
		old, had := model.FindRRset(at.Sets(), t)
		if !had {
			return nil, message.NoSet(name, t)
		}
		if err := Put(p, at, model.WithoutRRset(at.Sets(), t)); err != nil {
			return nil, err
		}
		p.Record(at.Zone.Name, name, model.TypeName(t), message.RRset(old), "")
		return &pb.DeleteRecordSetResponse{Change: &pb.Change{}}, nil
	})
}

// NewSet reads the records of a request. Errors are of kind Invalid.
func NewSet(t uint16, ttl uint32, rdata []string) (model.RRset, error) {
	if ttl > model.MaxTTL {
		return model.RRset{}, model.E(model.Invalid, "set records", model.TypeName(t)).In("ttl").Because("it is over 2147483647 seconds")
	}
	set, err := model.ParseRRset(t, ttl, rdata)
	if err != nil {
		return set, err
	}
	if set.Size() > model.MaxSetSize {
		return set, model.E(model.Invalid, "set records", model.TypeName(t)).In("rdata").Because("the record set does not fit a DNS message")
	}
	return set, nil
}

// recordPlace finds where records to be changed are kept. Errors: Invalid for
// types that have a way of their own; Aborted for another etag than given.
func recordPlace(p *call.Plan, name model.Name, t uint16, given string) (facts.Place, error) {
	refuse := func(why, hint string) (facts.Place, error) {
		return facts.Place{}, model.E(model.Invalid, "change records", name.Text()+" "+model.TypeName(t)).In("type").Because(why).Hint(hint)
	}
	at, err := facts.ReadPlace(p.Tx, name, t)
	if err != nil {
		return at, err
	}
	p.In = at.Zone
	if h := facts.HostOn(at.Path); h != nil {
		p.Owner = h.Host.Owner
	}
	switch {
	case t == dns.TypeSOA:
		return refuse("a SOA is made from its zone's settings", "change those, or import a zone file")
	case t == dns.TypeDS && at.Apex:
		return refuse("the DS of an apex belongs in the zone above, which is not served here", "give it to whoever serves that")
	case at.Data != nil && at.Data.Host != nil && rules.IsAddressType(t):
		return refuse("these are the addresses of a host", "set them with signpost host set-address, or setAddresses")
	case name.IsWildcard() && len(at.Path) > 1 && at.Path[1].Data != nil && at.Path[1].Data.Host != nil && at.Path[1].Data.Host.Wildcard:
		return facts.Place{}, model.E(model.Precondition, "change records", name.Text()).In("fqdn").
			Because("it is the wildcard of host " + at.Path[1].Name.Text()).Hint("take its wildcard away first")
	}
	return at, call.CheckEtag(given, name.Text(), at.Revision())
}

// Put plans the writing of a name's record sets. Errors: Precondition when they
// cannot stand together.
func Put(p *call.Plan, at facts.Place, sets []model.RRset) error {
	p.Changed = at.Zone
	refuse := func(why string) error {
		return model.E(model.Precondition, "change records of", at.Name.Text()).In("type").Because(why)
	}
	if at.Apex {
		if why := rules.ApexConflict(sets); why != "" {
			return refuse(why)
		}
		z := *at.Zone
		z.Apex = sets
		if err := z.Check(); err != nil {
			return err
		}
		if err := rules.FindServers(p, at.Zone, &z); err != nil {
			return err
		}
		if err := rules.KeepServer(&z, z.Name, facts.AddressesIn(at.Zone.Apex), facts.AddressesIn(sets)); err != nil {
			return err
		}
		p.PutZone(&z)
		return delegation.Put(p, &z, func(n model.Name) ([]netip.Addr, error) { return facts.AddressesOf(p.Tx, n) })
	}
	data := &model.NameData{RRsets: sets, Withdrawn: at.Withdrawn(sets)}
	if at.Data != nil {
		data.Host = at.Data.Host
	}
	if why := rules.Conflict(at.Name, data); why != "" {
		return refuse(why)
	}
	if h := at.Path[0].Host; data.Host != nil && h != nil && h.Follows != nil && facts.HasType(sets, rules.NoAddressBeside...) {
		return refuse("a host that follows another has no CNAME, NS or DNAME")
	}
	if err := rules.KeepServer(at.Zone, at.Name, facts.DataAddresses(at.Data), facts.DataAddresses(data)); err != nil {
		return err
	}
	p.PutName(at.Zone, at.Name, data)
	return nil
}
