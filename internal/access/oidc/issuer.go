package oidc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"golang.org/x/sync/singleflight"

	"signpost/internal/certs"
	"signpost/internal/model"
)

const (
	freshFor   = 10 * time.Minute // keys are read again after this; a key that the issuer took out is then no longer one
	keysEvery  = 10 * time.Second // they are read again for an unknown key at most this often
	retryEvery = 2 * time.Second  // and when the issuer did not answer
	maxAnswer  = 1 << 20
)

// issuer is one issuer as far as it is known.
type issuer struct {
	Issuer
	secret *certs.Word // of our client there; nil: there is none
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	count  metrics

	known  atomic.Pointer[known]
	flight singleflight.Group
	next   time.Time // for reading again; of the flight
	failed error     // why it was not read last; of the flight
}

// known is what an issuer says of itself. It outlives any outage.
type known struct {
	userInfo, introspection string
	keys                    []jose.JSONWebKey
	at                      time.Time
}

func newIssuer(c Issuer, now func() time.Time, log *slog.Logger, m metrics) (*issuer, error) {
	i := &issuer{Issuer: c.withDefaults(), now: now, log: log.With("issuer", c.Name), count: m}
	bad := func(setting string, err error) (*issuer, error) {
		return nil, model.E(model.Invalid, "read setting", "issuers."+c.Name+"."+setting).From(err)
	}
	if c.IntrospectionSecretFile != "" {
		var err error
		if i.secret, err = certs.OpenWord("introspection secret", c.IntrospectionSecretFile, i.log); err != nil {
			return bad("introspection-secret-file", err)
		}
	}
	i.client = Client(nil)
	if c.CAFile != "" {
		roots, err := certs.OpenRoots(c.CAFile, i.log)
		if err != nil {
			return bad("ca-file", err)
		}
		i.client.Transport = careful{&renewed{roots: roots}}
	}
	return i, nil
}

// Client speaks to issuers: over private connections only, to where it is told and
// nowhere else, and reads a megabyte at most. roots nil are the system's.
func Client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Transport: careful{transport(roots)}, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func transport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: 8, ForceAttemptHTTP2: true,
	}
}

// renewed believes the authorities that are in a file now: with others in it no connection
// of before is used again.
type renewed struct {
	roots *certs.Roots
	mu    sync.Mutex
	of    *x509.CertPool // that by believes
	by    *http.Transport
}

func (r *renewed) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.now().RoundTrip(req)
}

func (r *renewed) now() *http.Transport {
	roots := r.roots.Get()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of != roots {
		if r.by != nil {
			r.by.CloseIdleConnections()
		}
		r.of, r.by = roots, transport(roots)
	}
	return r.by
}

type careful struct{ http.RoundTripper }

func (c careful) RoundTrip(r *http.Request) (*http.Response, error) {
	if !Private(r.URL) {
		return nil, fmt.Errorf("%s is neither https nor on loopback", r.URL.Redacted())
	}
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// keysOf is the issuer's keys of that id; all, for an empty one. Errors: Unavailable
// when it cannot be known whether there is such a key, and Unauthenticated when it is
// known that there is none.
func (i *issuer) keysOf(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	if k := i.known.Load(); k != nil {
		if keys := k.keysOf(id); len(keys) > 0 {
			if i.now().Sub(k.at) > freshFor {
				i.read() // nobody waits for it
			}
			return keys, nil
		}
	}
	k, err := i.wait(ctx)
	if err != nil {
		return nil, err
	}
	if keys := k.keysOf(id); len(keys) > 0 {
		return keys, nil
	}
	return nil, wrong("the issuer has no key %.200q", id)
}

func (k *known) keysOf(id string) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, key := range k.keys {
		if id == "" || key.KeyID == id {
			keys = append(keys, key)
		}
	}
	return keys
}

// wait reads anew what the issuer says of itself, or joins who does.
func (i *issuer) wait(ctx context.Context) (*known, error) {
	unavailable := model.E(model.Unavailable, "authenticate", "").Because("the issuer " + i.Name + " of the token cannot be asked").Hint("try again in a few seconds")
	select {
	case <-ctx.Done():
		return nil, unavailable.From(ctx.Err())
	case r := <-i.read():
		if r.Err != nil {
			return nil, unavailable.From(r.Err)
		}
		return r.Val.(*known), nil
	}
}

var errTooSoon = errors.New("its keys were read a moment ago")

func (i *issuer) read() <-chan singleflight.Result {
	return i.flight.DoChan("", func() (any, error) {
		if i.now().Before(i.next) {
			return nil, i.failed
		}
		ctx, cancel := context.WithTimeout(context.Background(), askWithin) // of none of those who wait: who came first may leave first
		defer cancel()
		k, err := i.fetch(ctx)
		i.count.fetch(i.Name, err)
		if err != nil {
			i.next, i.failed = i.now().Add(retryEvery), err
			i.log.Warn("cannot read the keys of an issuer", "url", i.URL, "error", beginning(err))
			return nil, err
		}
		i.next, i.failed = i.now().Add(keysEvery), errTooSoon
		i.known.Store(k)
		return k, nil
	})
}

func (i *issuer) fetch(ctx context.Context) (*known, error) {
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, i.client), i.URL)
	if err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	var meta struct {
		Keys          string `json:"jwks_uri"`
		UserInfo      string `json:"userinfo_endpoint"`
		Introspection string `json:"introspection_endpoint"`
	}
	if err := p.Claims(&meta); err != nil {
		return nil, fmt.Errorf("read metadata: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, meta.Keys, nil)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	status, err := i.do(req, &set)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	k := &known{userInfo: meta.UserInfo, introspection: meta.Introspection, at: i.now()}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && key.Use != "enc" && key.Valid() && key.IsPublic() { // others are not for us
			k.keys = append(k.keys, key)
		}
	}
	if len(k.keys) == 0 {
		return nil, errors.New("read keys: there is none that signs")
	}
	return k, nil
}

// do makes a request and reads the JSON of an answer with status 200.
func (i *issuer) do(req *http.Request, into any) (status int, err error) {
	req.Header.Set("Accept", "application/json")
	resp, err := i.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the URL is known
		}
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp.StatusCode, err
	}
	return resp.StatusCode, json.Unmarshal(body, into)
}

// beginning is an error's text without the page that a proxy may have answered with.
func beginning(err error) string {
	const most = 300
	text := err.Error()
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
