// Package records answers one question: what is kept at a name besides hosts?
package records

import (
	"context"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for record sets.
type Service struct {
	pb.UnimplementedRecordServiceServer
	*call.Desk
}

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// ListRecordSets shows all record sets of a name, those of a host's addresses and
// an apex's SOA too.
func (s *Service) ListRecordSets(ctx context.Context, in *pb.ListRecordSetsRequest) (out *pb.ListRecordSetsResponse, err error) {
	c, err := s.Authorize(ctx, access.RecordRead, call.At(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		sets, err := message.RecordSets(tx, name)
		out = &pb.ListRecordSetsResponse{RecordSets: sets}
		return err
	})
	return out, err
}

// GetRecordSet shows one record set.
func (s *Service) GetRecordSet(ctx context.Context, in *pb.GetRecordSetRequest) (out *pb.RecordSet, err error) {
	c, err := s.Authorize(ctx, access.RecordRead, call.RecordAt(in.GetFqdn(), in.GetType()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, t, err := ownerAndType(in.GetFqdn(), in.GetType())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		out, err = message.RecordSet(tx, name, t)
		return err
	})
	return out, err
}

func ownerAndType(fqdn, rrtype string) (model.Name, uint16, error) {
	name, err := facts.ParseName("fqdn", fqdn)
	if err != nil {
		return "", 0, err
	}
	t, err := model.ParseType(rrtype)
	return name, t, err
}
