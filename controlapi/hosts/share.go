package hosts

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

const (
	maxEditors = 64
	// offerKept is how long a host that is offered may be accepted.
	offerKept = 7 * 24 * time.Hour
)

// ShareHost says who besides its owner may change a host.
func (s *Service) ShareHost(ctx context.Context, in *pb.ShareHostRequest) (out *pb.ShareHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostShare, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, add, remove, err := shareOf(in)
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.ShareHostResponse, error) {
		z, old, err := p.Host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		control := *old.Host
		control.Editors = slices.DeleteFunc(slices.Clone(control.Editors), func(e model.PrincipalName) bool { return slices.Contains(remove, e) })
		for _, e := range remove {
			control.Grants = control.Grants.With(model.GrantEditor+string(e), nil)
		}
		for _, e := range add {
			if string(e) == control.Owner {
				continue
			}
			there := slices.Contains(control.Editors, e)
			control.Grants = control.Grants.Said(model.GrantEditor+string(e), there, c.Maker())
			if !there {
				control.Editors = append(control.Editors, e)
			}
		}
		if len(control.Editors) > maxEditors {
			return nil, model.E(model.Exhausted, "share host", name.Text()).In("add").
				Because("it would have more than " + strconv.Itoa(maxEditors) + " editors").Hint("share it with a group")
		}
		next := store.Named{Name: name, Data: old.Data, Host: &control}
		if !slices.Equal(control.Editors, old.Host.Editors) || !control.Grants.Equal(old.Host.Grants) {
			p.PutHost(z, name, old.Host, &control)
			p.Record(z.Name, name, "", "editors "+message.Listed(old.Host.Editors), "editors "+message.Listed(control.Editors))
		}
		return &pb.ShareHostResponse{Host: message.Host(z, next), Change: &pb.Change{}}, nil
	})
}

func shareOf(in *pb.ShareHostRequest) (name model.Name, add, remove []model.PrincipalName, err error) {
	if name, err = model.ParseHostName("fqdn", in.GetFqdn()); err != nil {
		return name, nil, nil, err
	}
	if len(in.GetAdd())+len(in.GetRemove()) == 0 {
		return name, nil, nil, model.E(model.Invalid, "share host", in.GetFqdn()).In("add").Because("nobody is named").
			Hint("name people as ISSUER/SUBJECT or groups as group:ISSUER/GROUP")
	}
	if add, err = rules.PrincipalNames("add", in.GetAdd()); err == nil {
		remove, err = rules.PrincipalNames("remove", in.GetRemove())
	}
	return name, add, remove, err
}

// TransferHost offers a host to another person, or takes the offer back.
func (s *Service) TransferHost(ctx context.Context, in *pb.TransferHostRequest) (out *pb.TransferHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostTransfer, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	var to model.PrincipalName
	if in.GetTo() != "" {
		if to, err = model.ParsePrincipalName("to", in.GetTo()); err != nil {
			return nil, err
		}
		if to.IsGroup() {
			return nil, model.E(model.Invalid, "transfer host", in.GetFqdn()).In("to").Because("a host has one owner, a person").
				Hint("share it with the group")
		}
	}
	return call.Change(c, func(p *call.Plan) (*pb.TransferHostResponse, error) {
		z, old, err := p.Host(name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		if string(to) == old.Host.Owner {
			return nil, model.E(model.Precondition, "transfer host", name.Text()).In("to").Because("the host is theirs already")
		}
		control := *old.Host
		control.Offer, control.Grants = nil, control.Grants.With(model.GrantOffer, nil)
		after := "no offer"
		if to != "" {
			control.Offer = &model.Offer{To: to, ExpireTime: s.Now().UTC().Truncate(time.Second).Add(offerKept)}
			control.Grants = control.Grants.With(model.GrantOffer, c.Maker())
			after = "offered to " + string(to)
		}
		if to != "" || old.Host.Offer != nil {
			p.PutHost(z, name, old.Host, &control)
			p.Record(z.Name, name, "", "", after)
		}
		return &pb.TransferHostResponse{Host: message.Host(z, store.Named{Name: name, Data: old.Data, Host: &control}), Change: &pb.Change{}}, nil
	})
}

// AcceptHost makes the caller the owner of a host that is offered to them.
func (s *Service) AcceptHost(ctx context.Context, in *pb.AcceptHostRequest) (out *pb.AcceptHostResponse, err error) {
	c, err := s.Authorize(ctx, access.HostAccept, call.HostAt(in.GetFqdn()), in)
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
	return call.Change(c, func(p *call.Plan) (*pb.AcceptHostResponse, error) {
		z, old, err := p.Host(name, "")
		if err != nil {
			return nil, err
		}
		if o := old.Host.Offer; o == nil || string(o.To) != c.Who.Name() || !s.Now().Before(o.ExpireTime) {
			return nil, model.E(model.Precondition, "accept host", name.Text()).In("fqdn").Because("it is not offered to you").
				Hint("ask its owner to transfer it")
		}
		if err := checkQuota(p, z, name); err != nil {
			return nil, err
		}
		next, _, err := Give(p, z, old, model.PrincipalName(c.Who.Name()), sum, keepNone)
		if err != nil {
			return nil, err
		}
		return &pb.AcceptHostResponse{Host: message.Host(z, next), Secret: secret, Change: &pb.Change{}}, nil
	})
}

// dropChallenges takes away what answers at _acme-challenge below a host and below the
// names that belong to it: TXT (RFC 8555 section 8.4), and a CNAME to where somebody else
// answers. It says at how many names that was. Errors: Exhausted when there is too much below the host.
func dropChallenges(p *call.Plan, z *model.Zone, host model.Name) (n int, err error) {
	below, err := p.Below(z, host, rules.MostLooked+1)
	if err != nil {
		return 0, err
	}
	if len(below) > rules.MostLooked {
		return 0, model.E(model.Exhausted, "accept host", host.Text()).In("fqdn").
			Because("there are more than " + strconv.Itoa(rules.MostLooked) + " names below it").Hint("let its owner delete some first")
	}
	for _, at := range facts.HeldOf(below, facts.IsCutOrHost) {
		if at.Name.Labels()[0] != access.Challenge || !facts.HasType(at.Data.RRsets, dns.TypeTXT, dns.TypeCNAME) {
			continue
		}
		data := *at.Data
		data.RRsets = model.WithoutRRset(model.WithoutRRset(data.RRsets, dns.TypeTXT), dns.TypeCNAME)
		p.Changed = z
		p.PutName(z, at.Name, &data)
		n++
	}
	return n, nil
}

// checkQuota refuses a person more hosts in a zone than its policy lets them have.
// Errors: Exhausted.
func checkQuota(p *call.Plan, z *model.Zone, name model.Name) error {
	if p.Call.Who.Kind != access.User || p.Call.Who.Operator {
		return nil
	}
	policy, err := p.Policy(z)
	if err != nil {
		return err
	}
	most := int(policy.WithDefaults().MaxHosts)
	n, err := p.CountOwned(p.Call.Who.Name(), z)
	if err == nil && n >= most {
		err = model.E(model.Exhausted, "create host", name.Text()).In("fqdn").
			Because("you have " + strconv.Itoa(most) + " hosts in zone " + z.Name.Text() + ", as many as one may").
			Hint("delete one, or ask an administrator of the zone")
	}
	return err
}
