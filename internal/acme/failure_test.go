package acme

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	acmez "github.com/mholt/acmez/v3/acme"

	"signpost/internal/acme/pebbletest"
)

// fails sees that err is an authority's failure of that sort, whose words have want.
func fails(t *testing.T, err error, why Why, want string) *Failure {
	t.Helper()
	var f *Failure
	if !errors.As(err, &f) {
		t.Fatalf("%v: not a *Failure", err)
	}
	if f.Why != why || !strings.Contains(err.Error(), want) {
		t.Errorf("%v\nnot: %v with %q", err, why, want)
	}
	return f
}

func (w *world) obtain(t *testing.T, name string) error {
	t.Helper()
	_, err := w.ours.Obtain(within(t), w.account, request(t, keys.p256(), name, false), w.dns)
	return err
}

func TestAnAuthorityThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	w.Close()
	fails(t, w.obtain(t, "www.vo.example.org"), Unreachable, "connection refused")
	w.dns.cleaned(t, 0)
	_, err := w.ours.Register(within(t), newKey())
	fails(t, err, Unreachable, "connection refused")
}

// Each row: what the authority answers at a place, and what becomes of it.
func TestAnAuthorityThatRefuses(t *testing.T) {
	t.Parallel()
	hour := http.Header{"Retry-After": {"3600"}}
	for _, tt := range []struct {
		name, place string
		status      int
		header      http.Header
		typ, detail string
		why         Why
		want        string
		presents    int
	}{
		{"limit at the order", pebbletest.NewOrder, 429, hour, "rateLimited", "too many certificates already issued", Limited, "too many certificates already issued", 0},
		{"limit without a time", pebbletest.NewOrder, 429, nil, "rateLimited", "slower", Limited, "slower", 0},
		{"limit while it is busy", pebbletest.NewOrder, 503, hour, "rateLimited", "Service busy; retry later.", Limited, "Service busy", 0},
		{"limit at the challenge", pebbletest.Tell, 429, hour, "rateLimited", "too many failed authorizations", Limited, "too many failed", 1},
		{"limit at the end", pebbletest.Finalize, 429, hour, "rateLimited", "too many certificates", Limited, "too many certificates", 1},
		{"trouble of its own at the order", pebbletest.NewOrder, 500, nil, "serverInternal", "oops", Unreachable, "oops", 0},
		{"trouble of its own at the challenge", pebbletest.Tell, 503, nil, "serverInternal", "oops", Unreachable, "oops", 1},
		{"trouble of its own at the end", pebbletest.Finalize, 500, nil, "serverInternal", "oops", Unreachable, "oops", 1},
		{"trouble of its own with the chain", pebbletest.Chain, 500, nil, "serverInternal", "oops", Unreachable, "oops", 1},
		{"a request that it does not like", pebbletest.Finalize, 400, nil, "badCSR", "must-staple is not for sale", Refused, "badCSR: must-staple", 1},
		{"an account that it does not know", pebbletest.NewOrder, 400, nil, "accountDoesNotExist", "who are you", Refused, "who are you", 0},
		{"a CAA record", pebbletest.NewOrder, 403, nil, "caa", "CAA record for example.org prevents issuance", Refused, "caa: CAA record", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).register(t)
			w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
				if !strings.HasPrefix(r.URL.Path, tt.place) {
					return false
				}
				for k, v := range tt.header {
					rw.Header()[k] = v
				}
				pebbletest.Refuse(rw, tt.status, tt.typ, tt.detail)
				return true
			})
			asked := time.Now()
			f := fails(t, w.obtain(t, "www.vo.example.org"), tt.why, tt.want)
			if f.Type != tt.typ {
				t.Errorf("type %q", f.Type)
			}
			if wait := f.Until.Sub(asked); tt.header != nil && (wait < time.Hour || wait > time.Hour+time.Minute) || tt.header == nil && !f.Until.IsZero() {
				t.Errorf("to be tried again at %v", f.Until)
			}
			if f.AccountGone() != (tt.typ == "accountDoesNotExist") {
				t.Error("AccountGone says otherwise")
			}
			w.dns.cleaned(t, tt.presents)
		})
	}
}

func TestAnAuthorityThatDoesNotWantTheName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebbletest.WithBlocked("bank.example.org")).register(t)
	f := fails(t, w.obtain(t, "www.bank.example.org"), Refused, "rejectedIdentifier")
	if f.Type != "rejectedIdentifier" || f.Detail == "" {
		t.Errorf("%q %q", f.Type, f.Detail)
	}
	w.dns.cleaned(t, 0)
	if err := w.obtain(t, "www.vo.example.org"); err != nil {
		t.Errorf("another name: %v", err)
	}
}

func TestAnAuthorityThatWantsABinding(t *testing.T) {
	t.Parallel()
	const id, hmac = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	w := newWorld(t, pebbletest.WithEAB(id, hmac))
	register := func(eab *EAB) error {
		_, err := w.authority(t, Config{EAB: eab}).Register(within(t), newKey())
		return err
	}
	fails(t, register(nil), Refused, "externalAccountRequired")
	fails(t, register(&EAB{KeyID: "kid-2", HMAC: hmac}), Refused, "unauthorized")
	fails(t, register(&EAB{KeyID: id, HMAC: strings.ToLower(hmac)}), Refused, "")
	if err := register(&EAB{KeyID: id, HMAC: hmac}); err != nil {
		t.Error(err)
	}
	if err := register(&EAB{KeyID: id, HMAC: " " + hmac + "==\n"}); err != nil {
		t.Errorf("padded: %v", err)
	}
}

func TestAnAccountThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	w.account.Key = newKey() // as after the authority has forgotten
	w.account.URL += "0"
	if f := fails(t, w.obtain(t, "www.vo.example.org"), Refused, ""); !f.AccountGone() {
		t.Errorf("%v: not that the account is gone", f)
	}
}

func TestAChallengeThatIsNotSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	w.dns.spoil = true
	fails(t, w.obtain(t, "wrong.vo.example.org"), NotSeen, "unauthorized")
	w.dns.spoil = false
	w.dns.present = func(_ context.Context, c []Challenge) error { // gone again before the authority looks
		w.dns.mu.Lock()
		defer w.dns.mu.Unlock()
		delete(w.dns.held, c[0].Name)
		return nil
	}
	fails(t, w.obtain(t, "gone.vo.example.org"), NotSeen, "unauthorized")
	w.dns.cleaned(t, 2)
	w.dns.present = nil
	if err := w.obtain(t, "wrong.vo.example.org"); err != nil {
		t.Errorf("and again, with the right value: %v", err)
	}
}

// What one of our name servers does not answer, the authority is not told of.
func TestTheAuthorityIsToldWhenAllNameServersAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	late := errors.New("ns2 does not answer it")
	w.dns.present = func(context.Context, []Challenge) error { return late }
	if err := w.obtain(t, "www.vo.example.org"); !errors.Is(err, late) {
		t.Error(err)
	}
	w.dns.cleaned(t, 1)
	if n := w.Count(pebbletest.Tell); n != 0 {
		t.Errorf("the authority was told %d times", n)
	}
}

// What an authority says is not believed further than it is needed.
func TestAnAuthorityThatLies(t *testing.T) {
	t.Parallel()
	reply := func(rw http.ResponseWriter, r *http.Request, body any) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(body)
	}
	authz := func(of acmez.Authorization) http.HandlerFunc {
		return func(rw http.ResponseWriter, r *http.Request) { reply(rw, r, of) }
	}
	dns01 := []acmez.Challenge{{Type: "dns-01", Token: "token", Status: "pending"}}
	for name, tt := range map[string]struct {
		place    string
		answer   http.HandlerFunc
		why      Why
		want     string
		presents int
	}{
		"a name that was not ordered": {pebbletest.Authz, authz(acmez.Authorization{Identifier: acmez.Identifier{Type: "dns", Value: "victim.example.org"}, Status: "pending", Challenges: dns01}),
			Unreachable, "victim.example.org", 0},
		"a name above": {pebbletest.Authz, authz(acmez.Authorization{Identifier: acmez.Identifier{Type: "dns", Value: "vo.example.org"}, Status: "pending", Challenges: dns01}),
			Unreachable, "not ordered", 0},
		"no DNS challenge": {pebbletest.Authz, authz(acmez.Authorization{Identifier: acmez.Identifier{Type: "dns", Value: "www.vo.example.org"}, Status: "pending"}),
			Refused, "does not offer", 0},
		"an authorization that has ended": {pebbletest.Authz, authz(acmez.Authorization{Identifier: acmez.Identifier{Type: "dns", Value: "www.vo.example.org"}, Status: "revoked"}),
			Refused, "revoked", 0},
		"more names than ordered": {pebbletest.NewOrder, func(rw http.ResponseWriter, r *http.Request) {
			reply(rw, r, acmez.Order{Status: "pending", Authorizations: []string{"https://x.example/1", "https://x.example/2"}})
		}, Unreachable, "more names", 0},
		"an order that is invalid": {pebbletest.NewOrder, func(rw http.ResponseWriter, r *http.Request) {
			reply(rw, r, acmez.Order{Status: "invalid", Error: &acmez.Problem{Type: acmez.ProblemTypeRejectedIdentifier, Detail: "no"}})
		}, Refused, "rejectedIdentifier: no", 0},
		"a URL without TLS": {pebbletest.NewOrder, func(rw http.ResponseWriter, r *http.Request) {
			reply(rw, r, acmez.Order{Status: "pending", Authorizations: []string{"http://127.0.0.1:1/"}})
		}, Unreachable, "without https", 0},
		"a redirection": {pebbletest.NewOrder, func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, "https://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, Unreachable, "HTTP 307", 0},
		"a page": {pebbletest.NewOrder, func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(rw, "<html>\x1b[31mgo away")
		}, Refused, "HTTP 403 without a problem document", 0},
		"an endless answer": {pebbletest.NewOrder, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			for range 1 << 10 {
				if _, err := rw.Write(make([]byte, 4<<10)); err != nil {
					return
				}
			}
		}, Unreachable, "longer than 1 MiB", 0},
		"a certificate for another key":    {pebbletest.Chain, chainOf(newKey(), "www.vo.example.org"), Unreachable, "another key", 1},
		"a certificate for another host":   {pebbletest.Chain, chainOf(keys.p256(), "evil.example.com"), Unreachable, "not for www.vo.example.org", 1},
		"a chain with a key in it":         {pebbletest.Chain, pemAnswer(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), Unreachable, "no certificate", 1},
		"a chain that is not one":          {pebbletest.Chain, pemAnswer(), Unreachable, "no certificate", 1},
		"a chain that is too long to keep": {pebbletest.Chain, longChain, Unreachable, "longer than 64 KiB", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).register(t)
			w.Intercept(func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, tt.place) {
					tt.answer(rw, r)
					return true
				}
				return false
			})
			err := w.obtain(t, "www.vo.example.org")
			fails(t, err, tt.why, tt.want)
			if strings.ContainsAny(err.Error(), "\x1b\n") || len(err.Error()) > 900 {
				t.Errorf("%q: not one short printable line", err)
			}
			w.dns.cleaned(t, tt.presents)
		})
	}
}

func pemAnswer(blocks ...*pem.Block) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/pem-certificate-chain")
		for _, b := range blocks {
			_ = pem.Encode(rw, b)
		}
	}
}

// chainOf answers with a certificate that a key has signed itself.
func chainOf(key crypto.Signer, name string) http.HandlerFunc {
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, of, of, key.Public(), key))
	return pemAnswer(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func longChain(rw http.ResponseWriter, r *http.Request) {
	chainOf(keys.p256(), "www.vo.example.org")(rw, r)
	_, _ = fmt.Fprint(rw, strings.Repeat("\n", mostChain))
}

func TestADirectoryThatIsNone(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	a := New(Config{Directory: srv.URL})
	defer a.Close()
	_, err := a.Register(within(t), newKey())
	fails(t, err, Refused, "HTTP 404")
	if (Config{Directory: srv.URL}).Validate() != nil {
		t.Error("http on loopback is refused")
	}
}

func TestAnAuthorityThatIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := New(Config{Directory: w.Directory, Roots: x509.NewCertPool()})
	defer a.Close()
	// The library keeps directories for the process; this one was not asked for yet.
	_, err := a.Register(within(t), newKey())
	fails(t, err, Unreachable, "unknown authority")
}
