package controlapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
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
		next, err := withPolicy(*old, in, c.Maker(), s.Now())
		if err != nil {
			return nil, err
		}
		if before, after := describePolicy(old), describePolicy(next); before != after || !next.Grants.Equal(old.Grants) {
			p.PutPolicy(z, next)
			p.Record(name, "", "", before, after)
		}
		return &pb.UpdateZonePolicyResponse{Policy: policyMessage(next), Change: &pb.Change{}}, nil
	})
}

// withPolicy is a policy with what a request changes that a token made, or nobody's.
// Errors are of kind Invalid.
func withPolicy(p model.ZonePolicy, in *pb.UpdateZonePolicyRequest, maker []byte, now time.Time) (*model.ZonePolicy, error) {
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
		names, err := principalNames(list.field, list.given.GetValues())
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
	set(&p.Depth, in.Depth)
	set(&p.MaxHosts, in.MaxHosts)
	set(&p.MaxChanges, in.MaxChanges)
	set(&p.MaxRecords, in.MaxRecords)
	set(&p.MaxOctets, in.MaxOctets)
	set(&p.MaxNames, in.MaxNames)
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

// principalNames reads people and groups, without those given twice. Errors are of kind
// Invalid and name the field.
func principalNames(field string, texts []string) ([]model.PrincipalName, error) {
	var out []model.PrincipalName
	for i, text := range texts {
		n, err := model.ParsePrincipalName(fmt.Sprintf("%s[%d]", field, i), text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out, nil
}

func policyMessage(p *model.ZonePolicy) *pb.ZonePolicy {
	d := p.WithDefaults()
	return &pb.ZonePolicy{
		Admins: words(p.Admins), Register: p.Register.String(), Groups: words(p.Groups),
		Reserved: d.Reserved, Depth: d.Depth, MaxHosts: d.MaxHosts, MaxChanges: d.MaxChanges, Etag: call.Etag(p.ModRevision),
		Quarantine: uint32(max(0, d.Quarantine)), Lease: d.Lease, MaxRecords: d.MaxRecords, MaxOctets: d.MaxOctets, MaxNames: d.MaxNames,
		PrivateAddresses: !d.NoPrivate,
	}
}

func words(names []model.PrincipalName) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

// describePolicy is a policy for people, as audit records show it.
func describePolicy(p *model.ZonePolicy) string {
	d := p.WithDefaults()
	return fmt.Sprintf("admins [%s], register %s, groups [%s], reserved [%s], depth %d, max_hosts %d, max_changes %d, quarantine %s, lease %s, max_records %d, max_octets %d, max_names %d, private_addresses %t",
		strings.Join(words(p.Admins), " "), p.Register, strings.Join(words(p.Groups), " "), strings.Join(d.Reserved, " "), d.Depth, d.MaxHosts, d.MaxChanges,
		time.Duration(max(0, d.Quarantine))*time.Second, time.Duration(d.Lease)*time.Second, d.MaxRecords, d.MaxOctets, d.MaxNames, !d.NoPrivate)
}
