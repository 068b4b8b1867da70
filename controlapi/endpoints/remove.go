package endpoints

import (
	"context"
	"fmt"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/guard"
	"signpost/controlapi/hosts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// RemoveEndpoint removes an endpoint with its secret and what an operator says of it.
func (s *Service) RemoveEndpoint(ctx context.Context, in *pb.RemoveEndpointRequest) (out *pb.RemoveEndpointResponse, err error) {
	c, err := s.Authorize(ctx, access.EndpointRemove, call.EndpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.RemoveEndpointResponse, error) {
		z, old, err := p.Host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		was := old.Data.Host.Endpoint(in.GetId())
		if was == nil {
			return nil, noEndpoint(name, in.GetId())
		}
		h := *old.Data.Host
		h.Endpoints = h.WithoutEndpoint(was.ID)
		if err := guard.Host(p, z, old, in.GetConfirmLast(), guard.Nothing, &h); err != nil {
			return nil, err
		}
		if err := hosts.CheckFollowed(old, h.Addresses()); err != nil {
			return nil, err
		}
		next, err := PutHostData(p, z, old, &h)
		if err != nil {
			return nil, err
		}
		if old.Host.Secret(was.ID) != nil {
			control := *old.Host
			control.Secrets, control.Grants = control.WithoutSecret(was.ID), control.Grants.With(model.GrantEndpointSecret+was.ID, nil)
			p.PutHost(z, name, old.Host, &control)
		}
		p.Record(z.Name, name, was.ID, describeEndpoint(was), "")
		if was.ID == model.MainEndpoint {
			policy, err := p.Glance(z)
			if err != nil {
				return nil, err
			}
			if err := hosts.Lead(p, z, policy, next, in.GetConfirmLast()); err != nil {
				return nil, err
			}
		}
		return &pb.RemoveEndpointResponse{Change: &pb.Change{}}, nil
	})
}

// RotateEndpointSecret gives an endpoint a secret, in the place of the one it had.
func (s *Service) RotateEndpointSecret(ctx context.Context, in *pb.RotateEndpointSecretRequest) (out *pb.RotateEndpointSecretResponse, err error) {
	c, err := s.Authorize(ctx, access.EndpointRotateSecret, call.EndpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	if in.GetId() == model.MainEndpoint {
		return nil, model.E(model.Invalid, "rotate secret of", name.Text()+" main").In("id").Because("its secret is the host's").
			Hint("rotate that with signpost host rotate-secret")
	}
	secret := access.NewEndpointSecret()
	parsed, err := access.ParseSecret(secret)
	if err != nil {
		return nil, model.E(model.Internal, "make secret", "").From(err)
	}
	return call.Change(c, func(p *call.Plan) (*pb.RotateEndpointSecretResponse, error) {
		z, old, err := p.Host(name, "")
		if err != nil {
			return nil, err
		}
		if old.Data.Host.Endpoint(in.GetId()) == nil {
			return nil, noEndpoint(name, in.GetId())
		}
		control := *old.Host
		control.Secrets = control.WithSecret(model.EndpointSecret{ID: in.GetId(), Hash: parsed.Sum[:], CreateTime: s.Now().UTC().Truncate(time.Second)})
		control.Grants = control.Grants.With(model.GrantEndpointSecret+in.GetId(), c.Maker())
		p.PutHost(z, name, old.Host, &control)
		p.Record(z.Name, name, in.GetId(), "", "")
		return &pb.RotateEndpointSecretResponse{Secret: secret, Change: &pb.Change{}}, nil
	})
}

// SendHeartbeat takes an endpoint's sign of life.
func (s *Service) SendHeartbeat(ctx context.Context, in *pb.SendHeartbeatRequest) (out *pb.SendHeartbeatResponse, err error) {
	c, err := s.Authorize(ctx, access.EndpointBeat, call.EndpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	var z *model.Zone
	var check *model.Check
	var e *model.Endpoint
	out = &pb.SendHeartbeatResponse{}
	err = c.Read(func(tx *store.Tx) error {
		var h store.Named
		if z, h, err = facts.FindHost(tx, name, s.Now()); err != nil {
			return err
		}
		if e = h.Data.Host.Endpoint(in.GetId()); e == nil {
			return noEndpoint(name, in.GetId())
		}
		all, _, _, err := Standing(tx, z, h)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.Id == e.ID {
				out.State = m.State
			}
		}
		check, err = tx.Check(z, name)
		return err
	})
	if err != nil || check == nil || check.Kind != model.CheckHeartbeat {
		return out, err
	}
	d := check.WithDefaults()
	out.Interval = durationMessage(d.Interval)
	key := fmt.Sprintf("beat %s %s %s %d", z.Name, name, e.ID, e.Generation)
	if s.Paces.TakeOf(key, mostBeats, d.Interval, s.Now()) > 0 {
		return out, nil
	}
	return out, s.Store.Beat(ctx, z.Name, name, e.ID, e.Generation, beatKept(d))
}

// mostBeats is how many signs of life of an endpoint are written within the interval of its
// check; of more, one that is hardly older is there already.
const mostBeats = 4

// beatKept is how long a sign of life is there when no other comes: longer than it takes
// until it is missed, so that it is its age that is judged.
func beatKept(d model.Check) time.Duration {
	return max(time.Minute, time.Duration(d.Fall+2)*d.Interval)
}
