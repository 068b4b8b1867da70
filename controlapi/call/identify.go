package call

import (
	"time"

	"signpost/controlapi/facts"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// groupMaxAge is the default of Config.GroupMaxAge.
const groupMaxAge = 30 * 24 * time.Hour

// glance is a look at the host whose secret was shown.
type glance struct {
	tx   *store.Tx // that looked; nil: there was none
	zone *model.Zone
	host store.Named
}

// Identify looks a credential up: whoever commits what was decided on it has compared
// it. It also gives what it saw of the host whose secret this is, and takes note of the
// use. Errors: Unauthenticated, the same for an unknown host and a wrong secret; Denied for
// a person who is disabled; Unavailable before any verdict.
func (d *Desk) Identify(tx *store.Tx, c Credential) (access.Principal, glance, error) {
	if c.User != nil {
		return *c.User, glance{}, facts.CheckEnabled(tx, c.User.Person)
	}
	switch c.Secret.Kind {
	case access.Admin:
		t, err := tx.Token(c.Secret.Sum[:])
		if err != nil {
			return access.Principal{}, glance{}, err
		}
		if t == nil || !t.Admin {
			return access.Principal{}, glance{}, access.Wrong()
		}
		return access.Principal{Kind: access.Admin, Token: t.ID}, glance{}, nil
	case access.User:
		who, err := d.holder(tx, c.Secret.Sum[:])
		if err == nil {
			d.uses.note(store.TokenUse(c.Secret.Sum), d.Now())
		}
		return who, glance{}, err
	case access.HostSecret:
		z, h, err := facts.FindHost(tx, c.host, d.Now())
		if model.KindOf(err) == model.NotFound && err != nil {
			return access.Principal{}, glance{}, access.Wrong()
		}
		if err != nil {
			return access.Principal{}, glance{}, err
		}
		sum, err := c.checkSecret(tx, z, h)
		if err != nil {
			return access.Principal{}, glance{}, err
		}
		who := access.Principal{Kind: access.HostSecret, Host: c.host}
		if err := d.narrowSecret(tx, &who, h.Host, model.GrantSecret); err != nil {
			return access.Principal{}, glance{}, err
		}
		if sum != nil {
			d.uses.note(store.HostUse(z, c.host, [32]byte(sum)), d.Now())
		}
		return who, glance{tx, z, h}, nil
	case access.EndpointSecret:
		z, h, err := facts.FindHost(tx, c.host, d.Now())
		if model.KindOf(err) == model.NotFound && err != nil {
			return access.Principal{}, glance{}, access.Wrong()
		}
		if err != nil {
			return access.Principal{}, glance{}, err
		}
		if kept := h.Host.Secret(c.id); kept == nil || !c.Secret.Is(kept.Hash) {
			return access.Principal{}, glance{}, access.Wrong()
		}
		who := access.Principal{Kind: access.EndpointSecret, Host: c.host, ID: c.id}
		if err := d.narrowSecret(tx, &who, h.Host, model.GrantEndpointSecret+c.id); err != nil {
			return access.Principal{}, glance{}, err
		}
		return who, glance{tx, z, h}, nil
	}
	return access.Principal{}, glance{}, nil
}

// holder is who shows an API token: its owner, narrowed by it and by those that made it,
// with the groups of the owner's last login unless that is too long ago.
func (d *Desk) holder(tx *store.Tx, sum []byte) (access.Principal, error) {
	none := access.Principal{}
	t, err := tx.Token(sum)
	if err != nil {
		return none, err
	}
	if t == nil || t.Admin {
		return none, access.Wrong()
	}
	used, err := tx.LastUse(sum)
	if err != nil {
		return none, err
	}
	switch t.State(used, d.Now()) {
	case model.TokenRevoked:
		return none, access.Ended("the token was revoked")
	case model.TokenExpired:
		return none, access.Ended("the token expired on " + t.ExpireTime.UTC().Format(time.DateOnly))
	case model.TokenUnused:
		return none, access.Ended("the token has expired: it was not used for 90 days")
	}
	narrow := &access.Narrow{Token: t.ID, Limits: []model.TokenLimits{t.Limits}}
	makers, err := facts.MakersOf(tx, t.Parent, d.Now())
	if err != nil {
		return none, err
	}
	if makers == nil && t.Parent != nil {
		return none, access.Ended("the token that made it was revoked or has expired")
	}
	for _, m := range makers {
		narrow.Limits = append(narrow.Limits, m.Limits)
	}
	owner, err := tx.TokenOwner(t.Owner)
	if err != nil {
		return none, err
	}
	who := access.Principal{Kind: access.User, Person: t.Owner, Narrow: narrow, Expires: t.ExpireTime}
	if d.Now().Sub(owner.LoginTime) <= d.groupMaxAge {
		who.Groups = owner.Groups
	}
	who.Operator = who.Among(d.Operators)
	return who, facts.CheckEnabled(tx, t.Owner)
}
