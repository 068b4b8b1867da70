package checks

import (
	"context"
	"slices"
	"strconv"
	"time"

	"signpost/controlapi/call"
	"signpost/controlapi/endpoints"
	"signpost/controlapi/facts"
	"signpost/controlapi/guard"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
	pb "signpost/proto/signpost/v1"
)

// GetHealth shows what is answered of a host, and why.
func (s *Service) GetHealth(ctx context.Context, in *pb.GetHealthRequest) (out *pb.Health, err error) {
	c, err := s.Authorize(ctx, access.StatusRead, call.HostAt(in.GetFqdn()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	name, err := model.ParseHostName("fqdn", in.GetFqdn())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		out, err = health(tx, name, s.Now())
		return err
	})
	return out, err
}

func health(tx *store.Tx, name model.Name, now time.Time) (*pb.Health, error) {
	z, h, err := facts.FindHost(tx, name, now)
	if err != nil {
		return nil, err
	}
	all, choice, said, err := endpoints.Standing(tx, z, h)
	if err != nil {
		return nil, err
	}
	out := &pb.Health{
		Fqdn: name.Text(), Policy: endpoints.PolicyMessage(h), Word: message.Word(said.Host),
		Why: answerWhy(h, choice), Ttl: choice.TTL(z.WithDefaults().TTL),
	}
	if out.Revision, err = tx.Revision(); err != nil {
		return nil, err
	}
	freeze, err := tx.Freeze()
	if err != nil {
		return nil, err
	}
	out.Freeze = message.Freeze(freeze)
	check, err := tx.Check(z, name)
	if err != nil {
		return nil, err
	}
	if check != nil {
		out.Check = checkMessage(h, check)
		judges := facts.Judging(h.Data.Host, said.Checkers)
		lives, err := tx.CheckerLives()
		if err != nil {
			return nil, err
		}
		out.Warnings = append(checkerWarnings(check.Sites, said.Checkers), lifeWarnings(judges, lives)...)
		out.Checkers = int32(len(judges))
	}
	if !h.Data.Withdrawn {
		for _, a := range choice.Addresses {
			out.Answers = append(out.Answers, a.String())
		}
	}
	for i, m := range all {
		e := &h.Data.Host.Endpoints[i]
		eh := &pb.EndpointHealth{Endpoint: m, Votes: message.Votes(h.Data.Host, e, said)}
		if e.Site != "" {
			eh.SiteWord = message.Word(said.Sites[e.Site])
		}
		if o := said.Overs[e.ID]; o != nil && o.Generation == e.Generation {
			eh.OverTime = message.Time(o.Time)
		}
		out.Endpoints = append(out.Endpoints, eh)
	}
	return out, nil
}

// lifeWarnings says which of those that judge tell nothing new, or nothing bad.
func lifeWarnings(judges []model.Checker, lives map[string]*model.CheckerLife) (warnings []string) {
	for _, k := range judges {
		switch l := lives[k.Site]; {
		case l == nil:
			warnings = append(warnings, "checker "+k.Site+" shows no sign of life: what it said last stands")
		case l.Doubt:
			warnings = append(warnings, "checker "+k.Site+" doubts itself: it tells nothing bad until that has passed")
		}
	}
	return warnings
}

// answerWhy says for people why a host is answered as it is. The first row that matches:
//
//	it is blocked, disabled or lapsed    that
//	there is no endpoint                 that
//	the fallback is answered             that too few are up
//	it fails open                        that, and that dead ones may be among the answers
//	nothing is answered                  that an operator took all away, or none has addresses
//	anything else                        the policy, and of how many are up
func answerWhy(h store.Named, c zone.Choice) string {
	policy := endpoints.WithDefaults(h.Data.Host.Policy)
	up := 0
	for i := range c.Endpoints {
		if guard.IsUp(&c.Endpoints[i]) {
			up++
		}
	}
	few := strconv.Itoa(up) + " of " + strconv.Itoa(len(c.Endpoints)) + " endpoints up, fewer than " + strconv.Itoa(int(policy.MinHealthy))
	switch {
	case h.Data.Withdrawn:
		if why := facts.DescribeWithdrawal(h.Host); why != "" {
			return "the host is " + why
		}
		return "a host above it is withdrawn"
	case len(c.Endpoints) == 0 && c.Source != zone.FromFallback:
		return "it has no endpoints"
	case c.Source == zone.FromFallback:
		return few + ": the fallback"
	case c.Source == zone.FromFailOpen:
		return few + ": all that no operator took away, whether they work or not"
	case c.Source == zone.FromNothing && slices.ContainsFunc(c.Endpoints, func(s zone.Standing) bool { return s.Word != nil }):
		return few + ": operators took all away"
	case c.Source == zone.FromNothing:
		return "none of its endpoints has addresses"
	}
	text := map[model.PolicyKind]string{
		model.PolicyAll:      "all that are up",
		model.PolicyFailover: "those that are up with the lowest priority",
		model.PolicyWeighted: strconv.Itoa(int(policy.MaxAnswers)) + " of these by weight, drawn for each question",
	}[policy.Kind]
	return text + " (" + strconv.Itoa(up) + " of " + strconv.Itoa(len(c.Endpoints)) + " are up)"
}
