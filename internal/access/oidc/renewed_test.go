package oidc_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/certs/certstest"
)

// told asks until the log says something: new files that cannot be used are told of when they
// have been there for two seconds.
func told(t *testing.T, log *bytes.Buffer, what string, ask func()) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !strings.Contains(log.String(), what); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not told of: %s", what, log)
		}
		ask()
	}
}

// Whoever replaces the authority that an issuer's certificate is from need not restart us.
func TestTheAuthorityOfAnIssuerIsRenewedInPlace(t *testing.T) {
	p, ca := oidctest.NewTLS(t)
	right, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	_, another := oidctest.NewTLS(t)
	other := t.TempDir() // of httptest's servers all certificates are the same
	certstest.New(t, other)
	stranger, err := os.ReadFile(other + "/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	certstest.Replace(t, another, stranger)
	log := &bytes.Buffer{}
	w := &world{Provider: p, clock: &clock{now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}}
	p.Now = w.read
	w.v, err = oidc.New(oidc.Config{
		Issuers: []oidc.Issuer{{Name: "egi", URL: p.URL, CAFile: another, AuthorizedParties: []string{oidctest.PublicClient}, EntitlementsFrom: "userinfo"}},
		Now:     w.read, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.want(t, p.Token(nil), unknown)
	certstest.Replace(t, another, right)
	w.pass(3 * time.Second)
	w.want(t, p.Token(nil), yes)
	certstest.Replace(t, another, []byte("junk"))
	told(t, log, "the new list of authorities cannot be used", func() { w.pass(time.Second); w.want(t, p.Token(nil), yes) })
	certstest.Replace(t, another, stranger)
	w.pass(time.Second)
	w.want(t, p.Token(nil), unknown) // no connection of before is used either
	if !strings.Contains(log.String(), "list of authorities renewed") {
		t.Error(log)
	}
}

// The secret of our client at an issuer is changed without a restart.
func TestTheSecretForIntrospectionIsRenewedInPlace(t *testing.T) {
	secret := file(t, "former")
	log := &bytes.Buffer{}
	w := &world{Provider: oidctest.New(t), clock: &clock{now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}}
	w.Now = w.read
	i := oidc.Issuer{Name: "egi", URL: w.URL, AuthorizedParties: []string{oidctest.PublicClient}}
	introspect(&i, secret)
	var err error
	if w.v, err = oidc.New(oidc.Config{Issuers: []oidc.Issuer{i}, Now: w.read, Log: slog.New(slog.NewTextHandler(log, nil))}); err != nil {
		t.Fatal(err)
	}
	w.want(t, w.Token(nil), unknown)
	certstest.Replace(t, secret, []byte(oidctest.ServiceSecret+"\n"))
	w.want(t, w.Token(map[string]any{"jti": "2"}), yes)
	certstest.Replace(t, secret, nil)
	told(t, log, "the new introspection secret cannot be used", func() { w.pass(time.Second); w.want(t, w.Token(nil), yes) })
	if said := log.String(); !strings.Contains(said, "introspection secret renewed") || strings.Contains(said, "s3cret") {
		t.Error(said)
	}
}
