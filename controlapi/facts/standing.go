package facts

import (
	"slices"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
)

// MakersOf is a token and those that made it; nil when one of them was revoked or has
// expired, or is no more.
func MakersOf(tx *store.Tx, sum []byte, now time.Time) (makers []*model.Token, err error) {
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

// ended is which grants are of tokens that have ended.
func ended(tx *store.Tx, grants model.Grants, now time.Time) (out model.Grants, err error) {
	for _, g := range grants {
		makers, err := MakersOf(tx, g.Token, now)
		if err != nil {
			return nil, err
		}
		if makers == nil {
			out = append(out, g)
		}
	}
	return out, nil
}

// Standing is a host without the editors and the offer of tokens that have ended. Its
// secret identify looks at.
func Standing(tx *store.Tx, h *model.HostControl, now time.Time) (*model.HostControl, error) {
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

// StandingPolicy is a policy without what tokens said that have ended.
func StandingPolicy(tx *store.Tx, p *model.ZonePolicy, now time.Time) (*model.ZonePolicy, error) {
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

// CheckEnabled refuses a person who is disabled. Errors: Denied.
func CheckEnabled(tx *store.Tx, person model.PrincipalName) error {
	why, err := tx.Disabled(person)
	if err == nil && why != nil {
		err = model.E(model.Denied, "authenticate", "").Because(string(person) + " is disabled" + Because(why)).
			Hint("ask those who run this service").From(model.ErrBarred)
	}
	return err
}

// Because is a withdrawal's reason behind what it is the reason of.
func Because(w *model.Withdrawal) string {
	if w.Reason == "" {
		return ""
	}
	return ": " + w.Reason
}

// DescribeWithdrawal says for people why a host is withdrawn; "" when it is not.
func DescribeWithdrawal(h *model.HostControl) string {
	text := ""
	for _, w := range []struct {
		what string
		why  *model.Withdrawal
	}{{"blocked", h.Blocked}, {"disabled", h.Disabled}, {"lapsed", h.Lapsed}} {
		if w.why == nil {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += w.what + Because(w.why)
	}
	return text
}
