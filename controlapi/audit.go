package controlapi

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// ListAuditRecords shows who changed what, the newest first.
func (s *Service) ListAuditRecords(ctx context.Context, in *pb.ListAuditRecordsRequest) (out *pb.ListAuditRecordsResponse, err error) {
	c, err := s.authorize(ctx, access.AuditRead, at(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	match, err := auditFilter(in)
	if err != nil {
		return nil, err
	}
	before, err := readPageToken(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	err = c.read(func(tx *store.Tx) error {
		records, more, err := tx.AuditRecords(before, pageSize(in.GetPageSize()), match)
		if err != nil {
			return err
		}
		out = &pb.ListAuditRecordsResponse{NextPageToken: pageToken(more)}
		for _, r := range records {
			out.Records = append(out.Records, auditMessage(r))
		}
		return nil
	})
	return out, err
}

func auditFilter(in *pb.ListAuditRecordsRequest) (func(*model.AuditRecord) bool, error) {
	var zone, name model.Name
	var err error
	if in.GetZone() != "" {
		if zone, err = ownerName("zone", in.GetZone()); err != nil {
			return nil, err
		}
	}
	if in.GetFqdn() != "" {
		if name, err = ownerName("fqdn", in.GetFqdn()); err != nil {
			return nil, err
		}
	}
	return func(r *model.AuditRecord) bool {
		about := r.Name
		if about == "" {
			about = r.Zone
		}
		return (zone == "" || r.Zone == zone) && (name == "" || about == name)
	}, nil
}

func auditMessage(r *model.AuditRecord) *pb.AuditRecord {
	m := &pb.AuditRecord{
		Id: r.ID, Time: timestamppb.New(r.Time), Revision: r.Revision, Principal: r.Principal, Source: r.Source,
		RequestId: r.RequestID, Action: r.Action, Zone: r.Zone.Text(), Detail: r.Detail, Before: r.Before, After: r.After,
	}
	if r.Name != "" {
		m.Name = r.Name.Text()
	}
	return m
}
