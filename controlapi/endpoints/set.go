package endpoints

import (
	"context"
	"slices"
	"strconv"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/guard"
	"signpost/controlapi/hosts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// SetEndpoint makes an endpoint or changes what the request mentions of it.
func (s *Service) SetEndpoint(ctx context.Context, in *pb.SetEndpointRequest) (out *pb.SetEndpointResponse, err error) {
	c, err := s.Authorize(ctx, access.EndpointSet, call.EndpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	if err := checkEndpoint(in); err != nil {
		return nil, err
	}
	addrs, err := rules.ParseAddresses("addresses", in.GetAddresses())
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetEndpointResponse, error) {
		z, old, err := p.Host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		e := model.Endpoint{ID: in.GetId()}
		was := old.Data.Host.Endpoint(e.ID)
		if was != nil {
			e = *was
		} else if len(old.Data.Host.Endpoints) >= model.MostEndpoints {
			return nil, model.E(model.Exhausted, "set endpoint", name.Text()+" "+e.ID).In("id").
				Because("the host has " + strconv.Itoa(model.MostEndpoints) + " endpoints, as many as one may").Hint("remove one first")
		}
		message.Set(&e.Site, in.Site)
		message.Set(&e.Priority, in.Priority)
		if in.Weight != nil {
			e.Weight = weightOf(in.GetWeight())
		}
		if len(addrs) > 0 {
			if err := rules.CheckAddresses(p, z, "addresses", addrs); err != nil {
				return nil, err
			}
			e.Addresses = model.NormalizeAddresses(addrs)
		}
		if was != nil && was.Site != e.Site { // what is said of its site may take it away
			h := *old.Data.Host
			h.Endpoints = h.WithEndpoint(e)
			if err := guard.Host(p, z, old, in.GetConfirmLast(), guard.Nothing, &h); err != nil {
				return nil, err
			}
		}
		next, err := putEndpoint(p, z, old, was, e)
		if err != nil {
			return nil, err
		}
		return &pb.SetEndpointResponse{Endpoint: endpointMessage(next, next.Data.Host.Endpoint(e.ID)), Change: &pb.Change{}}, nil
	})
}

// checkEndpoint refuses what no endpoint may be. main is not for SetEndpoint: it is the
// host's plain addresses and nothing else.
func checkEndpoint(in *pb.SetEndpointRequest) error {
	if in.GetId() == model.MainEndpoint {
		return model.E(model.Invalid, "set endpoint", in.GetFqdn()+" main").In("id").Because("it is the host's plain addresses").
			Hint("set those with signpost host set-address, or take another id")
	}
	if err := model.CheckEndpointID("id", in.GetId()); err != nil {
		return err
	}
	if in.GetSite() == "" {
		return nil
	}
	return model.CheckSite("site", in.GetSite())
}

func weightOf(w uint32) int32 {
	if w == 0 {
		return model.NoWeight
	}
	return int32(w)
}

// putEndpoint puts an endpoint in the place of what it was, with a new generation when
// it is new or has other addresses. The same is not written.
func putEndpoint(p *call.Plan, z *model.Zone, old store.Named, was *model.Endpoint, e model.Endpoint) (store.Named, error) {
	fresh := was == nil || !slices.Equal(was.Addresses, e.Addresses)
	if !fresh && was.Site == e.Site && was.Priority == e.Priority && was.Share() == e.Share() {
		return old, nil
	}
	if fresh {
		var err error
		if e.Generation, err = p.NewNumber(); err != nil {
			return old, err
		}
	}
	h := *old.Data.Host
	h.Endpoints = h.WithEndpoint(e)
	next, err := PutHostData(p, z, old, &h)
	if err == nil {
		p.Record(z.Name, old.Name, e.ID, describeEndpoint(was), describeEndpoint(&e))
	}
	return next, err
}

// PutHostData writes what DNS needs of a host in the place of what it was. Errors:
// Precondition when it cannot stand beside what else is at the name, or takes away the
// last address of a name server of the zone.
func PutHostData(p *call.Plan, z *model.Zone, old store.Named, h *model.Host) (store.Named, error) {
	data := *old.Data
	data.Host = h
	if why := rules.Conflict(old.Name, &data); why != "" {
		return old, model.E(model.Precondition, "change host", old.Name.Text()).In("addresses").Because(why).Hint("delete that record set first")
	}
	if err := rules.KeepServer(z, old.Name, facts.DataAddresses(old.Data), facts.DataAddresses(&data)); err != nil {
		return old, err
	}
	p.Changed = z
	p.PutName(z, old.Name, &data)
	return store.Named{Name: old.Name, Data: &data, Host: old.Host}, nil
}

// SetEndpointAddresses changes an endpoint's addresses of the families that the request
// mentions.
func (s *Service) SetEndpointAddresses(ctx context.Context, in *pb.SetEndpointAddressesRequest) (out *pb.SetEndpointAddressesResponse, err error) {
	c, err := s.Authorize(ctx, access.EndpointSetAddresses, call.EndpointAt(in.GetFqdn(), in.GetId()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	if in.GetId() == model.MainEndpoint {
		return nil, model.E(model.Invalid, "set addresses of", name.Text()+" main").In("id").Because("they are the host's plain addresses").
			Hint("set them with signpost host set-address, or setAddresses")
	}
	given, err := rules.Mentioned(in)
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetEndpointAddressesResponse, error) {
		z, old, err := p.Host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		was := old.Data.Host.Endpoint(in.GetId())
		if was == nil {
			return nil, noEndpoint(name, in.GetId())
		}
		if old.Host.Disabled != nil {
			return nil, hosts.Disabled("set addresses of", name, old.Host)
		}
		if err := rules.CheckAddresses(p, z, "addresses", given); err != nil {
			return nil, err
		}
		e := *was
		e.Addresses = rules.ReplaceFamilies(was.Addresses, given, in.GetClearIpv4(), in.GetClearIpv6())
		if len(e.Addresses) > rules.MaxAddresses {
			return nil, model.E(model.Invalid, "set addresses of", name.Text()+" "+e.ID).In("addresses").Because("the endpoint would have more than 16")
		}
		h := *old.Data.Host
		h.Endpoints = h.WithEndpoint(e)
		if err := guard.Cleared(p, z, old, in.GetConfirmLast(), &h); err != nil {
			return nil, err
		}
		next, err := putEndpoint(p, z, old, was, e)
		if err == nil {
			next, err = refresh(p, z, old, next)
		}
		if err != nil {
			return nil, err
		}
		return &pb.SetEndpointAddressesResponse{Endpoint: endpointMessage(next, next.Data.Host.Endpoint(e.ID)), Change: &pb.Change{}}, nil
	})
}

// refresh notes that a host was refreshed by what made next of old, if that is due, and
// has it answered again if it had lapsed.
func refresh(p *call.Plan, z *model.Zone, old, next store.Named) (store.Named, error) {
	policy, err := p.Glance(z) // an older lease will do
	if err != nil || !policy.RefreshDue(old.Host, p.Call.Desk.Now()) {
		return next, err
	}
	control := *next.Host
	control.RefreshTime, control.Lapsed = p.Call.Desk.Now().UTC().Truncate(time.Second), nil
	next.Host = &control
	if next, err = hosts.Put(p, z, old, next); err == nil && old.Host.Lapsed != nil && len(p.Audits) == 0 {
		p.Record(z.Name, old.Name, "", facts.DescribeWithdrawal(old.Host), facts.DescribeWithdrawal(&control))
	}
	return next, err
}
