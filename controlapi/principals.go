package controlapi

import (
	"context"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// transferCost is how much of a transaction one TransferPrincipal fills, in keys that it
// reads and writes.
const transferCost = 70

// DisablePrincipal has a person's calls refused and their streams ended.
func (s *Service) DisablePrincipal(ctx context.Context, in *pb.DisablePrincipalRequest) (out *pb.DisablePrincipalResponse, err error) {
	c, err := s.Authorize(ctx, access.PrincipalDisable, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	return call.Change(c, func(p *call.Plan) (*pb.DisablePrincipalResponse, error) {
		return &pb.DisablePrincipalResponse{Change: &pb.Change{}}, disablePerson(p, in.GetName(), func(old *model.Withdrawal) *model.Withdrawal {
			return s.withdrawn(old, in.GetReason())
		})
	})
}

// EnablePrincipal takes DisablePrincipal back.
func (s *Service) EnablePrincipal(ctx context.Context, in *pb.EnablePrincipalRequest) (out *pb.EnablePrincipalResponse, err error) {
	c, err := s.Authorize(ctx, access.PrincipalDisable, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	return call.Change(c, func(p *call.Plan) (*pb.EnablePrincipalResponse, error) {
		return &pb.EnablePrincipalResponse{Change: &pb.Change{}}, disablePerson(p, in.GetName(), func(*model.Withdrawal) *model.Withdrawal { return nil })
	})
}

func disablePerson(p *call.Plan, name string, next func(*model.Withdrawal) *model.Withdrawal) error {
	person, err := personName("name", name)
	if err != nil {
		return err
	}
	old, err := p.Disabled(person)
	if err != nil {
		return err
	}
	now := next(old)
	if now == old {
		return nil
	}
	p.PutDisabled(person, now)
	p.Record("", "", string(person), describeDisabled(old), describeDisabled(now))
	return nil
}

func describeDisabled(w *model.Withdrawal) string {
	if w == nil {
		return ""
	}
	return "disabled" + facts.Because(w)
}

// personName reads the name of a person. Errors are of kind Invalid and name the field.
func personName(field, text string) (model.PrincipalName, error) {
	n, err := model.ParsePrincipalName(field, text)
	if err == nil && n.IsGroup() {
		err = model.E(model.Invalid, "read name of a person", text).In(field).Because("it is a group").Hint("write ISSUER/SUBJECT")
	}
	return n, err
}

// TransferPrincipal gives as many of a person's hosts to another as go into one
// transaction, all of one zone.
func (s *Service) TransferPrincipal(ctx context.Context, in *pb.TransferPrincipalRequest) (out *pb.TransferPrincipalResponse, err error) {
	c, err := s.Authorize(ctx, access.PrincipalTransfer, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	from, err := personName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	to, err := personName("to", in.GetTo())
	if err == nil && to == from {
		err = model.E(model.Invalid, "transfer hosts of", in.GetName()).In("to").Because("it is the same person")
	}
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.TransferPrincipalResponse, error) {
		why, err := p.Disabled(to)
		if err == nil && why != nil {
			err = model.E(model.Precondition, "transfer hosts of", in.GetName()).In("to").Because(string(to) + " is disabled").Hint("enable them first, or name somebody else")
		}
		if err != nil {
			return nil, err
		}
		return transferAll(p, from, to)
	})
}

func transferAll(p *call.Plan, from, to model.PrincipalName) (*pb.TransferPrincipalResponse, error) {
	out := &pb.TransferPrincipalResponse{Change: &pb.Change{}}
	held, err := p.Holdings(string(from))
	if err != nil {
		return nil, err
	}
	spent, zone := 0, model.Name("")
	for _, h := range held {
		if !h.Owned {
			continue
		}
		if spent >= transferCost || zone != "" && zone != h.Zone {
			out.More = true
			break
		}
		z, err := p.Zone(h.Zone)
		if model.KindOf(err) == model.NotFound && err != nil || err == nil && z.Incarnation != h.Incarnation {
			continue // it went with its zone and is swept away
		}
		if err != nil {
			return nil, err
		}
		path, err := p.Path(z, h.Host)
		if err != nil {
			return nil, err
		}
		host := path[0]
		if host.Host == nil || host.Host.Owner != string(from) {
			continue
		}
		cost := 2*len(path) + 8 + 2*len(host.Host.Editors) + 4*len(host.Host.Followers)
		if spent > 0 && spent+cost > transferCost {
			out.More = true
			break
		}
		spent += cost
		zone = h.Zone
		if host.Data == nil || host.Data.Host == nil {
			p.PutHost(z, h.Host, host.Host, nil) // what is left of one that an import took away
			continue
		}
		_, challenges, err := giveHost(p, z, host, to, nil, func(other *model.HostControl) bool { return other.Owner == string(from) || other.Owner == string(to) })
		if err != nil {
			return nil, err
		}
		spent += 2 * challenges
		out.Fqdns = append(out.Fqdns, h.Host.Text())
	}
	return out, nil
}

// giveHost makes somebody the owner of a host, with another secret or none. What the former
// owner could still act with goes in the same transaction: the secrets of the host and of
// its endpoints, the editors, the challenge records with which certificates are got, at so many names,
// and what the host and others have together, but with those that are kept.
func giveHost(p *call.Plan, z *model.Zone, h store.Named, to model.PrincipalName, secret []byte, kept func(*model.HostControl) bool) (next store.Named, challenges int, err error) {
	control := *h.Host
	control.Owner, control.Editors, control.Offer, control.SecretHash, control.LegacySecret, control.Secrets, control.Grants = string(to), nil, nil, secret, nil, nil, nil
	if secret != nil {
		control.Grants = control.Grants.With(model.GrantSecret, p.Call.Maker())
	}
	p.Owner, p.In = h.Host.Owner, z
	if err := unrelate(p, z, h, &control, kept); err != nil {
		return h, 0, err
	}
	p.PutHost(z, h.Name, h.Host, &control)
	if challenges, err = dropChallenges(p, z, h.Name); err != nil {
		return h, 0, err
	}
	p.Record(z.Name, h.Name, "", "owner "+h.Host.Owner, "owner "+control.Owner)
	return store.Named{Name: h.Name, Data: h.Data, Host: &control}, challenges, nil
}
