package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
)

// Who shows a token that was right once does not guess; whoever could have made it does.
func TestOnlyATokenThatItsIssuerMadeForUsHasEnded(t *testing.T) {
	w := start(t, func(i *oidc.Issuer) { i.EntitlementsFrom = "userinfo" })
	over := w.read().Add(-time.Hour).Unix()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := map[string]any{"iss": w.URL, "sub": oidctest.Subject, "azp": oidctest.PublicClient, "exp": over}
	revoked := w.Token(nil)
	w.Revoke(revoked)
	for name, c := range map[string]struct {
		token string
		ended bool
	}{
		"expired":                  {w.Token(map[string]any{"exp": over}), true},
		"taken back":               {revoked, true},
		"expired, of another key":  {oidctest.Sign(forged, map[jose.HeaderKey]any{"kid": "key-1"}, jose.ES256, k), false},
		"expired, of another kid":  {oidctest.Sign(forged, map[jose.HeaderKey]any{"kid": "x"}, jose.ES256, k), false},
		"expired, for another":     {w.Token(map[string]any{"exp": over, "azp": "other"}), false},
		"expired, of nobody known": {w.Token(map[string]any{"exp": over, "iss": "https://aai.example.org"}), false},
		"expired, an ID token":     {w.Token(map[string]any{"exp": over, "typ": "ID"}), false},
	} {
		for range 2 { // the second time it is known
			if _, err := w.v.Verify(t.Context(), c.token); err == nil || access.HasEnded(err) != c.ended {
				t.Errorf("%s: has ended is %t: %v", name, access.HasEnded(err), err)
			}
		}
	}
}

// What is kept of wrong tokens is small, whatever stands in them.
func TestWrongTokensTakeLittleMemory(t *testing.T) {
	w := start(t)
	long := strings.Repeat("\x7f", 11_000) // of which each octet is four when it is quoted
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	parts := strings.Split(w.Token(nil), ".")
	before := heap()
	for n := range 1100 {
		claims := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"iss":"%s%d","exp":1}`, long, n))
		_, err := w.v.Verify(t.Context(), parts[0]+"."+claims+"."+parts[2])
		if err == nil || errors.Unwrap(err) == nil || len(errors.Unwrap(err).Error()) > 1000 {
			t.Fatalf("%v: %v", err, errors.Unwrap(err))
		}
	}
	if grown := heap() - before; grown > 10<<20 {
		t.Errorf("memory has grown by %d octets", grown)
	}
}

func TestAPrincipalEndsWithItsToken(t *testing.T) {
	w := start(t)
	who, err := w.v.Verify(t.Context(), w.Token(nil))
	if err != nil || !who.Expires.Equal(w.read().Add(time.Hour)) {
		t.Fatal(who, err)
	}
	w.pass(time.Hour + 59*time.Second)
	if err := who.Ended(w.read()); err != nil {
		t.Error(err)
	}
	w.pass(time.Second)
	if err := who.Ended(w.read()); model.KindOf(err) != model.Unauthenticated || !strings.Contains(err.Error(), "expired") {
		t.Error(err)
	}
}
