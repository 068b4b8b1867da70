package controlapi

import (
	"context"
	"strconv"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/served"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Status is the service for what the server says of itself.
type Status struct {
	pb.UnimplementedServerServiceServer
	*call.Desk
	version string
}

// NewStatus makes the service of a server of this version.
func NewStatus(d *call.Desk, version string) *Status { return &Status{Desk: d, version: version} }

// GetStatus shows what the server and etcd say of themselves and, for a name, what
// it holds and who serves its zone as it is now.
func (s *Status) GetStatus(ctx context.Context, in *pb.GetStatusRequest) (out *pb.ServerStatus, err error) {
	c, err := s.Authorize(ctx, access.StatusRead, call.At(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	of, err := s.Store.Status(ctx)
	if err != nil {
		return nil, err
	}
	out = &pb.ServerStatus{Version: s.version}
	everything := access.Decide(c.Who, access.StatusRead, access.Resource{}) == nil
	if everything {
		out.ClusterId, out.DatabaseBytes, out.DatabaseQuotaBytes = strconv.FormatUint(of.Cluster, 16), of.Bytes, of.QuotaBytes
	}
	err = c.Read(func(tx *store.Tx) error {
		if out.Revision, err = tx.Revision(); err != nil {
			return err
		}
		if !everything {
			return nil
		}
		zones, err := tx.Zones("", 0)
		out.Zones = int32(len(zones))
		return err
	})
	if err != nil || in.GetFqdn() == "" {
		return out, err
	}
	return out, nameStatus(c, in.GetFqdn(), out)
}

func nameStatus(c *call.Call, fqdn string, out *pb.ServerStatus) error {
	name, err := facts.ParseName("fqdn", fqdn)
	if err != nil {
		return err
	}
	var q served.Question
	var servers []served.Server
	err = c.Read(func(tx *store.Tx) error {
		if q, servers, err = c.Desk.NameServers.About(tx, name); err != nil {
			return err
		}
		if out.RecordSets, err = message.RecordSets(tx, name); err != nil {
			return err
		}
		z, h, err := facts.FindHost(tx, name, c.Desk.Now())
		if err == nil {
			out.Host = message.Host(z, h)
		} else if model.KindOf(err) != model.NotFound {
			return err
		}
		return nil
	})
	if err == nil {
		out.NameServers = served.Ask(c.Ctx, servers, q, false)
	}
	return err
}
