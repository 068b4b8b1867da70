package oidc_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
)

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a provider, and a verifier that takes tokens of its public client.
type world struct {
	*oidctest.Provider
	*clock
	v *oidc.Verifier
}

func start(t *testing.T, change ...func(*oidc.Issuer)) *world {
	t.Helper()
	w := &world{Provider: oidctest.New(t), clock: &clock{now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}}
	w.Now = w.clock.read
	w.again(t, change...)
	return w
}

// again is the verifier after a restart.
func (w *world) again(t *testing.T, change ...func(*oidc.Issuer)) {
	t.Helper()
	i := oidc.Issuer{
		Name: "egi", URL: w.URL, AuthorizedParties: []string{oidctest.PublicClient},
		Namespace: "urn:mace:egi.eu", Authorities: []string{"aai.egi.eu"},
	}
	for _, f := range change {
		f(&i)
	}
	var err error
	if w.v, err = oidc.New(oidc.Config{Issuers: []oidc.Issuer{i}, Now: w.clock.read}); err != nil {
		t.Fatal(err)
	}
}

const (
	certs    = "/protocol/openid-connect/certs"
	userInfo = "/protocol/openid-connect/userinfo"
	ask      = "/protocol/openid-connect/token/introspect"
)

func (w *world) want(t *testing.T, token string, kind model.Kind) {
	t.Helper()
	id, err := w.v.Verify(t.Context(), token)
	switch {
	case kind == yes:
		if err != nil {
			t.Errorf("%v: %v", err, errors.Unwrap(err))
		} else if want := model.PrincipalName("egi/" + oidctest.Subject); id.Person != want || id.Kind != access.User {
			t.Errorf("it is %s %s, want %s", id.Kind, id.Person, want)
		}
	case err == nil || model.KindOf(err) != kind:
		t.Errorf("%v, want %s", err, kind)
	}
}

const (
	yes     = model.Kind(-1)
	wrong   = model.Unauthenticated
	unknown = model.Unavailable
)

// Whose token is it? Each row is a token that its issuer, or somebody else, made.
func TestTokens(t *testing.T) {
	in := func(d time.Duration) int64 { return time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC).Add(d).Unix() }
	set := func(pairs ...any) func(*world) string {
		change := map[string]any{}
		for n := 0; n < len(pairs); n += 2 {
			change[pairs[n].(string)] = pairs[n+1]
		}
		return func(w *world) string { return w.Token(change) }
	}
	claims := func(w *world) map[string]any {
		return map[string]any{"iss": w.URL, "sub": oidctest.Subject, "azp": oidctest.PublicClient, "exp": in(time.Hour)}
	}
	raw := func(first string, header map[jose.HeaderKey]any) func(*world) string {
		return func(w *world) string {
			return w.Raw(fmt.Sprintf(`{%s"iss":%q,"sub":%q,"azp":%q,"exp":%d}`, first, w.URL, oidctest.Subject, oidctest.PublicClient, in(time.Hour)), header)
		}
	}
	audience := func(i *oidc.Issuer) { i.AuthorizedParties, i.Audiences = nil, []string{"signpost-api", "other-api"} }
	scope := func(i *oidc.Issuer) { i.AuthorizedParties, i.Scopes = nil, []string{"dns", "openid"} }
	tests := []struct {
		name   string
		token  func(*world) string
		issuer func(*oidc.Issuer)
		want   model.Kind
	}{
		{"right", set(), nil, yes},
		{"right, RFC 9068", set("#typ", "at+jwt", "typ", nil), nil, yes},
		{"right, RFC 9068 in full", set("#typ", "application/at+jwt", "typ", nil, "azp", nil, "client_id", oidctest.PublicClient), nil, yes},
		{"right, no types", set("#typ", nil, "typ", nil), nil, yes},
		{"right, no key id", set("#kid", nil), nil, yes},
		{"right, nonce of an old Keycloak", set("nonce", "x"), nil, yes},
		{"right, audience", set("aud", "other-api"), audience, yes},
		{"right, audience of several", set("aud", []string{"account", "signpost-api"}), audience, yes},
		{"right, scopes", set("scope", "openid profile dns"), scope, yes},
		{"expired", set("exp", in(-time.Minute)), nil, wrong},
		{"expired within the skew", set("exp", in(-59*time.Second)), nil, yes},
		{"expires never", set("exp", nil), nil, wrong},
		{"expires at no time", set("exp", 1e300), nil, wrong},
		{"expires in words", set("exp", "tomorrow"), nil, wrong},
		{"not yet valid", set("nbf", in(61*time.Second)), nil, wrong},
		{"not yet valid within the skew", set("nbf", in(time.Minute)), nil, yes},
		{"wrong issuer", set("iss", "https://aai.example.org"), nil, wrong},
		{"issuer with a slash more", func(w *world) string { return w.Token(map[string]any{"iss": w.URL + "/"}) }, nil, wrong},
		{"no issuer", set("iss", nil), nil, wrong},
		{"issuer in capitals only", func(w *world) string { return w.Token(map[string]any{"iss": nil, "ISS": w.URL}) }, nil, wrong},
		{"subject in capitals beside", set("Sub", "somebody"), nil, yes},
		{"wrong audience", set("aud", "account"), audience, wrong},
		{"no audience", set(), audience, wrong},
		{"wrong azp", set("azp", "other"), nil, wrong},
		{"no azp", set("azp", nil), nil, wrong},
		{"wrong azp, right client_id", set("azp", "other", "client_id", oidctest.PublicClient), nil, wrong},
		{"missing scope", set("scope", "openid dnssec"), scope, wrong},
		{"no scope", set("scope", nil), scope, wrong},
		{"ID token", set("typ", "ID", "aud", oidctest.PublicClient), nil, wrong},
		{"ID token of others than Keycloak", set("typ", nil, "nonce", "x"), nil, wrong},
		{"ID token with at_hash", set("typ", nil, "at_hash", "x"), nil, wrong},
		{"refresh token", set("typ", "Refresh"), nil, wrong},
		{"offline token", set("typ", "Offline"), nil, wrong},
		{"logout token", set("typ", "Logout"), nil, wrong},
		{"logout token by its header", set("#typ", "logout+jwt", "typ", nil), nil, wrong},
		{"logout token by its events", set("typ", nil, "events", map[string]any{}), nil, wrong},
		{"token bound to a key", set("cnf", map[string]any{"jkt": "x"}), nil, wrong},
		{"no subject", set("sub", nil), nil, wrong},
		{"subject with a space", set("sub", "a b"), nil, wrong},
		{"subject of 256 octets", set("sub", strings.Repeat("x", 256)), nil, wrong},
		{"unknown kid", set("#kid", "other"), nil, wrong},
		{"key for encryption", func(w *world) string { return w.Token(map[string]any{"#kid": "enc"}) }, nil, wrong},
		{"alg none", func(w *world) string {
			part := strings.Split(w.Token(nil), ".")
			return "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + part[1] + "."
		}, nil, wrong},
		{"HS256 with the public key", func(w *world) string {
			w.Rotate(false) // to an RSA key, the classic
			der, err := x509.MarshalPKIXPublicKey(w.PublicKey())
			if err != nil {
				panic(err)
			}
			return oidctest.Sign(claims(w), map[jose.HeaderKey]any{"kid": "key-2"}, jose.HS256, der)
		}, nil, wrong},
		{"another key under the same id", func(w *world) string {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			return oidctest.Sign(claims(w), map[jose.HeaderKey]any{"kid": "key-1"}, jose.RS256, k)
		}, nil, wrong},
		{"a key that came along", func(w *world) string {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			return oidctest.Sign(claims(w), map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: k.Public()}, "jku": w.URL}, jose.RS256, k)
		}, nil, wrong},
		{"claims of one token under the signature of another", func(w *world) string {
			a, b := strings.Split(w.Token(nil), "."), strings.Split(w.Token(map[string]any{"sub": "x"}), ".")
			return a[0] + "." + b[1] + "." + a[2]
		}, nil, wrong},
		{"raw claims", raw("", nil), nil, yes},
		{"a subject given twice", raw(`"sub":"root",`, nil), nil, wrong},
		{"an issuer given twice, the first is another", raw(`"iss":"https://aai.example.org",`, nil), nil, wrong},
		{"an expiry given twice", raw(`"exp":4000000000,`, nil), nil, wrong},
		{"a claim of ours given twice", raw(`"x":1,"x":2,`, nil), nil, wrong},
		{"an expiry below zero", set("exp", -1), nil, wrong},
		{"an expiry that is true", set("exp", true), nil, wrong},
		{"a subject that is a list", set("sub", []string{oidctest.Subject}), nil, wrong},
		{"a subject that is nothing", set("sub", ""), nil, wrong},
		{"a scope that is a list", set("scope", []string{"dns"}), scope, wrong},
		{"a part of a scope", set("scope", "openid,dns"), scope, wrong},
		{"an audience in a list of lists", set("aud", [][]string{{"signpost-api"}}), audience, wrong},
		{"an audience in capitals", set("aud", "Signpost-API"), audience, wrong},
		{"a header that must be understood", raw("", map[jose.HeaderKey]any{"crit": []string{"b64x"}, "b64x": 1}), nil, wrong},
		{"a kid that is a path", set("#kid", "../key-1"), nil, wrong},
		{"a kid that is none", set("#kid", 1), nil, wrong},
		{"claims that are a list", func(w *world) string { return w.Raw(`[]`, nil) }, nil, wrong},
		{"claims with something behind", func(w *world) string { return w.Raw(`{"iss":"`+w.URL+`"}{}`, nil) }, nil, wrong},
		{"garbage", func(*world) string { return "a.b.c" }, nil, wrong},
		{"dots", func(*world) string { return ".." }, nil, wrong},
		{"huge", set("x", strings.Repeat("x", oidc.MaxToken)), nil, wrong},
		{"large", set("x", strings.Repeat("x", oidc.MaxToken*3/4-1000)), nil, yes},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			if tt.issuer != nil {
				w.again(t, tt.issuer)
			}
			w.want(t, tt.token(w), tt.want)
		})
	}
}

func TestOnlyAnExpiredTokenIsToldWhatIsWrong(t *testing.T) {
	w := start(t)
	old := w.Token(map[string]any{"exp": w.read().Add(-time.Hour).Unix()})
	if _, err := w.v.Verify(t.Context(), old); err == nil || err.Error() != "authenticate: the token has expired; log in again" {
		t.Error(err)
	}
	for _, token := range []string{w.Token(map[string]any{"azp": "x"}), "a.b.c", w.Token(map[string]any{"iss": "x"})} {
		_, err := w.v.Verify(t.Context(), token)
		if err == nil || err.Error() != access.Wrong().Error() || errors.Unwrap(err) == nil {
			t.Errorf("%v, because %v", err, errors.Unwrap(err))
		}
		if err != nil && strings.Contains(errors.Unwrap(err).Error(), token) {
			t.Error("the reason shows the token")
		}
	}
}
