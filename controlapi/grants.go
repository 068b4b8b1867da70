package controlapi

import (
	"slices"
	"time"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// maker is the API token with which the caller came, and with which ends what it makes;
// nil: none.
func (c *call) maker() []byte {
	if c.who.Kind != access.User || c.who.Narrow == nil {
		return nil
	}
	return c.credential.secret.Sum[:]
}

// makersOf is a token and those that made it; nil when one of them was revoked or has
// expired, or is no more.
func makersOf(tx *store.Tx, sum []byte, now time.Time) (makers []*model.Token, err error) {
	for sum != nil {
		t, err := tx.Token(sum)
		if err != nil || t == nil || t.State(now, now) != model.TokenActive {
			return nil, err
		}
		makers = append(makers, t)
		sum = t.Parent
	}
	return makers, nil
}

// narrowSecret gives who holds a secret no more than the token had that made it, as the
// grant says: it ends with it, and is used from where it is. All else that a secret may the token might do.
// Errors: Unauthenticated when the token has ended.
func (s *Service) narrowSecret(tx *store.Tx, who *access.Principal, h *model.HostControl, grant string) error {
	by := h.Grants.By(grant)
	if by == nil {
		return nil
	}
	makers, err := makersOf(tx, by, s.now())
	if err != nil {
		return err
	}
	if makers == nil {
		return access.EndedSecret(who.Kind)
	}
	who.Expires, who.Narrow = makers[0].ExpireTime, &access.Narrow{Token: makers[0].ID}
	for _, m := range makers {
		who.Narrow.Limits = append(who.Narrow.Limits, model.TokenLimits{Sources: m.Limits.Sources})
	}
	return nil
}

// ended is which grants are of tokens that have ended.
func ended(tx *store.Tx, grants model.Grants, now time.Time) (out model.Grants, err error) {
	for _, g := range grants {
		makers, err := makersOf(tx, g.Token, now)
		if err != nil {
			return nil, err
		}
		if makers == nil {
			out = append(out, g)
		}
	}
	return out, nil
}

// standing is a host without the editors and the offer of tokens that have ended. Its
// secret identify looks at.
func standing(tx *store.Tx, h *model.HostControl, now time.Time) (*model.HostControl, error) {
	if h == nil || len(h.Grants) == 0 {
		return h, nil
	}
	over, err := ended(tx, h.Grants, now)
	if err != nil || len(over) == 0 {
		return h, err
	}
	out := *h
	if over.By(model.GrantOffer) != nil {
		out.Offer, out.Grants = nil, out.Grants.With(model.GrantOffer, nil)
	}
	out.Editors, out.Grants, out.Lost = without(h.Editors, model.GrantEditor, out.Grants, over)
	return &out, nil
}

// standingPolicy is a policy without what tokens said that have ended.
func standingPolicy(tx *store.Tx, p *model.ZonePolicy, now time.Time) (*model.ZonePolicy, error) {
	if len(p.Grants) == 0 {
		return p, nil
	}
	over, err := ended(tx, p.Grants, now)
	if err != nil || len(over) == 0 {
		return p, err
	}
	out := *p
	if over.By(model.GrantRegister) != nil {
		out.Register, out.Grants = model.RegisterNobody, out.Grants.With(model.GrantRegister, nil)
	}
	out.Admins, out.Grants, _ = without(p.Admins, model.GrantAdmin, out.Grants, over)
	out.Groups, out.Grants, _ = without(p.Groups, model.GrantGroup, out.Grants, over)
	return &out, nil
}

// without is names and grants without those that are over, and those names.
func without(names []model.PrincipalName, grant string, grants, over model.Grants) (left []model.PrincipalName, rest model.Grants, lost []model.PrincipalName) {
	for _, n := range names {
		if over.By(grant+string(n)) != nil {
			lost = append(lost, n)
			grants = grants.With(grant+string(n), nil)
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(n model.PrincipalName) bool { return slices.Contains(lost, n) }), grants, lost
}
