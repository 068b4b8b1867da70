package call

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/model"
)

// Caller is what came with a call besides its request. The way in fills it; a
// call without one is nobody's.
type Caller struct {
	Authorization string     // the header's value as it came: "Basic …", "Bearer …" or ""
	Source        netip.Addr // the client's address
	UserAgent     string
	LogID         string        // joins the log lines and audit records of one request; empty: one is made
	RequestID     string        // makes a repeated change have one effect
	WaitVisible   bool          // a change returns when the name servers serve it
	WaitTimeout   time.Duration // the longest wait; 0: 10 s, which is also the most
}

type callerKey struct{}

// WithCaller is ctx with the caller of the service's methods in it.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf is the caller of a call; nobody when the way in has given none.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	if c.LogID == "" {
		var b [8]byte
		rand.Read(b[:])
		c.LogID = hex.EncodeToString(b[:])
	}
	return c
}

// Credential is what an Authorization header claims, before any look-up. The zero
// credential claims nothing.
type Credential struct {
	Secret access.Secret
	host   model.Name         // whose secret it is said to be, or whose endpoint's
	id     string             // of the endpoint
	Token  string             // of an identity provider
	legacy access.LegacyGuess // what may be the host's secret of another service
	User   *access.Principal  // whose it is, once it is verified
}

// parseAuthorization reads an Authorization header: a token, ours or a provider's, as
// Bearer or as the password of Basic with any user, or a host's name and secret as
// Basic, or an endpoint's secret, as Basic with the user FQDN/ID or as Bearer: then the
// request says whose it is. What has no form of ours is, as a password of Basic, a host's
// secret of another service, if it is any.
// Errors are of kind Unauthenticated.
func parseAuthorization(header string) (Credential, error) {
	if header == "" {
		return Credential{}, nil
	}
	scheme, rest, _ := strings.Cut(header, " ")
	user, secret := "", strings.TrimSpace(rest)
	switch strings.ToLower(scheme) {
	case "bearer":
	case "basic":
		raw, err := base64.StdEncoding.DecodeString(secret)
		if err != nil {
			return Credential{}, access.Wrong()
		}
		user, secret, _ = strings.Cut(string(raw), ":")
	default:
		return Credential{}, access.Wrong()
	}
	if oidc.IsToken(secret) {
		return Credential{Token: secret}, nil
	}
	parsed, err := access.ParseSecret(secret)
	var legacy access.LegacyGuess
	if err != nil && user != "" {
		parsed.Kind = access.HostSecret
		legacy, err = access.ParseLegacyGuess(secret)
	}
	if err != nil {
		return Credential{}, err
	}
	id := ""
	switch {
	case parsed.Kind == access.EndpointSecret && user != "":
		at := strings.LastIndexByte(user, '/')
		if at < 0 {
			return Credential{}, access.Wrong()
		}
		user, id = user[:at], user[at+1:]
	case parsed.Kind != access.HostSecret:
		return Credential{Secret: parsed}, nil
	}
	host, err := model.ParseHostName("user", user)
	if err != nil {
		return Credential{}, access.Wrong()
	}
	return Credential{Secret: parsed, host: host, id: id, legacy: legacy}, nil
}
