package zones

import (
	"context"
	"slices"
	"strings"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// UpdateZonePolicy changes who may do what in a zone.
func (s *Service) UpdateZonePolicy(ctx context.Context, in *pb.UpdateZonePolicyRequest) (out *pb.UpdateZonePolicyResponse, err error) {
	c, err := s.Authorize(ctx, access.ZoneOpen, call.At(in.GetName()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	if in.GetDefaultReserved() && in.Reserved != nil {
		return nil, model.E(model.Invalid, "change who may register", in.GetName()).In("default_reserved").
			Because("there are patterns in reserved, too").Hint("give one of them")
	}
	return call.Change(c, func(p *call.Plan) (*pb.UpdateZonePolicyResponse, error) {
		z, err := p.Zone(name)
		if err != nil {
			return nil, err
		}
		old, err := p.Policy(z)
		if err == nil {
			old, err = facts.StandingPolicy(p.Tx, old, s.Now())
		}
		if err != nil {
			return nil, err
		}
		if err := call.CheckEtag(in.GetEtag(), name.Text(), old.ModRevision); err != nil {
			return nil, err
		}
		next, err := WithPolicy(*old, in, c.Maker(), s.Now())
		if err != nil {
			return nil, err
		}
		if before, after := message.DescribePolicy(old), message.DescribePolicy(next); before != after || !next.Grants.Equal(old.Grants) {
			p.PutPolicy(z, next)
			p.Record(name, "", "", before, after)
		}
		return &pb.UpdateZonePolicyResponse{Policy: message.ZonePolicy(next), Change: &pb.Change{}}, nil
	})
}

// WithPolicy is a policy with what a request changes that a token made, or nobody's.
// Errors are of kind Invalid.
func WithPolicy(p model.ZonePolicy, in *pb.UpdateZonePolicyRequest, maker []byte, now time.Time) (*model.ZonePolicy, error) {
	if in.Register != nil {
		register, err := model.ParseRegister("register", in.GetRegister())
		if err != nil {
			return nil, err
		}
		p.Grants = p.Grants.Said(model.GrantRegister, register == p.Register, maker)
		p.Register = register
	}
	for _, list := range []struct {
		field, grant string
		given        *pb.Words
		to           *[]model.PrincipalName
	}{{"admins", model.GrantAdmin, in.GetAdmins(), &p.Admins}, {"groups", model.GrantGroup, in.GetGroups(), &p.Groups}} {
		if list.given == nil {
			continue
		}
		names, err := rules.PrincipalNames(list.field, list.given.GetValues())
		if err != nil {
			return nil, err
		}
		for _, old := range *list.to {
			if !slices.Contains(names, old) {
				p.Grants = p.Grants.With(list.grant+string(old), nil)
			}
		}
		for _, n := range names {
			p.Grants = p.Grants.Said(list.grant+string(n), slices.Contains(*list.to, n), maker)
		}
		*list.to = names
	}
	switch {
	case in.GetDefaultReserved():
		p.Reserved = nil
	case in.Reserved != nil:
		p.Reserved = []string{}
		for _, r := range in.GetReserved().GetValues() {
			p.Reserved = append(p.Reserved, strings.ToLower(r))
		}
	}
	message.Set(&p.Depth, in.Depth)
	message.Set(&p.MaxHosts, in.MaxHosts)
	message.Set(&p.MaxChanges, in.MaxChanges)
	message.Set(&p.MaxRecords, in.MaxRecords)
	message.Set(&p.MaxOctets, in.MaxOctets)
	message.Set(&p.MaxNames, in.MaxNames)
	if in.PrivateAddresses != nil {
		p.NoPrivate = !in.GetPrivateAddresses()
	}
	if in.Quarantine != nil {
		if p.Quarantine = int32(in.GetQuarantine()); p.Quarantine == 0 {
			p.Quarantine = model.NoQuarantine
		}
	}
	if in.Lease != nil && in.GetLease() != p.Lease {
		p.Lease, p.LeaseTime = in.GetLease(), now.UTC().Truncate(time.Second)
	}
	return &p, p.Check()
}
