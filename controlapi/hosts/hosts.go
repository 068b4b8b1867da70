// Package hosts answers one question: which hosts are there, whose are they, and which
// addresses have they?
package hosts

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/call"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// Service is the service for hosts.
type Service struct {
	pb.UnimplementedHostServiceServer
	*call.Desk
	elapsed func() time.Duration
	overdue overdue
	leases  *prometheus.CounterVec
}

// New makes the service. Elapsed is a clock that is never set; nil: the time since New.
func New(d *call.Desk, elapsed func() time.Duration, reg prometheus.Registerer) (*Service, error) {
	if begun := time.Now(); elapsed == nil {
		elapsed = func() time.Duration { return time.Since(begun) }
	}
	s := &Service{Desk: d, elapsed: elapsed, leases: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "signpost_leases_ended_total", Help: "Hosts that were not refreshed in time, by what was done: host.disable (withdrawn) or host.delete (freed).",
	}, []string{"action"})}
	return s, call.Register(reg, s.leases)
}

// GetHost shows a host.
func (s *Service) GetHost(ctx context.Context, in *pb.GetHostRequest) (out *pb.Host, err error) {
	return s.showHost(ctx, in, true)
}

// UpdateHost changes what is kept of a host besides its addresses and secret.
func (s *Service) UpdateHost(ctx context.Context, in *pb.UpdateHostRequest) (out *pb.UpdateHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostUpdate, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.UpdateHostResponse, error) {
		z, old, err := p.Host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		h, control := *old.Data.Host, *old.Host
		message.Set(&h.Wildcard, in.Wildcard)
		message.Set(&h.TTL, in.Ttl)
		message.Set(&control.Comment, in.Comment)
		if in.Ttl != nil {
			if err := rules.CheckTTL(z, h.TTL); err != nil {
				return nil, err
			}
		}
		if h.Wildcard && !old.Data.Host.Wildcard {
			if err := rules.CheckWildcard(p, z, name); err != nil {
				return nil, err
			}
			if err := rules.CheckAlone(p, z, name, old.Host.Owner, "wildcard"); err != nil {
				return nil, err
			}
		}
		next := store.Named{Name: name, Data: old.Data, Host: &control}
		if h.Wildcard != old.Data.Host.Wildcard || h.TTL != old.Data.Host.TTL {
			data := *old.Data
			data.Host, next.Data = &h, &data
		}
		if in.Follows != nil {
			if next, err = Follow(p, z, old, next, in); err != nil {
				return nil, err
			}
		}
		if before, after := message.DescribeHost(old), message.DescribeHost(next); before != after {
			if next, err = Put(p, z, old, next); err != nil {
				return nil, err
			}
			p.Record(z.Name, name, "", before, after)
		}
		return &pb.UpdateHostResponse{Host: message.Host(z, next), Change: &pb.Change{}}, nil
	})
}

// RotateSecret gives a host a new secret; the old one no longer works.
func (s *Service) RotateSecret(ctx context.Context, in *pb.RotateSecretRequest) (out *pb.RotateSecretResponse, err error) {
	c, err := s.Authorize(ctx, access.RotateSecret, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	secret, sum, err := newHostSecret()
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.RotateSecretResponse, error) {
		z, h, err := p.Host(name, "")
		if err != nil {
			return nil, err
		}
		control := *h.Host
		control.SecretHash, control.LegacySecret, control.Grants = sum, nil, control.Grants.With(model.GrantSecret, c.Maker())
		p.PutHost(z, name, h.Host, &control)
		p.Record(z.Name, name, "", "", "")
		return &pb.RotateSecretResponse{Secret: secret, Change: &pb.Change{}}, nil
	})
}

func newHostSecret() (secret string, sum []byte, err error) {
	secret = access.NewHostSecret()
	parsed, err := access.ParseSecret(secret)
	if err != nil {
		return "", nil, model.E(model.Internal, "make secret", "").From(err)
	}
	return secret, parsed.Sum[:], nil
}
