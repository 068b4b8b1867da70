package hosts

import (
	"context"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// BlockHost has a host answered no more, and its owner and editors change it no more.
func (s *Service) BlockHost(ctx context.Context, in *pb.BlockHostRequest) (out *pb.BlockHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostBlock, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	return call.Change(c, func(p *call.Plan) (*pb.BlockHostResponse, error) {
		h, err := withdrawHost(p, in.GetFqdn(), in.GetEtag(), func(h *model.HostControl) { h.Blocked = Withdrawn(h.Blocked, in.GetReason(), s.Now()) })
		return &pb.BlockHostResponse{Host: h, Change: &pb.Change{}}, err
	})
}

// UnblockHost takes BlockHost back.
func (s *Service) UnblockHost(ctx context.Context, in *pb.UnblockHostRequest) (out *pb.UnblockHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostBlock, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	return call.Change(c, func(p *call.Plan) (*pb.UnblockHostResponse, error) {
		h, err := withdrawHost(p, in.GetFqdn(), in.GetEtag(), func(h *model.HostControl) { h.Blocked = nil })
		return &pb.UnblockHostResponse{Host: h, Change: &pb.Change{}}, err
	})
}

// DisableHost switches a host off.
func (s *Service) DisableHost(ctx context.Context, in *pb.DisableHostRequest) (out *pb.DisableHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostDisable, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	return call.Change(c, func(p *call.Plan) (*pb.DisableHostResponse, error) {
		h, err := withdrawHost(p, in.GetFqdn(), in.GetEtag(), func(h *model.HostControl) { h.Disabled = Withdrawn(h.Disabled, in.GetReason(), s.Now()) })
		return &pb.DisableHostResponse{Host: h, Change: &pb.Change{}}, err
	})
}

// EnableHost takes DisableHost back, and refreshes the host.
func (s *Service) EnableHost(ctx context.Context, in *pb.EnableHostRequest) (out *pb.EnableHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostDisable, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	now := s.Now().UTC().Truncate(time.Second)
	return call.Change(c, func(p *call.Plan) (*pb.EnableHostResponse, error) {
		h, err := withdrawHost(p, in.GetFqdn(), in.GetEtag(), func(h *model.HostControl) {
			if h.Disabled, h.Lapsed = nil, nil; h.RefreshTime.Before(now) {
				h.RefreshTime = now
			}
		})
		return &pb.EnableHostResponse{Host: h, Change: &pb.Change{}}, err
	})
}

// Withdrawn is a withdrawal for a reason, of now; the one there is when it has that reason.
func Withdrawn(old *model.Withdrawal, reason string, now time.Time) *model.Withdrawal {
	if old != nil && old.Reason == reason {
		return old
	}
	return &model.Withdrawal{Reason: reason, Time: now.UTC().Truncate(time.Second)}
}

// withdrawHost changes why a host is withdrawn.
func withdrawHost(p *call.Plan, fqdn, etag string, alter func(*model.HostControl)) (*pb.Host, error) {
	name, err := model.ParseHostName("fqdn", fqdn)
	if err != nil {
		return nil, err
	}
	z, old, err := p.Host(name, etag)
	if err != nil {
		return nil, err
	}
	control := *old.Host
	alter(&control)
	before, after := facts.DescribeWithdrawal(old.Host), facts.DescribeWithdrawal(&control)
	if before == after {
		return message.Host(z, old), nil
	}
	next, err := Put(p, z, old, store.Named{Name: name, Data: old.Data, Host: &control})
	if err != nil {
		return nil, err
	}
	p.Record(z.Name, name, "", before, after)
	return message.Host(z, next), nil
}

// Put writes a host in the place of old. When it is withdrawn now and was not, or the
// reverse, its name and those below that belong to it become so. Errors: Precondition
// when one of them is a name server of the zone and would lose its addresses; Exhausted
// when there are too many.
func Put(p *call.Plan, z *model.Zone, old, next store.Named) (store.Named, error) {
	p.PutHost(z, old.Name, old.Host, next.Host)
	if next.Data == old.Data && next.Data.Withdrawn == next.Host.Withdrawn() {
		return next, nil
	}
	data := *next.Data
	data.Withdrawn = next.Host.Withdrawn()
	next.Data = &data
	written := []store.Named{next}
	if data.Withdrawn != old.Data.Withdrawn {
		below, err := namesBelow(p, z, old.Name, "withdraw host")
		if err != nil {
			return next, err
		}
		itself := facts.IsCutOrHost
		if !data.Withdrawn {
			itself = facts.IsHost // what has come below a delegation since was withdrawn before
		}
		for _, n := range facts.HeldOf(below, itself) {
			d := *n.Data
			d.Withdrawn = data.Withdrawn
			if err := rules.KeepServer(z, n.Name, facts.DataAddresses(n.Data), facts.DataAddresses(&d)); err != nil {
				return next, err
			}
			written = append(written, store.Named{Name: n.Name, Data: &d})
		}
	}
	if err := rules.KeepServer(z, old.Name, facts.DataAddresses(old.Data), facts.DataAddresses(&data)); err != nil {
		return next, err
	}
	for _, n := range written {
		p.PutName(z, n.Name, n.Data)
	}
	p.Changed = z
	return next, nil
}
