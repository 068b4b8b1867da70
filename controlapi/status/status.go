// Package status answers one question: what does the server say of itself, and of who
// serves a name?
package status

import (
	"context"
	"strconv"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/visibility"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for what the server says of itself.
type Service struct {
	pb.UnimplementedServerServiceServer
	*call.Desk
	version string
}

// New makes the service of a server of this version.
func New(d *call.Desk, version string) *Service { return &Service{Desk: d, version: version} }

// GetStatus shows what the server and etcd say of themselves and, for a name, what
// it holds and who serves its zone as it is now.
func (s *Service) GetStatus(ctx context.Context, in *pb.GetStatusRequest) (out *pb.ServerStatus, err error) {
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
	everything := call.Known(c.Who, access.StatusRead, access.Resource{}) == nil
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
	var q visibility.Question
	var servers []visibility.Server
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
		out.NameServers = visibility.Ask(c.Ctx, servers, q, false)
	}
	return err
}
