package controlapi

import (
	"context"
	"strconv"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// GetStatus shows what the server and etcd say of themselves and, for a name, what
// it holds and who serves its zone as it is now.
func (s *Service) GetStatus(ctx context.Context, in *pb.GetStatusRequest) (out *pb.ServerStatus, err error) {
	c, err := s.authorize(ctx, access.StatusRead, at(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	of, err := s.store.Status(ctx)
	if err != nil {
		return nil, err
	}
	out = &pb.ServerStatus{Version: s.version}
	everything := access.Decide(c.who, access.StatusRead, access.Resource{}) == nil
	if everything {
		out.ClusterId, out.DatabaseBytes, out.DatabaseQuotaBytes = strconv.FormatUint(of.Cluster, 16), of.Bytes, of.QuotaBytes
	}
	err = c.read(func(tx *store.Tx) error {
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
	return out, c.nameStatus(in.GetFqdn(), out)
}

func (c *call) nameStatus(fqdn string, out *pb.ServerStatus) error {
	name, err := ownerName("fqdn", fqdn)
	if err != nil {
		return err
	}
	var q question
	var servers []server
	err = c.read(func(tx *store.Tx) error {
		if q, servers, err = c.s.questionAbout(tx, name); err != nil {
			return err
		}
		if out.RecordSets, err = recordSets(tx, name); err != nil {
			return err
		}
		z, h, err := findHost(tx, name, c.s.now())
		if err == nil {
			out.Host = hostMessage(z, h)
		} else if model.KindOf(err) != model.NotFound {
			return err
		}
		return nil
	})
	if err == nil {
		out.NameServers = askAll(c.ctx, servers, q, false)
	}
	return err
}
