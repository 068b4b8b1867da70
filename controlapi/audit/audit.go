// Package audit answers one question: who changed what, as far as the caller may know?
package audit

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for records of who changed what.
type Service struct {
	pb.UnimplementedAuditServiceServer
	*call.Desk
}

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// ListAuditRecords shows who changed what, the newest first.
func (s *Service) ListAuditRecords(ctx context.Context, in *pb.ListAuditRecordsRequest) (out *pb.ListAuditRecordsResponse, err error) {
	c, err := s.Authorize(ctx, access.AuditRead, call.At(cmp.Or(in.GetFqdn(), in.GetZone())), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	match, err := auditFilter(in)
	if err != nil {
		return nil, err
	}
	since, err := auditSince(in.GetSince())
	if err != nil {
		return nil, err
	}
	query := call.ListOf("audit", in.GetZone(), in.GetFqdn(), in.GetPrincipal(), in.GetAction(), strconv.FormatInt(since.UnixMilli(), 10))
	before, err := query.Read(in.GetPageToken())
	if err == nil && before != "" && !store.IsAuditID(before) {
		err = call.BadToken(in.GetPageToken())
	}
	if err != nil {
		return nil, err
	}
	end, err := s.Turns.Wait(ctx, c.Who.Name()) // it may read very many to find few
	if err != nil {
		return nil, model.E(model.Unavailable, "list audit records", "").Because("another list of yours is still being read").From(err)
	}
	defer end()
	err = c.Read(func(tx *store.Tx) error {
		shown, err := auditShown(c, tx)
		if err != nil {
			return err
		}
		records, more, err := tx.AuditRecords(before, since, call.PageSize(in.GetPageSize()), func(r *model.AuditRecord) bool { return match(r) && shown(r) })
		if err != nil {
			return err
		}
		out = &pb.ListAuditRecordsResponse{NextPageToken: query.Token(more)}
		for _, r := range records {
			out.Records = append(out.Records, message.AuditRecord(r))
		}
		return nil
	})
	return out, err
}

// auditSince is the time from which on records are wanted; the zero time: all.
func auditSince(at *timestamppb.Timestamp) (time.Time, error) {
	if at == nil {
		return time.Time{}, nil
	}
	if err := at.CheckValid(); err != nil {
		return time.Time{}, model.E(model.Invalid, "list audit records", "").In("since").Because("it is no time")
	}
	return at.AsTime(), nil
}

// auditShown is which records the caller may read of what they asked about: of a zone that
// they administer, those of the zone as it is now; of a host that they own or edit, those
// from the time of its owner.
func auditShown(c *call.Call, tx *store.Tx) (func(*model.AuditRecord) bool, error) {
	all := func(*model.AuditRecord) bool { return true }
	if c.Who.Kind != access.User || c.Who.Operator {
		return all, nil
	}
	r, err := facts.Known(tx, c.Who, c.Action, c.Resource, c.Desk.Now())
	if err != nil {
		return nil, err
	}
	var administers *model.Zone
	if r.Policy != nil && c.Who.Among(r.Policy.Admins) {
		if administers, err = tx.Zone(r.Zone); err != nil {
			return nil, err
		}
	}
	return func(a *model.AuditRecord) bool {
		return administers != nil && facts.IsOf(administers, a) || r.Owner != "" && a.Owner == r.Owner
	}, nil
}

func auditFilter(in *pb.ListAuditRecordsRequest) (func(*model.AuditRecord) bool, error) {
	var zone, name model.Name
	var err error
	if in.GetZone() != "" {
		if zone, err = facts.ParseName("zone", in.GetZone()); err != nil {
			return nil, err
		}
	}
	if in.GetFqdn() != "" {
		if name, err = facts.ParseName("fqdn", in.GetFqdn()); err != nil {
			return nil, err
		}
	}
	return func(r *model.AuditRecord) bool {
		about := r.Name
		if about == "" {
			about = r.Zone
		}
		return (zone == "" || r.Zone == zone) && (name == "" || about == name) &&
			(in.GetPrincipal() == "" || r.Principal == in.GetPrincipal()) && ofAction(r.Action, in.GetAction())
	}, nil
}

// ofAction reports whether an action is the wanted one, or of the wanted kind; all are of
// the empty kind.
func ofAction(action, want string) bool {
	return want == "" || action == want || strings.HasPrefix(action, want+".")
}
