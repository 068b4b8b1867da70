package controlapi

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"signpost/controlapi/call"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

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
		set(&h.Wildcard, in.Wildcard)
		set(&h.TTL, in.Ttl)
		set(&control.Comment, in.Comment)
		if in.Ttl != nil {
			if err := checkTTL(z, h.TTL); err != nil {
				return nil, err
			}
		}
		if h.Wildcard && !old.Data.Host.Wildcard {
			if err := checkWildcard(p, z, name); err != nil {
				return nil, err
			}
			if err := checkAlone(p, z, name, old.Host.Owner, "wildcard"); err != nil {
				return nil, err
			}
		}
		next := store.Named{Name: name, Data: old.Data, Host: &control}
		if h.Wildcard != old.Data.Host.Wildcard || h.TTL != old.Data.Host.TTL {
			data := *old.Data
			data.Host, next.Data = &h, &data
		}
		if in.Follows != nil {
			if next, err = follow(p, z, old, next, in); err != nil {
				return nil, err
			}
		}
		if before, after := describe(old), describe(next); before != after {
			if next, err = putHost(p, z, old, next); err != nil {
				return nil, err
			}
			p.Record(z.Name, name, "", before, after)
		}
		return &pb.UpdateHostResponse{Host: hostMessage(z, next), Change: &pb.Change{}}, nil
	})
}

// checkWildcard refuses to make a host a wildcard when the name "*" below it is
// taken.
func checkWildcard(p *call.Plan, z *model.Zone, host model.Name) error {
	star, err := host.Child("*")
	if err != nil {
		return model.E(model.Invalid, "make wildcard", host.Text()).In("wildcard").Because("the host's name is too long for names below it")
	}
	path, err := p.Path(z, star)
	if err != nil {
		return err
	}
	if path[0].Data != nil {
		return model.E(model.Precondition, "make wildcard", host.Text()).In("wildcard").
			Because("there are records at " + star.Text()).Hint("delete them first")
	}
	return nil
}

// checkAlone refuses to all but the zone's administrators to make a wildcard above a host
// that another owns than owner: it would answer for that one's name when it is gone.
func checkAlone(p *call.Plan, z *model.Zone, name model.Name, owner, field string) error {
	if p.Call.May(p.Tx, access.ZoneUpdate, access.Resource{Name: z.Name}) == nil {
		return nil
	}
	denied := func(why string) error {
		return model.E(model.Denied, "make wildcard", name.Text()).In(field).Because(why).Hint("ask an administrator of the zone")
	}
	below, err := p.Below(z, name, mostLooked+1)
	if err != nil {
		return err
	}
	if len(below) > mostLooked {
		return denied("there are too many names below it")
	}
	for _, n := range below {
		if n.Data.Host == nil {
			continue
		}
		path, err := p.Path(z, n.Name)
		if err != nil {
			return err
		}
		if path[0].Host == nil || path[0].Host.Owner != owner {
			return denied("there is a host below it that is not its owner's")
		}
	}
	return nil
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

// hostMessage is a host as the API shows it.
func hostMessage(z *model.Zone, n store.Named) *pb.Host {
	m := &pb.Host{
		Fqdn: n.Name.Text(), Zone: z.Name.Text(), Owner: n.Host.Owner, Comment: n.Host.Comment,
		Wildcard: n.Data.Host.Wildcard, Ttl: n.Data.Host.TTL,
		CreateTime: timeMessage(n.Host.CreateTime), UpdateTimeIpv4: timeMessage(n.Host.UpdateTime4),
		UpdateTimeIpv6: timeMessage(n.Host.UpdateTime6), Etag: call.Etag(n.Data.ModRevision, n.Host.ModRevision),
	}
	for _, e := range n.Host.Editors {
		m.Editors = append(m.Editors, string(e))
	}
	if o := n.Host.Offer; o != nil {
		m.OfferedTo, m.OfferExpireTime = string(o.To), timeMessage(o.ExpireTime)
	}
	m.Blocked, m.Disabled, m.Lapsed = withdrawalMessage(n.Host.Blocked), withdrawalMessage(n.Host.Disabled), withdrawalMessage(n.Host.Lapsed)
	if f := n.Host.Follows; f != nil {
		m.Follows = &pb.Following{Main: f.Main.Text(), Ipv4: model.ShareText(f.IPv4), Ipv6: model.ShareText(f.IPv6)}
	}
	for _, f := range n.Host.Followers {
		m.Followers = append(m.Followers, f.Text())
	}
	for _, a := range n.Data.Host.Addresses() {
		m.Addresses = append(m.Addresses, a.String())
	}
	return m
}

// endpointAddresses is the addresses of a host's endpoints but main, each once.
func endpointAddresses(h *model.Host) (out []string) {
	for i := range h.Endpoints {
		for _, a := range h.Endpoints[i].Addresses {
			if text := a.String(); h.Endpoints[i].ID != model.MainEndpoint && !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}

// describe is a host for people, as audit records show it.
func describe(n store.Named) string {
	h := n.Data.Host
	text := "addresses " + addressText(h.Addresses()) + ", ttl " + strconv.FormatUint(uint64(h.TTL), 10)
	if h.Wildcard {
		text += ", wildcard"
	}
	if n.Host.Follows != nil {
		text += ", follows " + n.Host.Follows.String()
	}
	if n.Host.Comment != "" {
		text += ", comment " + strconv.Quote(n.Host.Comment)
	}
	return text
}

func addressText(addrs []netip.Addr) string {
	if len(addrs) == 0 {
		return "none"
	}
	words := make([]string, len(addrs))
	for i, a := range addrs {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}
