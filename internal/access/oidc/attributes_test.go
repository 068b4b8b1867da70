package oidc_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
)

func TestGroupsComeFromWhereTheConfigurationSays(t *testing.T) {
	secret := file(t, oidctest.ServiceSecret+"\n")
	entitled := []string{
		"urn:mace:egi.eu:group:vo.example.org:role=member#aai.egi.eu", "urn:mace:egi.eu:group:vo.example.org#aai.egi.eu",
		"urn:mace:egi.eu:group:vo.example.org#aai.egi.eu", "urn:geant:other:group:vo#aai.egi.eu", "urn:mace:egi.eu:group:vo2#evil.example",
	}
	want := []model.PrincipalName{"group:egi/vo.example.org", "group:egi/vo.example.org:role=member"}
	for name, c := range map[string]struct {
		change func(*oidc.Issuer)
		token  map[string]any
		path   string
	}{
		"token":         {func(i *oidc.Issuer) { i.EntitlementsFrom = "token" }, map[string]any{"entitlements": entitled}, ""},
		"default":       {func(*oidc.Issuer) {}, map[string]any{"eduperson_entitlement": entitled}, ""},
		"claim":         {func(i *oidc.Issuer) { i.EntitlementClaims = []string{"mine"} }, map[string]any{"mine": entitled, "entitlements": "urn:mace:egi.eu:group:x"}, ""},
		"userinfo":      {func(i *oidc.Issuer) { i.EntitlementsFrom = "userinfo" }, nil, userInfo},
		"introspection": {func(i *oidc.Issuer) { introspect(i, secret) }, nil, ask},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, c.change)
			w.Entitle(entitled)
			token := w.Token(c.token)
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					id, err := w.v.Verify(t.Context(), token)
					if err != nil {
						t.Error(err, errors.Unwrap(err))
					} else if diff := cmp.Diff(want, id.Groups); diff != "" {
						t.Error(diff)
					}
				})
			}
			all.Wait()
			if c.path == "" {
				return
			}
			if n := w.Calls(c.path); n != 1 {
				t.Errorf("asked %d times", n)
			}
			// One string instead of a list; and what is kept is kept five minutes.
			w.Entitle("urn:mace:egi.eu:group:other")
			w.pass(4 * time.Minute)
			if id, err := w.v.Verify(t.Context(), token); err != nil || len(id.Groups) != 2 {
				t.Error(id, err)
			}
			w.pass(2 * time.Minute)
			if id, err := w.v.Verify(t.Context(), token); err != nil || len(id.Groups) != 1 || id.Groups[0] != "group:egi/other" {
				t.Error(id, err)
			}
			// What the issuer has taken back is refused; when it cannot be asked we do not know.
			w.Revoke(token)
			w.pass(6 * time.Minute)
			w.want(t, token, wrong)
			again := w.Token(map[string]any{"x": 1})
			w.want(t, again, yes)
			w.Down(true)
			w.pass(6 * time.Minute)
			w.want(t, again, unknown)
		})
	}
}

func TestTheIssuersWordIsAboutTheSameSubject(t *testing.T) {
	secret := file(t, oidctest.ServiceSecret)
	for name, change := range map[string]func(*oidc.Issuer){
		"userinfo":      func(i *oidc.Issuer) { i.EntitlementsFrom = "userinfo" },
		"introspection": func(i *oidc.Issuer) { introspect(i, secret) },
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, change)
			w.want(t, w.Token(map[string]any{"sub": "somebody-else"}), wrong)
		})
	}
	w := start(t, func(i *oidc.Issuer) { introspect(i, file(t, "guessed")) })
	w.want(t, w.Token(nil), unknown) // our fault, not the token's
}

func introspect(i *oidc.Issuer, secretFile string) {
	i.EntitlementsFrom, i.IntrospectionClientID, i.IntrospectionSecretFile = "introspection", oidctest.ServiceClient, secretFile
}
