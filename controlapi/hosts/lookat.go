package hosts

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

// LookAtHost is GetHost without when the secret was last used, for the ways in that put
// addresses together before they set them: it asks etcd once.
func (s *Service) LookAtHost(ctx context.Context, in *pb.GetHostRequest) (*pb.Host, error) {
	return s.showHost(ctx, in, false)
}

func (s *Service) showHost(ctx context.Context, in *pb.GetHostRequest, use bool) (out *pb.Host, err error) {
	c, err := s.Authorize(ctx, access.HostRead, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		out, err = hostIn(c, tx, name, use)
		return err
	})
	return out, err
}

// LookAtHosts is LookAtHost for several in one look, in which also who is asking is found
// out. errs says of each why it is not shown; err is of the call.
func (s *Service) LookAtHosts(ctx context.Context, names []model.Name) (hosts []*pb.Host, errs []error, err error) {
	c, err := s.Authorize(ctx, access.WhoAmI, access.Resource{}, &pb.WhoAmIRequest{})
	if err != nil {
		return nil, nil, err
	}
	defer c.Done(&err)
	err = c.Read(func(tx *store.Tx) error {
		hosts, errs = make([]*pb.Host, len(names)), make([]error, len(names))
		for i, name := range names {
			if errs[i] = mayOne(c, tx, access.HostRead, name); errs[i] == nil {
				hosts[i], errs[i] = hostIn(c, tx, name, false)
			}
			if model.KindOf(errs[i]) == model.Unavailable && errs[i] != nil {
				return errs[i]
			}
		}
		return nil
	})
	return hosts, errs, err
}

// hostIn is a host as it is shown to those who may see it.
func hostIn(c *call.Call, tx *store.Tx, name model.Name, use bool) (*pb.Host, error) {
	z, h, err := facts.FindHost(tx, name, c.Desk.Now())
	if err != nil {
		return nil, err
	}
	policy, err := tx.Policy(z)
	if err != nil {
		return nil, err
	}
	out := message.Leased(message.Host(z, h), policy, h.Host)
	if !use {
		return out, nil
	}
	if c.May(tx, access.EndpointRead, c.Resource) == nil {
		out.EndpointAddresses = message.EndpointAddresses(h.Data.Host)
	}
	used, err := tx.HostUses(z, []store.Named{h})
	if err == nil {
		out.SecretUseTime = message.Time(used[0])
	}
	return out, err
}
