package endpoints

import (
	"context"
	"strconv"

	"signpost/controlapi/call"
	"signpost/controlapi/message"
	"signpost/controlapi/rules"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

var policyNames = map[model.PolicyKind]string{model.PolicyAll: "all", model.PolicyFailover: "failover", model.PolicyWeighted: "weighted"}

// GetPolicy shows how the answers of a host are chosen.
func (s *Service) GetPolicy(ctx context.Context, in *pb.GetPolicyRequest) (out *pb.Policy, err error) {
	c, err := s.Authorize(ctx, access.PolicyRead, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	err = c.ReadHost(in.GetFqdn(), func(_ *store.Tx, _ *model.Zone, h store.Named) error {
		out = PolicyMessage(h)
		return nil
	})
	return out, err
}

// SetPolicy says how they are chosen.
func (s *Service) SetPolicy(ctx context.Context, in *pb.SetPolicyRequest) (out *pb.SetPolicyResponse, err error) {
	c, err := s.Authorize(ctx, access.PolicySet, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	wanted, err := policyOf(in)
	if err != nil {
		return nil, err
	}
	return call.Change(c, func(p *call.Plan) (*pb.SetPolicyResponse, error) {
		z, old, err := named(p, name, in.GetEtag())
		if err != nil {
			return nil, err
		}
		if err := rules.CheckAddresses(p, z, "fallback", wanted.Fallback); err != nil {
			return nil, err
		}
		if d := z.WithDefaults(); wanted.SuspectTTL != 0 && (wanted.SuspectTTL < d.MinTTL || wanted.SuspectTTL > d.MaxTTL) {
			return nil, model.E(model.Invalid, "set policy of", name.Text()).In("suspect_ttl").
				Because("it is not within the zone's " + number(d.MinTTL) + " to " + number(d.MaxTTL) + " seconds")
		}
		out := &pb.SetPolicyResponse{Change: &pb.Change{}}
		was, next := old.Data.Host.Policy, old
		if describeAnswerPolicy(was) != describeAnswerPolicy(wanted) {
			h := *old.Data.Host
			h.Policy = wanted
			if next, err = PutHostData(p, z, old, &h); err != nil {
				return nil, err
			}
			p.Record(z.Name, name, "", describeAnswerPolicy(was), describeAnswerPolicy(wanted))
		}
		if n := len(old.Data.Host.Endpoints); int(wanted.MinHealthy) > n {
			out.Warnings = append(out.Warnings, "the host has fewer endpoints ("+strconv.Itoa(n)+") than min_healthy: none is ever believed to be down")
		}
		out.Policy = PolicyMessage(next)
		return out, nil
	})
}

// named is host for what is kept with the name alone.
func named(p *call.Plan, name model.Name, given string) (*model.Zone, store.Named, error) {
	z, h, err := p.Host(name, "")
	if err != nil {
		return nil, h, err
	}
	return z, h, call.CheckEtag(given, name.Text(), h.Data.ModRevision)
}

// policyOf reads a policy. Errors are of kind Invalid.
func policyOf(in *pb.SetPolicyRequest) (model.Policy, error) {
	w := model.Policy{MinHealthy: in.GetMinHealthy(), MaxAnswers: in.GetMaxAnswers(), SuspectTTL: in.GetSuspectTtl(), ManualFailback: in.GetFailback() == "manual"}
	for kind, name := range policyNames {
		if name == in.GetKind() {
			w.Kind = kind
		}
	}
	bad := func(field, why, hint string) (model.Policy, error) {
		return w, model.E(model.Invalid, "set policy of", in.GetFqdn()).In(field).Because(why).Hint(hint)
	}
	switch {
	case w.ManualFailback && w.Kind != model.PolicyFailover:
		return bad("failback", "only with failover there is something to fall back to", "leave it out or take failover")
	case in.MaxAnswers != nil && w.MaxAnswers == 0 && w.Kind == model.PolicyWeighted:
		return bad("max_answers", "it is 0, and with weighted that many are answered", "give 1 or more, or leave it out for 1")
	case w.MaxAnswers != 0 && w.Kind != model.PolicyWeighted:
		return bad("max_answers", "only with weighted some of the endpoints are drawn", "leave it out or take weighted")
	}
	addrs, err := rules.ParseAddresses("fallback", in.GetFallback())
	w.Fallback = model.NormalizeAddresses(addrs)
	return w, err
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// WithDefaults is a policy with what stands for a default replaced by it.
func WithDefaults(p model.Policy) model.Policy {
	p.MinHealthy = max(p.MinHealthy, 1)
	if p.Kind == model.PolicyWeighted {
		p.MaxAnswers = max(p.MaxAnswers, 1)
	}
	if p.SuspectTTL == 0 {
		p.SuspectTTL = model.DefaultSuspectTTL
	}
	return p
}

// describeAnswerPolicy is a policy for people, as audit records show it.
func describeAnswerPolicy(p model.Policy) string {
	p = WithDefaults(p)
	text := policyNames[p.Kind] + ", min healthy " + number(p.MinHealthy)
	if p.Kind == model.PolicyFailover {
		text += ", failback " + failback(p)
	}
	if p.Kind == model.PolicyWeighted {
		text += ", max answers " + number(p.MaxAnswers)
	}
	if len(p.Fallback) > 0 {
		text += ", fallback " + message.Addresses(p.Fallback)
	}
	return text + ", suspect ttl " + number(p.SuspectTTL)
}

func failback(p model.Policy) string {
	if p.ManualFailback {
		return "manual"
	}
	return "auto"
}

// PolicyMessage is how a host is answered, as the API shows it.
func PolicyMessage(h store.Named) *pb.Policy {
	p := WithDefaults(h.Data.Host.Policy)
	m := &pb.Policy{
		Fqdn: h.Name.Text(), Kind: policyNames[p.Kind], MinHealthy: p.MinHealthy, MaxAnswers: p.MaxAnswers, SuspectTtl: p.SuspectTTL,
		Etag: call.Etag(h.Data.ModRevision),
	}
	if p.Kind == model.PolicyFailover {
		m.Failback = failback(p)
	}
	for _, a := range p.Fallback {
		m.Fallback = append(m.Fallback, a.String())
	}
	return m
}
