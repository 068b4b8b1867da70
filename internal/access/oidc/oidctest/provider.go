// Package oidctest answers one question: what does an OpenID provider of the shape of
// Keycloak say to us? It is for tests; it runs on loopback and believes everybody.
package oidctest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What the provider knows from the start.
const (
	PublicClient  = "signpost"
	ServiceClient = "signpostd"
	ServiceSecret = "s3cret +%:&" // with what must be encoded
	Subject       = "0b5f4c3e-1d2a-4c5b@example.org"
)

// Provider is an OpenID provider with one person.
type Provider struct {
	URL      string           // the issuer identifier
	Now      func() time.Time // time.Now; set it before the first request
	Lifetime time.Duration    // of access tokens; an hour

	mu           sync.Mutex
	keys         []key
	down         bool
	calls        map[string]int
	entitlements any
	revoked      map[string]bool
	waiting      map[string]*grant // by authorization code, device code, refresh token
	byUserCode   map[string]*grant
	made         int
	noDevice     bool
	ofCodes      map[string]any // said of them besides, or instead
}

type key struct {
	id      string
	alg     jose.SignatureAlgorithm
	private crypto.Signer
	hidden  bool
}

// New starts a provider, which ends with the test.
func New(t testing.TB) *Provider {
	t.Helper()
	p := newProvider()
	s := httptest.NewServer(p.handler())
	t.Cleanup(s.Close)
	p.URL = s.URL + "/realms/test"
	return p
}

// NewTLS is New over TLS, with a certificate of the authority in the file.
func NewTLS(t testing.TB) (p *Provider, caFile string) {
	t.Helper()
	p = newProvider()
	s := httptest.NewUnstartedServer(p.handler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail are meant to
	s.StartTLS()
	t.Cleanup(s.Close)
	p.URL = s.URL + "/realms/test"
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(caFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return p, caFile
}

func newProvider() *Provider {
	p := &Provider{
		Now: time.Now, Lifetime: time.Hour, calls: map[string]int{}, revoked: map[string]bool{},
		waiting: map[string]*grant{}, byUserCode: map[string]*grant{},
	}
	p.Rotate(false)
	return p
}

// Rotate makes a new key, with which tokens are signed from now on; forget takes the
// old ones out of the published set. The first key is for ES256, the second for RS256.
func (p *Provider) Rotate(forget bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if forget {
		for n := range p.keys {
			p.keys[n].hidden = true
		}
	}
	k := key{id: fmt.Sprintf("key-%d", len(p.keys)+1), alg: jose.ES256}
	var err error
	if len(p.keys)%2 == 0 {
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		k.alg = jose.RS256
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic(err)
	}
	p.keys = append(p.keys, k)
}

// Down makes the provider break every connection, or answer again.
func (p *Provider) Down(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// WithoutDevices takes the device flow away.
func (p *Provider) WithoutDevices() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noDevice = true
}

// Entitle sets what UserInfo and introspection say of the person: a string or a list.
func (p *Provider) Entitle(entitlements any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entitlements = entitlements
}

// Revoke makes the provider refuse an access token.
func (p *Provider) Revoke(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked[token] = true
}

// Calls is how often a path under the issuer's URL was asked, such as
// "/protocol/openid-connect/certs".
func (p *Provider) Calls(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[path]
}

// PublicKey is the key that signs now.
func (p *Provider) PublicKey() crypto.PublicKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1].private.Public()
}

// Token is an access token as the provider makes them, but for the changes; nil takes
// a claim away, "#typ" and "#kid" change the header, and "#key" takes the key of that
// number, from 1 on.
func (p *Provider) Token(change map[string]any) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.token(change)
}

func (p *Provider) token(change map[string]any) string {
	now := p.Now().Unix()
	p.made++
	claims := map[string]any{
		"exp": now + int64(p.Lifetime/time.Second), "iat": now, "jti": fmt.Sprintf("%d", p.made), "iss": p.URL, "sub": Subject,
		"typ": "Bearer", "azp": PublicClient, "scope": "openid profile", "acr": "1", "allowed-origins": []string{"/*"},
	}
	maps.Copy(claims, change)
	k := p.keys[len(p.keys)-1]
	if n, ok := claims["#key"].(int); ok {
		k = p.keys[n-1]
		delete(claims, "#key")
	}
	header := map[jose.HeaderKey]any{"typ": "JWT", "kid": k.id}
	for name, v := range claims {
		if name[0] == '#' {
			header[jose.HeaderKey(name[1:])] = v
		}
		if v == nil || name[0] == '#' {
			delete(claims, name)
		}
	}
	if header["kid"] == nil {
		delete(header, "kid")
	}
	return Sign(claims, header, k.alg, k.private)
}

// Sign makes a JWT of any kind.
func Sign(claims map[string]any, header map[jose.HeaderKey]any, alg jose.SignatureAlgorithm, with any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: with}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return serialize(s, payload)
}

// Raw is a token whose claims are that text, whatever it is.
func (p *Provider) Raw(payload string, header map[jose.HeaderKey]any) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[len(p.keys)-1]
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: k.private}, &jose.SignerOptions{ExtraHeaders: header})
	if err != nil {
		panic(err)
	}
	return serialize(s, []byte(payload))
}

func serialize(s jose.Signer, payload []byte) string {
	signed, err := s.Sign(payload)
	if err != nil {
		panic(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

func (p *Provider) published() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, k := range p.keys {
		if !k.hidden {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: string(k.alg), Use: "sig"})
		}
	}
	// Keycloak publishes a key for encryption, too.
	set.Keys = append(set.Keys, jose.JSONWebKey{Key: p.keys[0].private.Public(), KeyID: "enc", Algorithm: "ECDH-ES", Use: "enc"})
	return set
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that went away
}
