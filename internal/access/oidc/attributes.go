package oidc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4/json"

	"signpost/internal/access"
	"signpost/internal/model"
)

// attributes is what the issuer says of the person to whom it gave the token, from
// where the configuration says. Errors: Unauthenticated when it no longer takes the
// token for a right one; Unavailable when it does not answer.
func (i *issuer) attributes(ctx context.Context, t *token) (attributes, error) {
	if i.EntitlementsFrom == FromToken {
		return t.all, nil
	}
	k := i.known.Load() // verify has seen to it
	req, err := i.question(ctx, k, t.raw)
	var said attributes
	var status int
	if err == nil {
		status, err = i.do(req, &said)
	}
	switch {
	case err == nil && status == http.StatusOK:
	case status == http.StatusUnauthorized && i.EntitlementsFrom == FromUserInfo:
		return nil, access.Withdrawn()
	case status == http.StatusForbidden && i.EntitlementsFrom == FromUserInfo:
		return nil, wrong("the issuer's UserInfo endpoint refuses it with status %d", status)
	default:
		if err == nil {
			err = fmt.Errorf("status %d", status)
		}
		i.log.Warn("cannot ask an issuer about a person", "at", i.EntitlementsFrom, "error", err)
		return nil, model.E(model.Unavailable, "authenticate", "").
			Because("the issuer " + i.Name + " of the token does not say which groups you are in").Hint("try again in a few seconds").From(err)
	}
	var is struct {
		Subject string `json:"sub"`
		Active  bool   `json:"active"`
	}
	for name, into := range map[string]any{"sub": &is.Subject, "active": &is.Active} {
		if raw, ok := said[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return nil, wrong("what the issuer says of it has a wrong %s: %w", name, err)
			}
		}
	}
	introspected := i.EntitlementsFrom == FromIntrospection
	switch {
	case introspected && !is.Active:
		return nil, access.Withdrawn()
	case is.Subject != t.Subject && (is.Subject != "" || !introspected): // OpenID Connect Core 1.0 section 5.3.2
		return nil, wrong("the issuer says that it is about %.200q", is.Subject)
	}
	return said, nil
}

func (i *issuer) question(ctx context.Context, k *known, token string) (*http.Request, error) {
	if i.EntitlementsFrom == FromUserInfo {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.userInfo, nil)
		if err == nil {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		return req, err
	}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.introspection, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(url.QueryEscape(i.IntrospectionClientID), url.QueryEscape(i.secret.Get())) // RFC 6749 section 2.3.1
	}
	return req, err
}
