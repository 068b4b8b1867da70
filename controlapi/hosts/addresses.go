package hosts

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/guard"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// SetAddresses changes a host's addresses of the families that the request
// mentions.
func (s *Service) SetAddresses(ctx context.Context, in *pb.SetAddressesRequest) (out *pb.SetAddressesResponse, err error) {
	c, err := s.Authorize(ctx, access.SetAddresses, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	given, err := rules.Mentioned(in)
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetAddressesResponse, error) { return planAddresses(p, name, in, given) })
}

// planAddresses plans what SetAddresses does to one host.
func planAddresses(p *call.Plan, name model.Name, in *pb.SetAddressesRequest, given []netip.Addr) (*pb.SetAddressesResponse, error) {
	z, old, err := p.Host(name, in.GetEtag())
	if err != nil {
		return nil, err
	}
	if old.Host.Disabled != nil {
		return nil, Disabled("set addresses of", name, old.Host)
	}
	if h := old.Data.Host; p.Call.Who.Kind == access.HostSecret && len(h.Endpoints) > 0 && h.Endpoint(model.MainEndpoint) == nil {
		return nil, model.E(model.NotFound, "set addresses of", name.Text()).In("fqdn").
			Because("the host has endpoints, and its secret is for the addresses of none of them").Hint("use the secret of one, from signpost endpoint rotate-secret")
	}
	if err := rules.CheckAddresses(p, z, "addresses", given); err != nil {
		return nil, err
	}
	if now, ok := p.Later[name]; ok {
		old = now
	}
	addrs := rules.ReplaceFamilies(old.Data.Host.Addresses(), given, in.GetClearIpv4(), in.GetClearIpv6())
	if len(addrs) > rules.MaxAddresses {
		return nil, model.E(model.Invalid, "set addresses of", name.Text()).In("addresses").Because("the host would have more than 16")
	}
	if err := CheckFollowed(old, addrs); err != nil {
		return nil, err
	}
	next, err := withAddresses(p, old, addrs)
	if err != nil {
		return nil, err
	}
	if err := guard.Cleared(p, z, old, in.GetConfirmLast(), next.Data.Host); err != nil {
		return nil, err
	}
	policy, err := p.Glance(z) // an older lease will do
	if err != nil {
		return nil, err
	}
	if next.Host, err = p.ReplaceLegacy(z, old, next.Host); err != nil {
		return nil, err
	}
	if next, err = putAddresses(p, z, policy, old, next); err != nil {
		return nil, err
	}
	if err := Lead(p, z, policy, next, in.GetConfirmLast()); err != nil {
		return nil, err
	}
	return &pb.SetAddressesResponse{Host: message.Leased(message.Host(z, next), policy, next.Host), Change: &pb.Change{}}, nil
}

// withAddresses is the host with these addresses; the host itself when it has
// them already.
func withAddresses(p *call.Plan, old store.Named, addrs []netip.Addr) (store.Named, error) {
	if slices.Equal(old.Data.Host.Addresses(), addrs) {
		return old, nil
	}
	number, err := p.NewNumber()
	if err != nil {
		return old, err
	}
	data, h, control := *old.Data, *old.Data.Host, *old.Host
	data.Host = &h
	GiveAddresses(&h, &control, addrs, number, p.Call.Desk.Now().UTC().Truncate(time.Second))
	if why := rules.Conflict(old.Name, &data); why != "" {
		return old, model.E(model.Precondition, "set addresses of", old.Name.Text()).In("addresses").Because(why).
			Hint("delete that record set first")
	}
	return store.Named{Name: old.Name, Data: &data, Host: &control}, nil
}

// Disabled is the error of a change to a host that is switched off.
func Disabled(op string, name model.Name, h *model.HostControl) error {
	return model.E(model.Precondition, op, name.Text()).In("fqdn").Because("the host is disabled" + facts.Because(h.Disabled)).
		Hint("enable it first, with signpost host enable").From(model.ErrDisabled)
}

// addressesAndWhy is a host's addresses for people, and why they are not answered.
func addressesAndWhy(n store.Named) string {
	text := message.Addresses(n.Data.Host.Addresses())
	if n.Host.Lapsed != nil {
		text += ", lapsed"
	}
	return text
}
