// Package login answers one question: how does a person get a token from an OpenID
// provider, and keep it? It is the side of the command line: it believes what the
// provider says, which the control service will judge.
package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	ours "signpost/internal/access/oidc"
)

// Issuer is where to log in, as a control service says.
type Issuer struct {
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	ClientID string   `json:"client_id"`
	Scopes   []string `json:"scopes"`
}

// provider is what an issuer says of itself.
type provider struct {
	oauth2.Config
	revocation string
	saysWho    bool // in its answers to a browser (RFC 9207)
	client     *http.Client
}

func (i Issuer) ask(ctx context.Context, client *http.Client) (*provider, error) {
	u, err := url.Parse(i.URL)
	if err != nil || !ours.Private(u) {
		return nil, fmt.Errorf("the issuer %s is neither https nor on loopback: nobody should log in there", i.URL)
	}
	p, err := oidc.NewProvider(oidc.ClientContext(ctx, client), i.URL)
	if err != nil {
		return nil, fmt.Errorf("ask the issuer %s where to log in: %w", i.URL, err)
	}
	var more struct {
		Revocation string `json:"revocation_endpoint"`
		SaysWho    bool   `json:"authorization_response_iss_parameter_supported"`
	}
	if err := p.Claims(&more); err != nil {
		return nil, fmt.Errorf("ask the issuer %s where to log in: %w", i.URL, err)
	}
	at := p.Endpoint()
	at.AuthStyle = oauth2.AuthStyleInParams // a public client has nothing else; a code can be tried once only
	return &provider{
		Config:     oauth2.Config{ClientID: i.ClientID, Scopes: i.Scopes, Endpoint: at},
		revocation: more.Revocation, saysWho: more.SaysWho, client: client,
	}, nil
}

func (p *provider) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, p.client)
}

// deviceWithin is how long a code is waited for of which the issuer does not say how long it
// can be entered, though it must (RFC 8628 section 3.2), and deviceMost how long at most. It is
// asked every deviceEvery seconds when it says nothing that will do, else as it says.
const (
	deviceWithin = 10 * time.Minute
	deviceMost   = time.Hour
	deviceEvery  = 5
)

// bounded puts what an issuer says of a code and leaves out, or cannot mean, right.
func bounded(da *oauth2.DeviceAuthResponse, now time.Time) {
	if da.Expiry.IsZero() {
		da.Expiry = now.Add(deviceWithin)
	}
	if last := now.Add(deviceMost); da.Expiry.After(last) {
		da.Expiry = last
	}
	if da.Interval <= 0 || da.Interval > int64(deviceMost/time.Second) {
		da.Interval = deviceEvery
	}
}

// ErrNoDevices is that an issuer has no device flow.
var ErrNoDevices = errors.New("the issuer offers no login with a code on another device; try --browser")

// Device gets a token by the device flow (RFC 8628): tell shows the person where to
// enter which code, and until when; complete, which may be empty, is both in one.
func Device(ctx context.Context, client *http.Client, i Issuer, tell func(uri, code, complete string, until time.Time)) (*oauth2.Token, error) {
	p, err := i.ask(ctx, client)
	if err != nil {
		return nil, err
	}
	if p.Endpoint.DeviceAuthURL == "" {
		return nil, ErrNoDevices
	}
	ctx = p.context(ctx)
	verifier := oauth2.GenerateVerifier() // some issuers want PKCE here, too; the others take no notice
	da, err := p.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
	if err != nil {
		return nil, fmt.Errorf("ask the issuer %s for a code: %w", i.URL, inWords(err))
	}
	bounded(da, time.Now())
	tell(da.VerificationURI, da.UserCode, da.VerificationURIComplete, da.Expiry)
	for {
		token, err := p.DeviceAccessToken(ctx, da, oauth2.VerifierOption(verifier))
		switch {
		case err == nil:
			return token, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, context.DeadlineExceeded):
			return nil, errors.New("nobody entered the code in time; try again")
		case answered(err):
			return nil, fmt.Errorf("log in at %s: %w", i.URL, inWords(err))
		} // else the way there was broken for a moment (RFC 8628 section 3.5); it has waited before it asks again
	}
}

func answered(err error) bool {
	var e *oauth2.RetrieveError
	return errors.As(err, &e)
}

// inWords is an issuer's error as one line.
func inWords(err error) error {
	var e *oauth2.RetrieveError
	if !errors.As(err, &e) || e.ErrorCode == "" {
		return err
	}
	switch e.ErrorCode {
	case "access_denied":
		return errors.New("the login was refused there")
	case "expired_token":
		return errors.New("nobody entered the code in time; try again")
	}
	return errors.New(strings.TrimSuffix(e.ErrorCode+": "+e.ErrorDescription, ": "))
}
