package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"strings"

	"signpost/internal/model"
)

// The forms of secrets: a prefix by which scanners find leaked ones, 22 random
// base62 digits (130 bits), and 6 of a CRC-32 of all before them, so that most
// mistyped and made-up ones are refused without a look-up. Those of hosts and endpoints
// have 32 characters in all, which is what router forms take.
const (
	adminPrefix = "sp_admin_"
	tokenPrefix = "sp_api_"
	hostPrefix  = "sph_"
	endPrefix   = "spe_"
	randomLen   = 22
	checkLen    = 6
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// NewAdminToken makes an admin token at random.
func NewAdminToken() string { return newSecret(adminPrefix) }

// NewToken makes an API token at random.
func NewToken() string { return newSecret(tokenPrefix) }

// NewHostSecret makes a host's secret at random.
func NewHostSecret() string { return newSecret(hostPrefix) }

// NewEndpointSecret makes an endpoint's secret at random.
func NewEndpointSecret() string { return newSecret(endPrefix) }

// NewTokenID makes the public id of a token: what lists and audit records show.
func NewTokenID() string {
	var b [5]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func newSecret(prefix string) string {
	text := []byte(prefix)
	var b [1]byte
	for len(text) < len(prefix)+randomLen {
		rand.Read(b[:])
		if b[0] < 4*62 { // the largest multiple: no digit is likelier than another
			text = append(text, base62[b[0]%62])
		}
	}
	return string(text) + checksum(string(text))
}

func checksum(text string) string {
	c := crc32.ChecksumIEEE([]byte(text))
	var d [checkLen]byte
	for i := checkLen - 1; i >= 0; i-- {
		d[i] = base62[c%62]
		c /= 62
	}
	return string(d[:])
}

// Secret is a secret whose form is right; whether it is anybody's, only a look-up
// of its sum can tell.
type Secret struct {
	Kind Kind     // Admin, HostSecret, EndpointSecret, or User for an API token
	Sum  [32]byte // SHA-256 of the whole text: all that is ever stored
}

// ParseSecret reads a secret as it was shown. It is of high entropy, so a plain
// hash keeps it. Errors are of kind Unauthenticated and never show it.
func ParseSecret(text string) (Secret, error) {
	for _, form := range [...]struct {
		prefix string
		kind   Kind
	}{{adminPrefix, Admin}, {hostPrefix, HostSecret}, {endPrefix, EndpointSecret}, {tokenPrefix, User}} {
		rest, ok := strings.CutPrefix(text, form.prefix)
		if !ok || len(rest) != randomLen+checkLen {
			continue
		}
		body, check := text[:len(text)-checkLen], text[len(text)-checkLen:]
		if subtle.ConstantTimeCompare([]byte(checksum(body)), []byte(check)) == 1 {
			return Secret{Kind: form.kind, Sum: sha256.Sum256([]byte(text))}, nil
		}
	}
	return Secret{}, Wrong()
}

// errEnded tells credentials that were right once from those that never were.
var errEnded = errors.New("the token has ended")

// Ended is the error for an API token that is right and no longer to be used: it has
// expired, was not used for too long, or was revoked.
func Ended(because string) error {
	return model.E(model.Unauthenticated, "authenticate", "").Because(because).From(errEnded).Hint("make a new one: signpost token create")
}

// EndedSecret is the error for a host's or endpoint's secret that is right and whose maker,
// a token, has ended.
func EndedSecret(of Kind) error {
	return model.E(model.Unauthenticated, "authenticate", "").Because("the token that made this secret was revoked or has expired").From(errEnded).
		Hint(another(of))
}

// another is how to make another secret of a kind.
func another(of Kind) string { return "make another: signpost " + of.String() + " rotate-secret" }

// HasEnded reports whether an error is from Ended, EndedSecret, Expired or Withdrawn: what
// was shown is no guess.
func HasEnded(err error) bool { return errors.Is(err, errEnded) }

// Is reports, in constant time, whether the secret is the one whose sum is stored.
func (s Secret) Is(stored []byte) bool {
	return subtle.ConstantTimeCompare(s.Sum[:], stored) == 1
}

// Expired is the error for a provider's token that was right once: the provider has signed
// it, for us. It, Withdrawn and Ended are the only things that are told of a credential that
// is not right.
func Expired() error { return over("the token has expired") }

// Withdrawn is Expired for a token that its provider has taken back.
func Withdrawn() error { return over("the token's issuer no longer takes it for a right one") }

func over(because string) error {
	return model.E(model.Unauthenticated, "authenticate", "").Because(because).From(errEnded).Hint("log in again")
}

// Wrong is the one error for every credential that is not right: it does not tell
// an unknown host from a wrong secret.
func Wrong() error {
	return model.E(model.Unauthenticated, "authenticate", "").Because("the credential is not right").
		Hint("check the token, or the host's name and secret")
}
