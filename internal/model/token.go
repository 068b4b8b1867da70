package model

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Token is a stored API credential, found by the SHA-256 of its secret.
type Token struct {
	ID          string // public, stable, for listing and revoking
	Admin       bool   // may do everything; then only CreateTime counts of what follows
	Owner       PrincipalName
	Limits      TokenLimits
	Comment     string
	CreateTime  time.Time
	ExpireTime  time.Time
	RevokeTime  time.Time // zero: it was not revoked
	Parent      []byte    // SHA-256 of the secret of the token that made it; nil: its owner did
	ModRevision int64
}

// How long a token lasts, and how many there may be.
const (
	DefaultTokenLife = 365 * 24 * time.Hour
	MaxTokenLife     = 366 * 24 * time.Hour
	// MaxTokenIdle is how long a token lasts that is not used.
	MaxTokenIdle = 90 * 24 * time.Hour
	MaxTokens    = 10 // of one owner, that can be used
)

// TokenState is whether a token can be used.
type TokenState int

// The states of a token. Only the first can be used.
const (
	TokenActive TokenState = iota
	TokenRevoked
	TokenExpired
	TokenUnused
	tokenStates
)

var tokenStateNames = [tokenStates]string{"active", "revoked", "expired", "unused"}

// String is the word for it in the API.
func (s TokenState) String() string { return tokenStateNames[s] }

// State is whether a token that was last used at some time, zero: never, can be used.
func (t *Token) State(used, now time.Time) TokenState {
	if used.Before(t.CreateTime) {
		used = t.CreateTime
	}
	switch {
	case !t.RevokeTime.IsZero():
		return TokenRevoked
	case !now.Before(t.ExpireTime):
		return TokenExpired
	case now.Sub(used) > MaxTokenIdle:
		return TokenUnused
	}
	return TokenActive
}

// TokenLimits narrows what a token's owner may do. What is empty narrows nothing, but of
// Actions: then the token has all that hand no rights on.
type TokenLimits struct {
	Zone    Name
	Host    NamePattern
	Types   []uint16 // of records that it writes
	Actions []string // words of package access
	Sources []netip.Prefix
}

// TokenOwner is what is kept of somebody who has tokens.
type TokenOwner struct {
	Groups    []PrincipalName // at LoginTime
	LoginTime time.Time       // when their provider last vouched for them and it was noted
	Tokens    [][]byte        // SHA-256 of the secrets of their tokens, the oldest first
}

// NamePattern is a domain name in which "*" stands for any letters of one label. The
// zero NamePattern matches everything.
type NamePattern string

// ParseNamePattern reads a pattern: labels of letters, digits, "-", "_" and "*" with dots
// between. Errors are of kind Invalid and name the field.
func ParseNamePattern(field, text string) (NamePattern, error) {
	bad := func(why string) (NamePattern, error) {
		return "", E(Invalid, "read pattern of names", text).In(field).Because(why).Hint("write one such as web*.example.org")
	}
	p := strings.ToLower(strings.TrimSuffix(text, "."))
	if p == "" || len(p) > 253 {
		return bad("it is empty or longer than a name may be")
	}
	for label := range strings.SplitSeq(p, ".") {
		if label == "" || len(label) > maxPattern || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_*") != "" {
			return bad("a label is empty, too long, or has other signs than letters, digits, - and _")
		}
	}
	return NamePattern(p), nil
}

// Matches reports whether a name has as many labels as the pattern, each as it says.
func (p NamePattern) Matches(n Name) bool {
	return p == "" || slices.EqualFunc(strings.Split(string(p), "."), n.Labels(), Matches)
}

// Covers reports whether the pattern matches a name or one above it.
func (p NamePattern) Covers(n Name) bool {
	for ok := true; ok; n, ok = n.Parent() {
		if p.Matches(n) {
			return true
		}
	}
	return false
}
