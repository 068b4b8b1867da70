package people

import (
	"context"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/hosts"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
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
			return hosts.Withdrawn(old, in.GetReason(), s.Now())
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
	person, err := rules.PersonName("name", name)
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

// TransferPrincipal gives as many of a person's hosts to another as go into one
// transaction, all of one zone.
func (s *Service) TransferPrincipal(ctx context.Context, in *pb.TransferPrincipalRequest) (out *pb.TransferPrincipalResponse, err error) {
	c, err := s.Authorize(ctx, access.PrincipalTransfer, access.Resource{}, in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	from, err := rules.PersonName("name", in.GetName())
	if err != nil {
		return nil, err
	}
	to, err := rules.PersonName("to", in.GetTo())
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
		_, challenges, err := hosts.Give(p, z, host, to, nil, func(other *model.HostControl) bool { return other.Owner == string(from) || other.Owner == string(to) })
		if err != nil {
			return nil, err
		}
		spent += 2 * challenges
		out.Fqdns = append(out.Fqdns, h.Host.Text())
	}
	return out, nil
}
