package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"signpost/internal/acme/pebbletest"
	"signpost/internal/model"
)

func keyMaker() func() crypto.Signer { return curveKey(elliptic.P256()) }

// request checks a request for a host, as the service does before it orders.
func request(t *testing.T, key crypto.Signer, name string, wildcard bool) *x509.CertificateRequest {
	t.Helper()
	names := []string{name}
	if wildcard {
		names = append(names, "*."+name)
	}
	req, err := CheckRequest(asks(key, name, names...), must(model.ParseName(name)), wildcard)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// good sees that a certificate is for a key and names, and that who trusts the authority
// trusts it.
func good(t *testing.T, w *world, got Issued, key crypto.Signer, names ...string) {
	t.Helper()
	block, rest := pem.Decode(got.Chain)
	if block == nil {
		t.Fatalf("no chain: %q", got.Chain)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	between := x509.NewCertPool()
	if !between.AppendCertsFromPEM(rest) {
		t.Error("there is nothing between the leaf and the root")
	}
	for _, n := range names {
		name := strings.Replace(n, "*", "anything", 1)
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: w.Issuers, Intermediates: between}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(leaf.DNSNames) != len(names) {
		t.Errorf("it is for %q, not for %q", leaf.DNSNames, names)
	}
	if !leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
		t.Error("it is for another key")
	}
	if !got.NotBefore.Equal(leaf.NotBefore) || !got.NotAfter.Equal(leaf.NotAfter) || got.CertID == "" || got.CleanUp != nil {
		t.Errorf("%v to %v, %q, %v", got.NotBefore, got.NotAfter, got.CertID, got.CleanUp)
	}
	if !got.Renewal.From.After(got.NotBefore) || !got.Renewal.To.After(got.Renewal.From) || !got.Renewal.To.Before(got.NotAfter) {
		t.Errorf("to be renewed from %v to %v, of %v to %v", got.Renewal.From, got.Renewal.To, got.NotBefore, got.NotAfter)
	}
}

func TestACertificateForAHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	for name, key := range map[string]crypto.Signer{"rsa.vo.example.org": keys.rsa2048(), "p256.vo.example.org": keys.p256(), "p384.vo.example.org": keys.p384()} {
		got, err := w.ours.Obtain(within(t), w.account, request(t, key, name, false), w.dns)
		if err != nil {
			t.Fatal(err)
		}
		good(t, w, got, key, name)
	}
	w.dns.cleaned(t, 3)
}

func TestACertificateForAHostWithItsWildcard(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	seen := map[string]int{}
	w.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, pebbletest.Tell) {
			seen[r.URL.Path] = len(w.dns.values("_acme-challenge.www.vo.example.org."))
		}
		return false
	})
	got, err := w.ours.Obtain(within(t), w.account, request(t, keys.p256(), "www.vo.example.org", true), w.dns)
	if err != nil {
		t.Fatal(err)
	}
	good(t, w, got, keys.p256(), "www.vo.example.org", "*.www.vo.example.org")
	w.dns.cleaned(t, 1)
	if c := w.dns.presents[0]; len(c) != 2 || c[0].Name != c[1].Name || c[0].Value == c[1].Value {
		t.Errorf("presented %v, not two values of one name at once", c)
	}
	if len(seen) != 2 {
		t.Errorf("the authority was told of %d challenges", len(seen))
	}
	for _, n := range seen {
		if n != 2 {
			t.Errorf("the authority was told while %d values of 2 were there", n)
		}
	}
}

// The Infrastructure Manager's requests have no alternative names, and some who have a
// wildcard leave the host out of them.
func TestACommonNameIsAName(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	for _, tt := range []struct {
		wildcard bool
		names    []string
	}{{false, nil}, {true, []string{"*.www.vo.example.org"}}} {
		req, err := CheckRequest(asks(keys.rsa2048(), "www.vo.example.org", tt.names...), host, tt.wildcard)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.ours.Obtain(within(t), w.account, req, w.dns)
		if err != nil {
			t.Fatal(err)
		}
		good(t, w, got, keys.rsa2048(), append(tt.names, "www.vo.example.org")...)
	}
}

func TestWhatIsProvenIsNotProvenAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	for range 2 {
		key := newKey()
		got, err := w.ours.Obtain(within(t), w.account, request(t, key, "www.vo.example.org", false), w.dns)
		if err != nil {
			t.Fatal(err)
		}
		good(t, w, got, key, "www.vo.example.org")
	}
	w.dns.cleaned(t, 1)
	if n := w.Count(pebbletest.Tell); n != 1 {
		t.Errorf("the authority was told of %d challenges", n)
	}
	// The wildcard is another name to prove; the host is not asked for again.
	if _, err := w.ours.Obtain(within(t), w.account, request(t, newKey(), "www.vo.example.org", true), w.dns); err != nil {
		t.Fatal(err)
	}
	w.dns.cleaned(t, 2)
	if c := w.dns.presents[1]; len(c) != 1 {
		t.Errorf("presented %v, not the wildcard's alone", c)
	}
}

func TestARenewalSaysWhatItRenews(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	order := func(certID string) Issued {
		t.Helper()
		got, err := w.ours.Renew(within(t), w.account, request(t, newKey(), "www.vo.example.org", false), w.dns, certID)
		if err != nil {
			t.Fatalf("in place of %q: %v", certID, err)
		}
		return got
	}
	first := order("")
	var second Issued
	for try := 1; ; try++ { // Pebble may hear of what it has issued a moment after us
		before := w.Count(pebbletest.NewOrder)
		second = order(first.CertID)
		n := w.Count(pebbletest.NewOrder) - before
		if n == 1 {
			break
		}
		if try == 5 {
			t.Fatalf("%d orders for one renewal", n)
		}
		first = second
	}
	if second.CertID == first.CertID {
		t.Error("two certificates have one ID")
	}
	// Whether Pebble knows already that it was replaced or not, there is a certificate.
	order(first.CertID)
	for unknown, tries := range map[string]int{
		"AAAA.AAAA": 1, // malformed
		first.CertID[:strings.Index(first.CertID, ".")] + ".AQ": 3, // an error of Pebble's own, which the library asks again about
	} {
		before := w.Count(pebbletest.NewOrder)
		order(unknown)
		if n := w.Count(pebbletest.NewOrder) - before; n != tries+1 {
			t.Errorf("%d orders in place of %s, which the authority does not know, not %d and one without", n, unknown, tries)
		}
	}
	said, err := w.ours.Renewal(within(t), second.Chain)
	if err != nil || !said.From.Equal(second.Renewal.From) || !said.To.Equal(second.Renewal.To) {
		t.Errorf("it says %v (%v), not %v", said, err, second.Renewal)
	}
	const pebbles = 6 * time.Hour
	for _, again := range []time.Duration{said.Again, second.Renewal.Again} {
		if again > pebbles || pebbles-again > time.Minute {
			t.Errorf("it is to be asked again after %v, not %v", again, pebbles)
		}
	}
}

func TestAKeyHasOneAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey()
	one, err := w.ours.Register(within(t), key)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.ours.Register(within(t), key)
	if err != nil || again.URL != one.URL || one.URL == "" {
		t.Errorf("%q, then %q (%v)", one.URL, again.URL, err)
	}
	for _, bad := range []crypto.Signer{nil, keys.rsa2048(), keys.p384()} {
		if _, err := w.ours.Register(within(t), bad); model.KindOf(err) != model.Invalid {
			t.Errorf("%T: %v", bad, err)
		}
	}
}

// A certificate is not lost because a value could not be taken away.
func TestWhatCleanUpSaysDoesNotLoseTheCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	w.dns.leave = errors.New("no majority")
	got, err := w.ours.Obtain(within(t), w.account, request(t, keys.p256(), "www.vo.example.org", false), w.dns)
	if err != nil || !errors.Is(got.CleanUp, w.dns.leave) || !bytes.Contains(got.Chain, []byte("CERTIFICATE")) {
		t.Errorf("%v, %v", got.CleanUp, err)
	}
	w.dns.spoil = true
	_, err = w.ours.Obtain(within(t), w.account, request(t, keys.p256(), "other.vo.example.org", false), w.dns)
	var f *Failure
	if !errors.Is(err, w.dns.leave) || !errors.As(err, &f) || f.Why != NotSeen {
		t.Errorf("%v: not both what the authority and what CleanUp said", err)
	}
}

func TestRequestsForSomethingElseAreNotOrdered(t *testing.T) {
	t.Parallel()
	w := newWorld(t).register(t)
	for name, csr := range map[string][]byte{
		"two hosts":   asks(keys.p256(), "a.example.org", "b.example.org"),
		"no name":     asks(keys.p256(), ""),
		"no hostname": asks(keys.p256(), "_a.example.org"),
	} {
		_, err := w.ours.Obtain(within(t), w.account, must(x509.ParseCertificateRequest(csr)), w.dns)
		if model.KindOf(err) != model.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.Count(pebbletest.NewOrder) != 0 {
		t.Error("the authority was asked")
	}
}

// An order that is given up, wherever it is, leaves nothing in DNS.
func TestAnOrderGivenUpLeavesNothing(t *testing.T) {
	t.Parallel()
	for place, presents := range map[string]int{
		pebbletest.NewOrder: 0, pebbletest.Authz: 0, "Present": 1, pebbletest.Tell: 1, "poll": 1, pebbletest.Finalize: 1, pebbletest.Chain: 1,
	} {
		t.Run(strings.Trim(place, "/"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).register(t)
			ctx, giveUp := context.WithCancelCause(within(t))
			why := errors.New("the client has gone")
			told := false
			w.dns.present = func(ctx context.Context, _ []Challenge) error {
				if place == "Present" {
					giveUp(why)
					<-ctx.Done()
				}
				return ctx.Err()
			}
			w.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				if place == "poll" && told && strings.HasPrefix(r.URL.Path, pebbletest.Authz) || strings.HasPrefix(r.URL.Path, place) {
					giveUp(why)
					<-r.Context().Done() // else the answer may be quicker
					return true
				}
				told = told || strings.HasPrefix(r.URL.Path, pebbletest.Tell)
				return false
			})
			_, err := w.ours.Obtain(ctx, w.account, request(t, keys.p256(), "www.vo.example.org", false), w.dns)
			if !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			var f *Failure
			if errors.As(err, &f) {
				t.Errorf("%v: laid at the authority's door", err)
			}
			w.dns.cleaned(t, presents)
		})
	}
}
