package oidctest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// grant is what somebody waits to change into tokens.
type grant struct {
	scope, challenge, redirect string
	approved, denied           bool
}

const oidcPath = "/protocol/openid-connect"

func (p *Provider) handler() http.Handler {
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{
		"/.well-known/openid-configuration": p.discovery,
		oidcPath + "/certs":                 func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, p.published()) },
		oidcPath + "/userinfo":              p.userInfo,
		oidcPath + "/token/introspect":      p.introspect,
		oidcPath + "/auth":                  p.authorize,
		oidcPath + "/auth/device":           p.device,
		oidcPath + "/token":                 p.tokens,
		oidcPath + "/revoke":                p.revoke,
	} {
		mux.HandleFunc("/realms/test"+path, func(w http.ResponseWriter, r *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.calls[path]++
			if p.down {
				panic(http.ErrAbortHandler)
			}
			h(w, r)
		})
	}
	return mux
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	d := map[string]any{
		"issuer": p.URL, "jwks_uri": p.URL + oidcPath + "/certs", "userinfo_endpoint": p.URL + oidcPath + "/userinfo",
		"authorization_endpoint": p.URL + oidcPath + "/auth", "token_endpoint": p.URL + oidcPath + "/token",
		"revocation_endpoint":                            p.URL + oidcPath + "/revoke",
		"introspection_endpoint":                         p.URL + oidcPath + "/token/introspect",
		"device_authorization_endpoint":                  p.URL + oidcPath + "/auth/device",
		"id_token_signing_alg_values_supported":          []string{"RS256", "ES256", "HS256"},
		"code_challenge_methods_supported":               []string{"plain", "S256"},
		"authorization_response_iss_parameter_supported": true,
	}
	if p.noDevice {
		delete(d, "device_authorization_endpoint")
	}
	answer(w, 200, d)
}

// takes reports whether the provider takes an access token for its own.
func (p *Provider) takes(token string) bool {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil || p.revoked[token] {
		return false
	}
	for _, k := range p.keys {
		if _, err := signed.Verify(k.private.Public()); err == nil {
			return true
		}
	}
	return false
}

func (p *Provider) userInfo(w http.ResponseWriter, r *http.Request) {
	if !p.takes(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		answer(w, 401, map[string]string{"error": "invalid_token"})
		return
	}
	answer(w, 200, map[string]any{"sub": Subject, "email": "a@example.org", "eduperson_entitlement": p.entitlements})
}

func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	user, secret, _ := r.BasicAuth()
	user, _ = url.QueryUnescape(user)
	secret, _ = url.QueryUnescape(secret)
	if user != ServiceClient || secret != ServiceSecret {
		answer(w, 401, map[string]string{"error": "invalid_client"})
		return
	}
	if !p.takes(r.PostFormValue("token")) {
		answer(w, 200, map[string]any{"active": false})
		return
	}
	answer(w, 200, map[string]any{"active": true, "sub": Subject, "eduperson_entitlement": p.entitlements})
}

// authorize approves at once: the person has logged in before.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || q.Get("client_id") != PublicClient || back.Hostname() != "127.0.0.1" || q.Get("response_type") != "code" {
		http.Error(w, "unknown client or redirect_uri", 400)
		return
	}
	answer := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" {
		answer.Set("error", "invalid_request")
		answer.Set("error_description", "PKCE S256 is required")
	} else {
		code := rand.Text()
		p.waiting[code] = &grant{scope: q.Get("scope"), challenge: q.Get("code_challenge"), redirect: back.String(), approved: true}
		answer.Set("code", code)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

func (p *Provider) device(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("client_id") != PublicClient || p.noDevice {
		answer(w, 401, map[string]string{"error": "unauthorized_client"})
		return
	}
	code, user := rand.Text(), rand.Text()[:4]+"-"+rand.Text()[:4]
	g := &grant{scope: r.PostFormValue("scope"), challenge: r.PostFormValue("code_challenge")}
	p.waiting[code], p.byUserCode[user] = g, g
	said := map[string]any{
		"device_code": code, "user_code": user, "verification_uri": p.URL + "/device",
		"verification_uri_complete": p.URL + "/device?user_code=" + user, "expires_in": 600, "interval": 1,
	}
	maps.Copy(said, p.ofCodes)
	answer(w, 200, said)
}

// SayOfCodes has the provider say something else of the codes of devices: values by the names
// of RFC 8628 section 3.2, nil for null.
func (p *Provider) SayOfCodes(what map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ofCodes = what
}

// Decide is the person's answer to a device's user code.
func (p *Provider) Decide(userCode string, yes bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.byUserCode[userCode]
	if g == nil {
		return false
	}
	g.approved, g.denied = yes, !yes
	return true
}

func (p *Provider) tokens(w http.ResponseWriter, r *http.Request) {
	bad := func(code string) {
		answer(w, 400, map[string]string{"error": code, "error_description": "no: " + code})
	}
	if err := r.ParseForm(); err != nil || r.PostForm.Get("client_id") != PublicClient {
		bad("invalid_client")
		return
	}
	f := r.PostForm
	kind := map[string]string{"authorization_code": "code", "urn:ietf:params:oauth:grant-type:device_code": "device_code", "refresh_token": "refresh_token"}[f.Get("grant_type")]
	g := p.waiting[f.Get(kind)]
	verifier := sha256.Sum256([]byte(f.Get("code_verifier")))
	switch {
	case kind == "":
		bad("unsupported_grant_type")
		return
	case g == nil:
		bad("invalid_grant")
		return
	case g.denied:
		bad("access_denied")
		return
	case !g.approved:
		bad("authorization_pending")
		return
	case g.challenge != "" && g.challenge != base64.RawURLEncoding.EncodeToString(verifier[:]),
		kind == "code" && g.redirect != f.Get("redirect_uri"):
		bad("invalid_grant")
		return
	}
	delete(p.waiting, f.Get(kind)) // each once
	refresh := p.refresh()
	p.waiting[refresh] = &grant{scope: g.scope, approved: true}
	answer(w, 200, map[string]any{
		"access_token": p.token(map[string]any{"scope": g.scope}), "expires_in": int(p.Lifetime / time.Second),
		"refresh_token": refresh, "refresh_expires_in": 1800, "token_type": "Bearer", "scope": g.scope,
		"id_token": p.token(map[string]any{"typ": "ID", "aud": PublicClient}),
	})
}

func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	if r.PostFormValue("client_id") != PublicClient {
		answer(w, 401, map[string]string{"error": "invalid_client"})
		return
	}
	delete(p.waiting, r.PostFormValue("token"))
}

// Forget makes all refresh tokens and codes void.
func (p *Provider) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.waiting)
}

func (p *Provider) refresh() string {
	return p.token(map[string]any{"typ": "Refresh", "aud": p.URL})
}
