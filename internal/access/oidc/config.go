package oidc

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"signpost/internal/model"
)

// Where a person's entitlements are.
const (
	FromToken         = "token"         // in the access token
	FromUserInfo      = "userinfo"      // at the UserInfo endpoint (OpenID Connect Core 1.0 section 5.3)
	FromIntrospection = "introspection" // at the introspection endpoint (RFC 7662)
)

// Issuer is how one issuer is configured. The names in the configuration file are the
// koanf tags.
type Issuer struct {
	Name   string `koanf:"name"`    // stands before the slash in the names of people and groups
	URL    string `koanf:"url"`     // the issuer identifier, exactly as iss has it
	CAFile string `koanf:"ca-file"` // PEM; empty: the system's authorities

	// What a token must have besides a right signature, so that tokens made for other
	// services are not taken: at least one of the three. Of the first two the token has
	// one that is listed, of scopes all.
	Audiences         []string `koanf:"audiences"`          // aud
	AuthorizedParties []string `koanf:"authorized-parties"` // azp, or client_id where there is no azp
	Scopes            []string `koanf:"scopes"`             // scope

	EntitlementsFrom  string   `koanf:"entitlements-from"`  // default: token
	EntitlementClaims []string `koanf:"entitlement-claims"` // default: entitlements, eduperson_entitlement
	Namespace         string   `koanf:"namespace"`          // of its groups, such as urn:mace:egi.eu; empty: it has none
	Authorities       []string `koanf:"authorities"`        // that may follow the # of a group

	IntrospectionClientID   string `koanf:"introspection-client-id"`
	IntrospectionSecretFile string `koanf:"introspection-secret-file"`

	LoginClientID string   `koanf:"login-client-id"` // a public client; empty: nobody logs in here with signpost login
	LoginScopes   []string `koanf:"login-scopes"`    // default: openid
}

// Check says all that is wrong with the configuration. Errors are of kind Invalid and
// name the setting by its path.
func Check(issuers []Issuer) error {
	var problems []error
	names, urls := map[string]bool{}, map[string]bool{}
	for n, i := range issuers {
		bad := func(setting, why string) {
			problems = append(problems, model.E(model.Invalid, "read setting", fmt.Sprintf("issuers[%d].%s", n, setting)).Because(why))
		}
		if err := model.CheckIssuerAlias(i.Name); err != nil {
			bad("name", err.Error())
		} else if names[i.Name] {
			bad("name", i.Name+" is the name of another issuer, too")
		}
		if why := badURL(i.URL); why != "" {
			bad("url", why)
		} else if urls[i.URL] {
			bad("url", "another issuer has the same")
		}
		names[i.Name], urls[i.URL] = true, true
		i.check(bad)
	}
	return errors.Join(problems...)
}

func (i Issuer) check(bad func(setting, why string)) {
	if len(i.Audiences)+len(i.AuthorizedParties)+len(i.Scopes) == 0 {
		bad("audiences", "neither audiences nor authorized-parties nor scopes say which of the issuer's tokens are meant for us; without that, a token that a person gave to any other service would do here")
	}
	for name, values := range map[string][]string{
		"audiences": i.Audiences, "authorized-parties": i.AuthorizedParties, "scopes": i.Scopes,
		"entitlement-claims": i.EntitlementClaims, "authorities": i.Authorities, "login-scopes": i.LoginScopes,
	} {
		if slices.Contains(values, "") {
			bad(name, "one of them is empty")
		}
	}
	if !slices.Contains([]string{"", FromToken, FromUserInfo, FromIntrospection}, i.EntitlementsFrom) {
		bad("entitlements-from", fmt.Sprintf("%q is none of token, userinfo, introspection", i.EntitlementsFrom))
	}
	wanted := i.EntitlementsFrom == FromIntrospection
	for name, v := range map[string]string{"introspection-client-id": i.IntrospectionClientID, "introspection-secret-file": i.IntrospectionSecretFile} {
		if wanted && v == "" {
			bad(name, "entitlements-from: introspection needs it")
		}
		if !wanted && v != "" {
			bad(name, "it goes together with entitlements-from: introspection")
		}
	}
	switch {
	case i.Namespace == "" && len(i.Authorities) > 0:
		bad("authorities", "they go together with namespace")
	case i.Namespace != "" && (!strings.HasPrefix(i.Namespace, "urn:") || strings.HasSuffix(i.Namespace, ":") || strings.ContainsAny(i.Namespace, "# ")):
		bad("namespace", fmt.Sprintf("%q is no URN such as urn:mace:egi.eu", i.Namespace))
	}
	if i.LoginClientID == "" && len(i.LoginScopes) > 0 {
		bad("login-scopes", "they go together with login-client-id")
	}
}

// badURL says why a URL is not one to trust an issuer at, or nothing.
func badURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return fmt.Sprintf("%q is no URL", s)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Sprintf("%q has a user, a query or a fragment", s)
	case !Private(u):
		return fmt.Sprintf("%q is neither https nor on loopback: anybody on the way could make tokens", s)
	}
	return ""
}

// Private reports whether what goes to a URL cannot be read on the way: it is https,
// or http to a loopback address.
func Private(u *url.URL) bool {
	if u.Scheme == "https" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

func (i Issuer) withDefaults() Issuer {
	if i.EntitlementsFrom == "" {
		i.EntitlementsFrom = FromToken
	}
	if len(i.EntitlementClaims) == 0 {
		i.EntitlementClaims = []string{"entitlements", "eduperson_entitlement"}
	}
	if i.LoginClientID != "" && len(i.LoginScopes) == 0 {
		i.LoginScopes = []string{"openid"}
	}
	return i
}
