package oidc_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
)

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestABadConfigurationIsRefusedWithEveryReason(t *testing.T) {
	good := func(change func(*oidc.Issuer)) []oidc.Issuer {
		i := oidc.Issuer{Name: "egi", URL: "https://aai.egi.eu/auth/realms/egi", Audiences: []string{"signpost"}, Namespace: "urn:mace:egi.eu", Authorities: []string{"aai.egi.eu"}, LoginClientID: "x", LoginScopes: []string{"openid"}}
		change(&i)
		return []oidc.Issuer{i}
	}
	if _, err := oidc.New(oidc.Config{Issuers: good(func(*oidc.Issuer) {})}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		issuers []oidc.Issuer
		want    []string
	}{
		"all at once":        {[]oidc.Issuer{{}, {Name: "admin"}}, []string{"issuers[0].name", "issuers[0].url", "issuers[0].audiences", "issuers[1].name"}},
		"the same twice":     {append(good(func(*oidc.Issuer) {}), good(func(*oidc.Issuer) {})...), []string{"issuers[1].name", "issuers[1].url"}},
		"any token would do": {good(func(i *oidc.Issuer) { i.Audiences = nil }), []string{"issuers[0].audiences", "meant for us"}},
		"an empty audience":  {good(func(i *oidc.Issuer) { i.Audiences = []string{""} }), []string{"issuers[0].audiences"}},
		"plain http":         {good(func(i *oidc.Issuer) { i.URL = "http://aai.example.org" }), []string{"issuers[0].url", "neither https nor on loopback"}},
		"a user in the URL":  {good(func(i *oidc.Issuer) { i.URL = "https://u@aai.example.org" }), []string{"issuers[0].url"}},
		"no URL":             {good(func(i *oidc.Issuer) { i.URL = "aai" }), []string{"issuers[0].url"}},
		"an unknown place":   {good(func(i *oidc.Issuer) { i.EntitlementsFrom = "ldap" }), []string{"issuers[0].entitlements-from", "ldap"}},
		"no client":          {good(func(i *oidc.Issuer) { i.EntitlementsFrom = "introspection" }), []string{"introspection-client-id", "introspection-secret-file"}},
		"a client unused":    {good(func(i *oidc.Issuer) { i.IntrospectionClientID = "x" }), []string{"introspection-client-id"}},
		"no namespace":       {good(func(i *oidc.Issuer) { i.Namespace = "" }), []string{"issuers[0].authorities"}},
		"a bad namespace":    {good(func(i *oidc.Issuer) { i.Namespace = "urn:mace:egi.eu:" }), []string{"issuers[0].namespace"}},
		"scopes for nobody":  {good(func(i *oidc.Issuer) { i.LoginClientID = "" }), []string{"issuers[0].login-scopes"}},
		"no CA file":         {good(func(i *oidc.Issuer) { i.CAFile = "/no/such" }), []string{"ca-file"}},
		"an empty CA file":   {good(func(i *oidc.Issuer) { i.CAFile = file(t, "x") }), []string{"ca-file", "no certificate"}},
		"an empty secret":    {good(func(i *oidc.Issuer) { introspect(i, file(t, "\n")) }), []string{"introspection-secret-file", "empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := oidc.New(oidc.Config{Issuers: c.issuers})
			if err == nil || model.KindOf(err) != model.Invalid {
				t.Fatal(err)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not name %q", err, w)
				}
			}
		})
	}
}

func TestAnIssuerMayHaveAnAuthorityOfItsOwn(t *testing.T) {
	p, ca := oidctest.NewTLS(t)
	i := oidc.Issuer{Name: "egi", URL: p.URL, AuthorizedParties: []string{oidctest.PublicClient}}
	for file, want := range map[string]model.Kind{"": unknown, ca: yes} {
		i.CAFile = file
		v, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{i}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), p.Token(nil)); (err == nil) != (want == yes) || err != nil && model.KindOf(err) != want {
			t.Errorf("authorities %q: %v", file, err)
		}
	}
}

// What an issuer says of itself does not take us to a place that can be read on the way,
// nor anywhere by a redirect.
func TestTheWayToAnIssuerIsPrivate(t *testing.T) {
	for u, want := range map[string]bool{
		"https://aai.egi.eu/x": true, "http://127.0.0.1:1": true, "http://localhost": true, "http://[::1]:1": true,
		"http://aai.egi.eu": false, "http://localhost.example.org": false, "http://127.0.0.1.example.org": false, "ftp://127.0.0.1": false, "file:///etc": false,
	} {
		parsed, err := url.Parse(u)
		if err != nil || oidc.Private(parsed) != want {
			t.Errorf("%s: %t, want %t", u, oidc.Private(parsed), want)
		}
	}
	s := httptest.NewServer(http.RedirectHandler("http://192.0.2.1/", http.StatusFound))
	defer s.Close()
	resp, err := oidc.Client(nil).Get(s.URL)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Error(resp, err)
	} else {
		resp.Body.Close()
	}
	if _, err := oidc.Client(nil).Get("http://192.0.2.1/"); err == nil || !strings.Contains(err.Error(), "neither https nor on loopback") {
		t.Error(err)
	}
}
