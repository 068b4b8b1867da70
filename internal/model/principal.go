package model

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PrincipalName names a person or a group of people, as it is kept with what belongs
// to them: "ISSUER/SUBJECT", or "group:ISSUER/GROUP". ISSUER is the name that the
// configuration gives an identity provider, SUBJECT the provider's name for the
// person, who is never known by an e-mail address. Two are the same if and only if
// they are equal strings. The zero PrincipalName is nobody.
type PrincipalName string

const (
	groupPrefix = "group:"
	// MaxSubject is the greatest length in octets of a subject (OpenID Connect Core 1.0
	// section 2), and of a group.
	MaxSubject = 255
	maxAlias   = 32
)

// notIssuers are words that stand before the slash in the names of other principals.
var notIssuers = []string{"admin", "endpoint", "group", "host", "nobody", "system", "token", "tsig"}

// CheckIssuerAlias says whether a name will do for an identity provider: 1 to 32
// lower-case letters, digits and hyphens, a letter first. Errors are of kind Invalid.
func CheckIssuerAlias(s string) error {
	bad := func(why string) error {
		return E(Invalid, "read name of an issuer", s).Because(why).Hint("take a short word of lower-case letters and digits, such as egi")
	}
	switch {
	case s == "":
		return bad("it is empty")
	case len(s) > maxAlias:
		return bad("it is longer than 32 letters")
	case s[0] < 'a' || s[0] > 'z' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return bad("it has other signs than lower-case letters, digits and hyphens, or starts with none of the letters")
	case slices.Contains(notIssuers, s):
		return bad("the word means something else before a slash")
	}
	return nil
}

// Person names the person whom an issuer calls subject. Errors are of kind Invalid.
func Person(issuer, subject string) (PrincipalName, error) { return principalName("", issuer, subject) }

// Group names a group that an issuer speaks of. Errors are of kind Invalid.
func Group(issuer, group string) (PrincipalName, error) {
	return principalName(groupPrefix, issuer, group)
}

func principalName(prefix, issuer, of string) (PrincipalName, error) {
	if err := CheckIssuerAlias(issuer); err != nil {
		return "", err
	}
	bad := func(why string) (PrincipalName, error) {
		return "", E(Invalid, "read name of a principal", of).Because(why)
	}
	switch {
	case of == "":
		return bad("nothing follows the issuer")
	case len(of) > MaxSubject:
		return bad("it is longer than 255 octets")
	case !utf8.ValidString(of) || strings.ContainsFunc(of, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }):
		return bad("it has spaces, control characters or octets that are no UTF-8")
	}
	return PrincipalName(prefix + issuer + "/" + of), nil
}

// ParsePrincipalName reads the name of a person or a group. Errors are of kind
// Invalid and name the field.
func ParsePrincipalName(field, s string) (PrincipalName, error) {
	prefix, rest := "", s
	if r, ok := strings.CutPrefix(s, groupPrefix); ok {
		prefix, rest = groupPrefix, r
	}
	issuer, of, ok := strings.Cut(rest, "/")
	if !ok {
		return "", E(Invalid, "read name of a principal", s).In(field).Because("there is no slash in it").
			Hint("write ISSUER/SUBJECT for a person, as whoami prints it, or group:ISSUER/GROUP")
	}
	n, err := principalName(prefix, issuer, of)
	if err != nil {
		return "", E(KindOf(err), "read name of a principal", s).In(field).From(err)
	}
	return n, nil
}

// IsGroup reports whether it names a group.
func (n PrincipalName) IsGroup() bool { return strings.HasPrefix(string(n), groupPrefix) }

// Issuer is the name of the identity provider that speaks of the person or group.
func (n PrincipalName) Issuer() string {
	issuer, _, _ := strings.Cut(strings.TrimPrefix(string(n), groupPrefix), "/")
	return issuer
}
