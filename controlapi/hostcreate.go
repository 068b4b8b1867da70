package controlapi

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// maxHeld is how many names below a host go with it in one transaction.
const maxHeld = 50

// CreateHost registers a name and shows its secret, this once.
func (s *Service) CreateHost(ctx context.Context, in *pb.CreateHostRequest) (out *pb.CreateHostResponse, err error) {
	c, err := s.authorize(ctx, access.HostCreate, hostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	addrs, err := parseAddresses("addresses", in.GetAddresses())
	if err != nil {
		return nil, err
	}
	secret, sum, err := newHostSecret()
	if err != nil {
		return nil, err
	}
	return change(c, func(p *plan) (*pb.CreateHostResponse, error) {
		z, data, err := p.place(name)
		if err != nil {
			return nil, err
		}
		if err := checkTTL(z, in.GetTtl()); err != nil {
			return nil, err
		}
		if err := checkAddresses(z, "addresses", addrs); err != nil {
			return nil, err
		}
		if in.GetWildcard() {
			if err := p.checkWildcard(z, name); err != nil {
				return nil, err
			}
		}
		number, err := p.NewNumber()
		if err != nil {
			return nil, err
		}
		now := s.now().UTC().Truncate(time.Second)
		h := &model.Host{TTL: in.GetTtl(), Wildcard: in.GetWildcard()}
		control := &model.HostControl{Owner: c.who.String(), Comment: in.GetComment(), SecretHash: sum, CreateTime: now}
		setAddresses(h, control, model.NormalizeAddresses(addrs), number, now)
		data.Host = h
		next := store.Named{Name: name, Data: data, Host: control}
		p.zone = z
		p.PutName(z, name, data)
		p.PutHost(z, name, control)
		p.record(z.Name, name, "", "", describe(next))
		return &pb.CreateHostResponse{Host: hostMessage(z, next), Secret: secret, Change: &pb.Change{}}, nil
	})
}

// place finds the zone of a new host and what of its name can be adopted: record
// sets that a host may have beside its addresses. All keys from the name up to the
// apex are read, so that two registrations cannot pass each other.
func (p *plan) place(name model.Name) (*model.Zone, *model.NameData, error) {
	z, path, err := findPath(p.Tx, name)
	if err != nil {
		return nil, nil, err
	}
	if len(path) == 0 {
		return nil, nil, model.E(model.Invalid, "create host", name.Text()).In("fqdn").
			Because("it is a zone's own name").Hint("hosts are below a zone; use records for the apex")
	}
	taken := func(what string) error {
		return model.E(model.AlreadyExists, "create host", name.Text()).In("fqdn").Because(what)
	}
	here := path[0]
	if here.Data != nil && here.Data.Host != nil {
		return nil, nil, taken("there is such a host")
	}
	data := &model.NameData{}
	if here.Data != nil {
		*data = *here.Data
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeNS, dns.TypeDNAME} {
		if _, ok := model.FindRRset(data.RRsets, t); ok {
			return nil, nil, taken("the name has " + model.TypeName(t) + " records that are no host's")
		}
	}
	return z, data, nil
}

// setAddresses gives a host addresses, sorted and without duplicates: its endpoint
// main, with a new generation, there only while it has addresses.
func setAddresses(h *model.Host, control *model.HostControl, addrs []netip.Addr, generation uint64, now time.Time) {
	old := h.Addresses()
	var rest []model.Endpoint
	for _, e := range h.Endpoints {
		if e.ID != model.MainEndpoint {
			rest = append(rest, e)
		}
	}
	h.Endpoints = rest
	if len(addrs) > 0 {
		h.Endpoints = append(h.Endpoints, model.Endpoint{ID: model.MainEndpoint, Addresses: addrs, Generation: generation})
	}
	if !slices.Equal(family(old, true), family(addrs, true)) {
		control.UpdateTime4 = now
	}
	if !slices.Equal(family(old, false), family(addrs, false)) {
		control.UpdateTime6 = now
	}
}

// DeleteHost removes a host with the records at its name and below it, which are
// its own. Delegations, and names at and below other hosts, stay.
func (s *Service) DeleteHost(ctx context.Context, in *pb.DeleteHostRequest) (out *pb.DeleteHostResponse, err error) {
	c, err := s.authorize(ctx, access.HostDelete, hostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	return change(c, func(p *plan) (*pb.DeleteHostResponse, error) {
		z, h, err := p.host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		held, err := p.heldBelow(z, name)
		if err != nil {
			return nil, err
		}
		for _, n := range held {
			p.PutName(z, n, nil)
		}
		rest := &model.NameData{}
		for _, t := range []uint16{dns.TypeNS, dns.TypeDNAME, dns.TypeDS} {
			if kept, ok := model.FindRRset(h.Data.RRsets, t); ok {
				rest.RRsets = model.WithRRset(rest.RRsets, kept)
			}
		}
		p.zone = z
		p.PutName(z, name, rest)
		p.PutHost(z, name, nil)
		detail := ""
		if len(held) > 0 {
			detail = "with " + strconv.Itoa(len(held)) + " names below it"
		}
		p.record(z.Name, name, detail, describe(h), "")
		return &pb.DeleteHostResponse{Change: &pb.Change{}}, nil
	})
}

// heldBelow is the names below a host that belong to it.
func (p *plan) heldBelow(z *model.Zone, host model.Name) ([]model.Name, error) {
	below, err := p.Below(z, host, maxHeld+1)
	if err != nil {
		return nil, err
	}
	if len(below) > maxHeld {
		return nil, model.E(model.Exhausted, "delete host", host.Text()).In("fqdn").
			Because("there are more than " + strconv.Itoa(maxHeld) + " names below it").Hint("delete those first")
	}
	var held, others []model.Name
	for _, n := range below { // in key order: a name comes before those below it
		other := n.Data.Host != nil || cutAbove([]store.Named{n})
		for _, o := range others {
			other = other || n.Name.In(o)
		}
		if other {
			others = append(others, n.Name)
		} else {
			held = append(held, n.Name)
		}
	}
	return held, nil
}
