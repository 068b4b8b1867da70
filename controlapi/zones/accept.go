package zones

import (
	"context"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	pb "signpost/proto/signpost/v1"
)

// AcceptZone says that losing most names of a zone, or the zone itself, is meant.
// There need be no such zone: it may be the one that was lost. No etag guards it,
// for what it lets go of is only known to the name servers.
func (s *Service) AcceptZone(ctx context.Context, in *pb.AcceptZoneRequest) (out *pb.AcceptZoneResponse, err error) {
	c, err := s.Authorize(ctx, access.ZoneAccept, call.At(in.GetName()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.AcceptZoneResponse, error) {
		p.Accept(name)
		p.Record(name, "", "what is lost of it is meant", "", "")
		return &pb.AcceptZoneResponse{Change: &pb.Change{}}, nil
	})
}
