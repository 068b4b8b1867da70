package oidc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // unlike encoding/json it tells iss from Iss and refuses a name given twice

	"signpost/internal/access"
)

// algorithms is the signatures that are taken: those of key pairs. With HS256 whoever
// knows the public key could sign, with none everybody.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
}

// token is a token that can be read; nothing of it is to be believed before issuer.verify.
type token struct {
	raw    string
	signed *jose.JSONWebSignature
	header jose.Header
	claims
	all attributes
}

// attributes is what is said of a person, in a token or by the issuer.
type attributes map[string]json.RawMessage

type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  words    `json:"aud"`
	Party     string   `json:"azp"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope"`
	Type      string   `json:"typ"`
	Expiry    *instant `json:"exp"`
	NotBefore *instant `json:"nbf"`
	Nonce     *ignored `json:"nonce"`
	TokenHash *ignored `json:"at_hash"`
	CodeHash  *ignored `json:"c_hash"`
	Events    *ignored `json:"events"`
	Confirm   *ignored `json:"cnf"`
}

// ignored is a claim of which it matters only that it is there.
type ignored struct{}

func (*ignored) UnmarshalJSON([]byte) error { return nil }

// words is a claim that is one string or a list of them.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// instant is a NumericDate (RFC 7519 section 2), in seconds.
type instant float64

func (i instant) time() time.Time { return time.Unix(int64(i), 0) }

// maxInstant is far away and still a time.Time.
const maxInstant = 1 << 40

// parse reads a token and refuses what is no access token, whoever made it.
func parse(raw string) (*token, error) {
	signed, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		return nil, wrong("it is no signed JWT: %w", err)
	}
	t := &token{raw: raw, signed: signed, header: signed.Signatures[0].Header}
	payload := signed.UnsafePayloadWithoutVerification()
	if err := json.Unmarshal(payload, &t.claims); err != nil {
		return nil, wrong("its claims cannot be read: %w", err)
	}
	if err := json.Unmarshal(payload, &t.all); err != nil {
		return nil, wrong("its claims cannot be read: %w", err)
	}
	return t, t.checkType()
}

// checkType refuses tokens that an issuer makes with the same keys for other uses:
//
//	header typ      claim typ  other claims                       is
//	JWT or none     Bearer     no cnf                             an access token of Keycloak
//	JWT, none,      none       no nonce, at_hash, c_hash, events  an access token
//	at+jwt                     and no cnf
//	any             any        any                                an ID, refresh or logout token, or one that is
//	                                                              bound to a key that we do not ask for
func (t *token) checkType() error {
	typ, _ := t.header.ExtraHeaders[jose.HeaderType].(string)
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if !slices.Contains([]string{"", "jwt", "at+jwt"}, typ) {
		return wrong("its header says that it is %.200q", typ)
	}
	switch {
	case t.Confirm != nil:
		return wrong("it is bound to a key (cnf)")
	case t.Type == "Bearer":
		return nil
	case t.Type != "":
		return wrong("it says that it is %.200q", t.Type)
	case t.Nonce != nil, t.TokenHash != nil, t.CodeHash != nil:
		return wrong("it is an ID token")
	case t.Events != nil:
		return wrong("it is a logout token")
	}
	return nil
}

// checkTimes refuses what has no end or has not begun. Whether it has ended is asked when
// it is known who made it.
func (t *token) checkTimes(now time.Time) error {
	for name, i := range map[string]*instant{"exp": t.Expiry, "nbf": t.NotBefore} {
		if i != nil && !(*i >= 0 && *i < maxInstant) {
			return wrong("its %s is no time", name)
		}
	}
	switch {
	case t.Expiry == nil:
		return wrong("it never expires")
	case t.NotBefore != nil && now.Before(t.NotBefore.time().Add(-access.Leeway)):
		return wrong("it is not valid before %s", t.NotBefore.time())
	}
	return nil
}

// checkClaims says whether the token is meant for us.
func (i *issuer) checkClaims(t *token) error {
	if len(i.Audiences) > 0 && !slices.ContainsFunc(t.Audience, func(a string) bool { return slices.Contains(i.Audiences, a) }) {
		return wrong("its audience is %.200q", []string(t.Audience))
	}
	party := t.Party
	if party == "" {
		party = t.ClientID
	}
	if len(i.AuthorizedParties) > 0 && !slices.Contains(i.AuthorizedParties, party) {
		return wrong("its authorized party is %.200q", party)
	}
	has := strings.Fields(t.Scope)
	for _, s := range i.Scopes {
		if !slices.Contains(has, s) {
			return wrong("it has not the scope %s, but %.200q", s, t.Scope)
		}
	}
	return nil
}

// verify checks the signature, with keys that were read from the issuer now or before.
func (i *issuer) verify(ctx context.Context, t *token) error {
	keys, err := i.keysOf(ctx, t.header.KeyID)
	if err != nil {
		return err
	}
	err = fmt.Errorf("no key is for %s", t.header.Algorithm)
	for _, k := range keys {
		if k.Algorithm != "" && k.Algorithm != t.header.Algorithm {
			continue
		}
		if _, err = t.signed.Verify(k.Key); err == nil {
			return nil
		}
	}
	return wrong("its signature: %w", err)
}
