package hosts

import (
	"context"
	"slices"

	"signpost/controlapi/call"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// LeaveHost takes the caller out of a host's editors.
func (s *Service) LeaveHost(ctx context.Context, in *pb.LeaveHostRequest) (out *pb.LeaveHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostLeave, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.LeaveHostResponse, error) {
		z, old, err := p.Host(name, "")
		if err != nil {
			return nil, err
		}
		me := func(e model.PrincipalName) bool { return e == c.Who.Person }
		if c.Who.Kind != access.User || !slices.ContainsFunc(old.Host.Editors, me) {
			return nil, model.E(model.Precondition, "leave host", name.Text()).In("fqdn").Because("you are no editor of it by your own name").
				Hint("who edits it as a member of a group asks its owner, or leaves the group")
		}
		control := *old.Host
		control.Editors = slices.DeleteFunc(slices.Clone(control.Editors), me)
		control.Grants = control.Grants.With(model.GrantEditor+string(c.Who.Person), nil)
		p.PutHost(z, name, old.Host, &control)
		p.Record(z.Name, name, "", "editors "+message.Listed(old.Host.Editors), "editors "+message.Listed(control.Editors))
		return &pb.LeaveHostResponse{Change: &pb.Change{}}, nil
	})
}
