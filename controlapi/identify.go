package controlapi

import (
	"time"

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

// identify looks a credential up: whoever commits what was decided on it has compared
// it. It also gives what it saw of the host whose secret this is, and takes note of the
// use. Errors: Unauthenticated, the same for an unknown host and a wrong secret; Denied for
// a person who is disabled; Unavailable before any verdict.
func (s *Service) identify(tx *store.Tx, c credential) (access.Principal, glance, error) {
	if c.user != nil {
		return *c.user, glance{}, checkEnabled(tx, c.user.Person)
	}
	switch c.secret.Kind {
	case access.Admin:
		t, err := tx.Token(c.secret.Sum[:])
		if err != nil {
			return access.Principal{}, glance{}, err
		}
		if t == nil || !t.Admin {
			return access.Principal{}, glance{}, access.Wrong()
		}
		return access.Principal{Kind: access.Admin, Token: t.ID}, glance{}, nil
	case access.User:
		who, err := s.holder(tx, c.secret.Sum[:])
		if err == nil {
			s.uses.note(store.TokenUse(c.secret.Sum), s.now())
		}
		return who, glance{}, err
	case access.HostSecret:
		z, h, err := findHost(tx, c.host, s.now())
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
		if err := s.narrowSecret(tx, &who, h.Host, model.GrantSecret); err != nil {
			return access.Principal{}, glance{}, err
		}
		if sum != nil {
			s.uses.note(store.HostUse(z, c.host, [32]byte(sum)), s.now())
		}
		return who, glance{tx, z, h}, nil
	case access.EndpointSecret:
		z, h, err := findHost(tx, c.host, s.now())
		if model.KindOf(err) == model.NotFound && err != nil {
			return access.Principal{}, glance{}, access.Wrong()
		}
		if err != nil {
			return access.Principal{}, glance{}, err
		}
		if kept := h.Host.Secret(c.id); kept == nil || !c.secret.Is(kept.Hash) {
			return access.Principal{}, glance{}, access.Wrong()
		}
		who := access.Principal{Kind: access.EndpointSecret, Host: c.host, ID: c.id}
		if err := s.narrowSecret(tx, &who, h.Host, model.GrantEndpointSecret+c.id); err != nil {
			return access.Principal{}, glance{}, err
		}
		return who, glance{tx, z, h}, nil
	}
	return access.Principal{}, glance{}, nil
}

// holder is who shows an API token: its owner, narrowed by it and by those that made it,
// with the groups of the owner's last login unless that is too long ago.
func (s *Service) holder(tx *store.Tx, sum []byte) (access.Principal, error) {
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
	switch t.State(used, s.now()) {
	case model.TokenRevoked:
		return none, access.Ended("the token was revoked")
	case model.TokenExpired:
		return none, access.Ended("the token expired on " + t.ExpireTime.UTC().Format(time.DateOnly))
	case model.TokenUnused:
		return none, access.Ended("the token has expired: it was not used for 90 days")
	}
	narrow := &access.Narrow{Token: t.ID, Limits: []model.TokenLimits{t.Limits}}
	makers, err := makersOf(tx, t.Parent, s.now())
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
	if s.now().Sub(owner.LoginTime) <= s.groupMaxAge {
		who.Groups = owner.Groups
	}
	who.Operator = who.Among(s.operators)
	return who, checkEnabled(tx, t.Owner)
}
