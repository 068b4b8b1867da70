package controlapi

import (
	"context"

	"signpost/internal/access"
	pb "signpost/proto/signpost/v1"
)

// AcceptZone says that losing most names of a zone, or the zone itself, is meant.
// There need be no such zone: it may be the one that was lost. No etag guards it,
// for what it lets go of is only known to the name servers.
func (s *Service) AcceptZone(ctx context.Context, in *pb.AcceptZoneRequest) (out *pb.AcceptZoneResponse, err error) {
	c, err := s.authorize(ctx, access.ZoneAccept, at(in.GetName()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	name, err := ownerName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	return change(c, func(p *plan) (*pb.AcceptZoneResponse, error) {
		p.Accept(name)
		p.record(name, "", "what is lost of it is meant", "", "")
		return &pb.AcceptZoneResponse{Change: &pb.Change{}}, nil
	})
}
