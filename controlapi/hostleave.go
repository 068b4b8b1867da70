package controlapi

import (
	"context"
	"slices"

	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// LeaveHost takes the caller out of a host's editors.
func (s *Service) LeaveHost(ctx context.Context, in *pb.LeaveHostRequest) (out *pb.LeaveHostResponse, err error) {
	c, err := s.authorize(ctx, access.HostLeave, hostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	return change(c, func(p *plan) (*pb.LeaveHostResponse, error) {
		z, old, err := p.host(name, "")
		if err != nil {
			return nil, err
		}
		me := func(e model.PrincipalName) bool { return e == c.who.Person }
		if c.who.Kind != access.User || !slices.ContainsFunc(old.Host.Editors, me) {
			return nil, model.E(model.Precondition, "leave host", name.Text()).In("fqdn").Because("you are no editor of it by your own name").
				Hint("who edits it as a member of a group asks its owner, or leaves the group")
		}
		control := *old.Host
		control.Editors = slices.DeleteFunc(slices.Clone(control.Editors), me)
		control.Grants = control.Grants.With(model.GrantEditor+string(c.who.Person), nil)
		p.PutHost(z, name, old.Host, &control)
		p.record(z.Name, name, "", "editors "+listed(old.Host.Editors), "editors "+listed(control.Editors))
		return &pb.LeaveHostResponse{Change: &pb.Change{}}, nil
	})
}
