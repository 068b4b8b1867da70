package controlapi

import (
	"context"
	"net/netip"
	"strings"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

func isAddressType(t uint16) bool { return t == dns.TypeA || t == dns.TypeAAAA }

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
	wanted, err := newSet(t, in.GetTtl(), in.GetRdata())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetRecordSetResponse, error) {
		at, err := recordPlace(p, name, t, in.GetEtag())
		if err != nil {
			return nil, err
		}
		if err := checkTTL(at.zone, in.GetTtl()); err != nil {
			return nil, err
		}
		if p.Owner != "" {
			if err := checkOwners(p, at, wanted); err != nil {
				return nil, err
			}
		}
		set := wanted
		if set.TTL == 0 {
			set.TTL = at.zone.WithDefaults().TTL
		}
		old, had := model.FindRRset(at.sets(), t)
		if !had || !old.Equal(set) {
			if err := checkBounds(p, at, set); err != nil {
				return nil, err
			}
			if err := putSets(p, at, model.WithRRset(at.sets(), set)); err != nil {
				return nil, err
			}
			p.Record(at.zone.Name, name, model.TypeName(t), setText(old), setText(set))
		}
		return &pb.SetRecordSetResponse{RecordSet: at.message(set), Change: &pb.Change{}}, nil
	})
}

// checkOwners refuses records at and below a host that its owner may not have there: with
// addresses that no host of the zone may have, or for all names without records where
// another owns a host. Errors: Invalid, Denied.
func checkOwners(p *call.Plan, at place, set model.RRset) error {
	hints, err := hintsIn(set)
	if err != nil {
		return err
	}
	addrs := append(facts.AddressesIn([]model.RRset{set}), hints...)
	rules, err := addressRulesFor(p, at.zone, addrs)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if why := rules.unfit(a.Unmap()); why != "" {
			return model.E(model.Invalid, "set records", at.name.Text()+" "+model.TypeName(set.Type)).In("rdata").Because(a.String() + ": " + why)
		}
	}
	if above, ok := at.name.Parent(); ok && at.name.IsWildcard() {
		return checkAlone(p, at.zone, above, p.Owner, "fqdn")
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
		old, had := model.FindRRset(at.sets(), t)
		if !had {
			return nil, noSet(name, t)
		}
		if err := putSets(p, at, model.WithoutRRset(at.sets(), t)); err != nil {
			return nil, err
		}
		p.Record(at.zone.Name, name, model.TypeName(t), setText(old), "")
		return &pb.DeleteRecordSetResponse{Change: &pb.Change{}}, nil
	})
}

// newSet reads the records of a request. Errors are of kind Invalid.
func newSet(t uint16, ttl uint32, rdata []string) (model.RRset, error) {
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
func recordPlace(p *call.Plan, name model.Name, t uint16, given string) (place, error) {
	refuse := func(why, hint string) (place, error) {
		return place{}, model.E(model.Invalid, "change records", name.Text()+" "+model.TypeName(t)).In("type").Because(why).Hint(hint)
	}
	at, err := readPlace(p.Tx, name, t)
	if err != nil {
		return at, err
	}
	p.In = at.zone
	if h := facts.HostOn(at.path); h != nil {
		p.Owner = h.Host.Owner
	}
	switch {
	case t == dns.TypeSOA:
		return refuse("a SOA is made from its zone's settings", "change those, or import a zone file")
	case t == dns.TypeDS && at.apex:
		return refuse("the DS of an apex belongs in the zone above, which is not served here", "give it to whoever serves that")
	case at.data != nil && at.data.Host != nil && isAddressType(t):
		return refuse("these are the addresses of a host", "set them with signpost host set-address, or setAddresses")
	case name.IsWildcard() && len(at.path) > 1 && at.path[1].Data != nil && at.path[1].Data.Host != nil && at.path[1].Data.Host.Wildcard:
		return place{}, model.E(model.Precondition, "change records", name.Text()).In("fqdn").
			Because("it is the wildcard of host " + at.path[1].Name.Text()).Hint("take its wildcard away first")
	}
	return at, call.CheckEtag(given, name.Text(), at.revision())
}

// putSets plans the writing of a name's record sets. Errors: Precondition when they
// cannot stand together.
func putSets(p *call.Plan, at place, sets []model.RRset) error {
	p.Changed = at.zone
	refuse := func(why string) error {
		return model.E(model.Precondition, "change records of", at.name.Text()).In("type").Because(why)
	}
	if at.apex {
		if why := apexConflict(sets); why != "" {
			return refuse(why)
		}
		z := *at.zone
		z.Apex = sets
		if err := z.Check(); err != nil {
			return err
		}
		if err := findServers(p, at.zone, &z); err != nil {
			return err
		}
		if err := keepServer(&z, z.Name, facts.AddressesIn(at.zone.Apex), facts.AddressesIn(sets)); err != nil {
			return err
		}
		p.PutZone(&z)
		return delegate(p, &z, func(n model.Name) ([]netip.Addr, error) { return facts.AddressesOf(p.Tx, n) })
	}
	data := &model.NameData{RRsets: sets, Withdrawn: at.withdrawn(sets)}
	if at.data != nil {
		data.Host = at.data.Host
	}
	if why := conflict(at.name, data); why != "" {
		return refuse(why)
	}
	if h := at.path[0].Host; data.Host != nil && h != nil && h.Follows != nil && facts.HasType(sets, noAddressBeside...) {
		return refuse("a host that follows another has no CNAME, NS or DNAME")
	}
	if err := keepServer(at.zone, at.name, facts.DataAddresses(at.data), facts.DataAddresses(data)); err != nil {
		return err
	}
	p.PutName(at.zone, at.name, data)
	return nil
}

func setText(set model.RRset) string {
	return strings.Join(set.Text(), "; ")
}
