package model

import (
	"bytes"
	"slices"
)

// Grant is that an API token made something, which ends with it.
type Grant struct {
	What  string
	Token []byte // SHA-256 of its secret
}

// What grants of a host and of a zone's policy are of: some have a name behind them.
const (
	GrantSecret   = "secret"
	GrantOffer    = "offer"
	GrantEditor   = "editor "
	GrantAdmin    = "admin "
	GrantGroup    = "group "
	GrantRegister = "register"

	GrantEndpointSecret = "endpoint-secret " // of the endpoint with that id
)

// Grants is at most one for each thing; what is not in it nobody's token made.
type Grants []Grant

// By is the token that made something; nil: none did.
func (g Grants) By(what string) []byte {
	if i := g.find(what); i >= 0 {
		return g[i].Token
	}
	return nil
}

func (g Grants) find(what string) int {
	return slices.IndexFunc(g, func(o Grant) bool { return o.What == what })
}

// With is the grants when something was made by a token; nil: by none, or it is no more.
func (g Grants) With(what string, token []byte) Grants {
	i := g.find(what)
	if i >= 0 && token != nil && bytes.Equal(g[i].Token, token) || i < 0 && token == nil {
		return g
	}
	out := slices.DeleteFunc(slices.Clone(g), func(o Grant) bool { return o.What == what })
	if token != nil {
		out = append(out, Grant{what, token})
	}
	return out
}

// Said is With for what somebody says that was, perhaps, said before: what a person says
// a token does not take over.
func (g Grants) Said(what string, before bool, token []byte) Grants {
	if before && g.find(what) < 0 {
		return g
	}
	return g.With(what, token)
}

// Equal reports whether two are the same.
func (g Grants) Equal(o Grants) bool {
	return slices.EqualFunc(g, o, func(a, b Grant) bool { return a.What == b.What && bytes.Equal(a.Token, b.Token) })
}
