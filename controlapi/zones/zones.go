// Package zones answers one question: which zones are there, how are they set, and who may
// do what in them?
package zones

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi/call"
	"signpost/controlapi/delegation"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for zones, but for their files.
type Service struct {
	pb.UnimplementedZoneServiceServer
	*call.Desk
}

// New makes the service.
func New(d *call.Desk) *Service { return &Service{Desk: d} }

// GetZone shows a zone.
func (s *Service) GetZone(ctx context.Context, in *pb.GetZoneRequest) (out *pb.Zone, err error) {
	c, err := s.Authorize(ctx, access.ZoneRead, call.At(in.GetName()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		z, err := tx.Zone(name)
		if err != nil {
			return err
		}
		if out, err = message.Zone(tx, z); err != nil {
			return err
		}
		if out.Import, err = importMessage(tx, name); err != nil {
			return err
		}
		if err := showPolicy(c, tx, z, out); err != nil {
			return err
		}
		if out.Policy == nil && out.Import != nil {
			out.Import.Principal = ""
		}
		return nil
	})
	return out, err
}

// showPolicy adds to a zone what callers may know of who may do what in it.
func showPolicy(c *call.Call, tx *store.Tx, z *model.Zone, m *pb.Zone) error {
	policy, err := tx.Policy(z)
	if err == nil {
		policy, err = facts.StandingPolicy(tx, policy, c.Desk.Now())
	}
	if err != nil {
		return err
	}
	m.Public = policy.Register == model.RegisterEveryone
	if c.May(tx, access.ZoneOpen, access.Resource{Name: z.Name}) == nil {
		m.Policy = message.ZonePolicy(policy)
	}
	return nil
}

// importMessage is the import of a zone that is under way; nil: none.
func importMessage(tx *store.Tx, zone model.Name) (*pb.ImportStatus, error) {
	i, err := tx.Import(zone)
	if i == nil || err != nil {
		return nil, err
	}
	return &pb.ImportStatus{
		Principal: i.Principal, StartTime: timestamppb.New(i.StartTime), Closed: i.Closed, Progress: message.ImportProgress(i.Progress),
	}, nil
}

// ListZones shows zones in the order of their names read from the right.
func (s *Service) ListZones(ctx context.Context, in *pb.ListZonesRequest) (out *pb.ListZonesResponse, err error) {
	c, err := s.Authorize(ctx, access.ZoneList, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	query := call.ListOf("zones")
	after, err := query.Read(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	if after != "" {
		if name, err := model.ParseName(after); err != nil || string(name) != after {
			return nil, call.BadToken(in.GetPageToken())
		}
	}
	size := call.PageSize(in.GetPageSize())
	err = c.Read(func(tx *store.Tx) error {
		out = &pb.ListZonesResponse{}
		last := model.Name("") // that is shown
		for from := model.Name(after); ; {
			zones, err := tx.Zones(from, size)
			if err != nil {
				return err
			}
			for _, z := range zones {
				if c.May(tx, access.ZoneRead, access.Resource{Name: z.Name}) != nil {
					continue
				}
				if len(out.Zones) == size {
					out.NextPageToken = query.Token(last.String())
					return nil
				}
				m, err := message.Zone(tx, z)
				if err == nil {
					err = showPolicy(c, tx, z, m)
				}
				if err != nil {
					return err
				}
				out.Zones = append(out.Zones, m)
				last = z.Name
			}
			if len(zones) < size {
				return nil
			}
			from = zones[size-1].Name
		}
	})
	return out, err
}

// UpdateZone changes the settings of a zone.
func (s *Service) UpdateZone(ctx context.Context, in *pb.UpdateZoneRequest) (out *pb.UpdateZoneResponse, err error) {
	action := access.ZoneUpdate
	if in.LocalAddresses != nil {
		action = access.ZoneLimits
	}
	c, err := s.Authorize(ctx, action, call.At(in.GetName()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.UpdateZoneResponse, error) {
		old, err := p.Zone(name)
		if err != nil {
			return nil, err
		}
		if err := call.CheckEtag(in.GetEtag(), name.Text(), old.ModRevision); err != nil {
			return nil, err
		}
		z := *old
		message.Set(&z.TTL, in.Ttl)
		message.Set(&z.MinTTL, in.MinTtl)
		message.Set(&z.MaxTTL, in.MaxTtl)
		message.Set(&z.NegativeTTL, in.NegativeTtl)
		message.Set(&z.LocalAddresses, in.LocalAddresses)
		if err := z.Check(); err != nil {
			return nil, err
		}
		m, err := message.Zone(p.Tx, &z)
		if err != nil {
			return nil, err
		}
		if before, after := settings(old), settings(&z); before != after {
			putZone(p, &z, m)
			p.Record(name, "", "", before, after)
		}
		return &pb.UpdateZoneResponse{Zone: m, Change: &pb.Change{}}, nil
	})
}

// putZone plans the writing of a zone and prepares its message for stamp, which
// adds the revision of the change to the serial.
func putZone(p *call.Plan, z *model.Zone, m *pb.Zone) {
	p.Changed = z
	p.PutZone(z)
	m.Serial = z.Serial(0)
}

// settings is what UpdateZone can change, for people.
func settings(z *model.Zone) string {
	return fmt.Sprintf("ttl %d, min_ttl %d, max_ttl %d, negative_ttl %d, local_addresses %t",
		z.TTL, z.MinTTL, z.MaxTTL, z.NegativeTTL, z.LocalAddresses)
}

// DeleteZone removes a zone, with force all that is in it.
func (s *Service) DeleteZone(ctx context.Context, in *pb.DeleteZoneRequest) (out *pb.DeleteZoneResponse, err error) {
	c, err := s.Authorize(ctx, access.ZoneDelete, call.At(in.GetName()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := facts.ParseName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.DeleteZoneResponse, error) {
		z, err := p.Zone(name)
		if err != nil {
			return nil, err
		}
		if err := call.CheckEtag(in.GetEtag(), name.Text(), z.ModRevision); err != nil {
			return nil, err
		}
		if !in.GetForce() {
			held, err := Holds(p.Tx, z)
			if err != nil {
				return nil, err
			}
			if held != "" {
				return nil, model.E(model.Precondition, "delete zone", name.Text()).In("force").
					Because("it holds names, " + held.Text() + " among them").Hint("delete it with force to remove all that is in it")
			}
		}
		if err := delegation.Remove(p, z); err != nil {
			return nil, err
		}
		p.Changed, p.Gone = z, true
		p.DeleteZone(z)
		p.Record(name, "", "", fmt.Sprintf("name servers %v, %s", z.NS(), settings(z)), "")
		return &pb.DeleteZoneResponse{Change: &pb.Change{}}, nil
	})
}

// Holds is a name that the zone holds besides its apex and the addresses of its
// own name servers, which are part of its frame; "" when there is none. A name
// that appears before the commit makes the change be decided again.
func Holds(tx *store.Tx, z *model.Zone) (model.Name, error) {
	frame := map[model.Name]bool{}
	for _, ns := range z.NS() {
		if n, err := model.ParseName(ns); err == nil {
			frame[n] = true
		}
	}
	names, err := tx.Names(z, "", len(frame)+1)
	if err != nil {
		return "", err
	}
	for _, n := range names {
		if !frame[n.Name] || n.Data.Host != nil || !rules.OnlyAddresses(n.Data.RRsets) {
			return n.Name, nil
		}
	}
	return "", nil
}
