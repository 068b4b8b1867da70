package controlapi

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
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
	given, err := mentioned(in)
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
		return nil, disabledHost("set addresses of", name, old.Host)
	}
	if h := old.Data.Host; p.Call.Who.Kind == access.HostSecret && len(h.Endpoints) > 0 && h.Endpoint(model.MainEndpoint) == nil {
		return nil, model.E(model.NotFound, "set addresses of", name.Text()).In("fqdn").
			Because("the host has endpoints, and its secret is for the addresses of none of them").Hint("use the secret of one, from signpost endpoint rotate-secret")
	}
	if err := checkAddresses(p, z, "addresses", given); err != nil {
		return nil, err
	}
	if now, ok := p.Later[name]; ok {
		old = now
	}
	addrs := replaceFamilies(old.Data.Host.Addresses(), given, in.GetClearIpv4(), in.GetClearIpv6())
	if len(addrs) > maxAddresses {
		return nil, model.E(model.Invalid, "set addresses of", name.Text()).In("addresses").Because("the host would have more than 16")
	}
	if err := checkFollowed(old, addrs); err != nil {
		return nil, err
	}
	next, err := withAddresses(p, old, addrs)
	if err != nil {
		return nil, err
	}
	if err := guardCleared(p, z, old, in.GetConfirmLast(), next.Data.Host); err != nil {
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
	if err := leadFollowers(p, z, policy, next, in.GetConfirmLast()); err != nil {
		return nil, err
	}
	return &pb.SetAddressesResponse{Host: leased(hostMessage(z, next), policy, next.Host), Change: &pb.Change{}}, nil
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
	setAddresses(&h, &control, addrs, number, p.Call.Desk.Now().UTC().Truncate(time.Second))
	if why := conflict(old.Name, &data); why != "" {
		return old, model.E(model.Precondition, "set addresses of", old.Name.Text()).In("addresses").Because(why).
			Hint("delete that record set first")
	}
	return store.Named{Name: old.Name, Data: &data, Host: &control}, nil
}

func disabledHost(op string, name model.Name, h *model.HostControl) error {
	return model.E(model.Precondition, op, name.Text()).In("fqdn").Because("the host is disabled" + facts.Because(h.Disabled)).
		Hint("enable it first, with signpost host enable").From(model.ErrDisabled)
}

// families is a request that sets addresses of families.
type families interface {
	GetFqdn() string
	GetAddresses() []string
	GetClearIpv4() bool
	GetClearIpv6() bool
}

// mentioned is the addresses that a request gives. Errors are of kind Invalid.
func mentioned(in families) ([]netip.Addr, error) {
	addrs, err := parseAddresses("addresses", in.GetAddresses())
	if err != nil {
		return nil, err
	}
	bad := func(field, why string) ([]netip.Addr, error) {
		return nil, model.E(model.Invalid, "set addresses of", in.GetFqdn()).In(field).Because(why)
	}
	switch {
	case in.GetClearIpv4() && len(family(addrs, true)) > 0:
		return bad("clear_ipv4", "there is an IPv4 address in addresses, too")
	case in.GetClearIpv6() && len(family(addrs, false)) > 0:
		return bad("clear_ipv6", "there is an IPv6 address in addresses, too")
	case len(addrs) == 0 && !in.GetClearIpv4() && !in.GetClearIpv6():
		return bad("addresses", "there is none, and no family to clear")
	}
	return addrs, nil
}

// replaceFamilies is old with the families that occur in given replaced, and those
// to be cleared taken out.
func replaceFamilies(old, given []netip.Addr, clear4, clear6 bool) []netip.Addr {
	v4, v6 := family(given, true), family(given, false)
	if len(v4) == 0 && !clear4 {
		v4 = family(old, true)
	}
	if len(v6) == 0 && !clear6 {
		v6 = family(old, false)
	}
	return model.NormalizeAddresses(slices.Concat(v4, v6))
}

func family(addrs []netip.Addr, v4 bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if a.Is4() == v4 {
			out = append(out, a)
		}
	}
	return out
}

// addressesAndWhy is a host's addresses for people, and why they are not answered.
func addressesAndWhy(n store.Named) string {
	text := addressText(n.Data.Host.Addresses())
	if n.Host.Lapsed != nil {
		text += ", lapsed"
	}
	return text
}
