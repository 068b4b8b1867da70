package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is what the other service has; it is kept sealed, and only until it is used
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"signpost/internal/model"
)

// LegacySecret is what is kept of a host's secret that another service has made. Such a
// secret has some 58 bits, which a plain hash does not protect: whoever stole a backup
// would have most within a day. So it is always sealed: until the secret is first used it
// is the other service's salted SHA-1, then a random key, with which the HMAC-SHA-256 of the
// secret is kept as other hosts' hashes are.
type LegacySecret struct {
	salt   string
	sha1   []byte // of salt and secret
	key    []byte // of the HMAC; nil: it was not used yet
	source [sha256.Size]byte
}

// longestLegacy is the greatest length of such a secret and of its salt, in octets.
const longestLegacy = 128

// mayBeLegacy reports whether a text may be a secret of another service: none that has the
// form of ours is, so that those are refused without a look-up when they are mistyped.
func mayBeLegacy(text string) bool {
	return text != "" && len(text) <= longestLegacy && !strings.HasPrefix(text, "sp_") && !strings.HasPrefix(text, hostPrefix) && !strings.HasPrefix(text, endPrefix)
}

// LegacyGuess is a text shown as a secret that may be one of another service.
type LegacyGuess string

// ParseLegacyGuess reads a text as a host's secret of another service. Errors are those of
// ParseSecret.
func ParseLegacyGuess(text string) (LegacyGuess, error) {
	if !mayBeLegacy(text) {
		return "", Wrong()
	}
	return LegacyGuess(text), nil
}

// ParseLegacySecret reads a secret as Django keeps it with its SHA-1 hasher:
// sha1$SALT$HEX. Errors are of kind Invalid and show neither.
func ParseLegacySecret(field, text string) (LegacySecret, error) {
	bad := func(why string) (LegacySecret, error) {
		return LegacySecret{}, model.E(model.Invalid, "read former secret", "").In(field).Because(why).Hint("make the host another secret")
	}
	parts := strings.Split(text, "$")
	if len(parts) != 3 || parts[0] != "sha1" {
		return bad("it is no salted SHA-1 of Django (sha1$SALT$HEX)")
	}
	sum, err := hex.DecodeString(parts[2])
	switch {
	case err != nil || len(sum) != sha1.Size:
		return bad("its hash is not 40 hexadecimal digits")
	case parts[1] == "" || len(parts[1]) > longestLegacy:
		return bad("it has no salt, or one of more than 128 octets")
	}
	l := LegacySecret{salt: parts[1], sha1: sum}
	l.source = sha256.Sum256([]byte(l.Text()))
	return l, nil
}

// OpenLegacySecret reads what Text wrote. Errors are of kind Internal.
func OpenLegacySecret(text string) (LegacySecret, error) {
	if rest, ok := strings.CutPrefix(text, "hmac$"); ok {
		key, source, _ := strings.Cut(rest, "$")
		s := LegacySecret{}
		var err1, err2 error
		var sum []byte
		s.key, err1 = hex.DecodeString(key)
		sum, err2 = hex.DecodeString(source)
		if err1 == nil && err2 == nil && len(s.key) == sha256.Size && copy(s.source[:], sum) == sha256.Size {
			return s, nil
		}
	} else if s, err := ParseLegacySecret("", text); err == nil {
		return s, nil
	}
	return LegacySecret{}, model.E(model.Internal, "read former secret", "").Because("what was sealed is none")
}

// Text is what is to be sealed.
func (l LegacySecret) Text() string {
	if l.key != nil {
		return "hmac$" + hex.EncodeToString(l.key) + "$" + hex.EncodeToString(l.source[:])
	}
	return "sha1$" + l.salt + "$" + hex.EncodeToString(l.sha1)
}

// Used reports whether the other service's hash has been replaced.
func (l LegacySecret) Used() bool { return l.key != nil }

// SameSource reports whether both are of one hash that the other service had: there the
// secret has not changed.
func (l LegacySecret) SameSource(o LegacySecret) bool { return l.source == o.source }

// Is reports, in constant time, whether a text is the secret; kept is the host's hash.
func (l LegacySecret) Is(text LegacyGuess, kept []byte) bool {
	if l.key != nil {
		return subtle.ConstantTimeCompare(l.sum(text), kept) == 1
	}
	sum := sha1.Sum([]byte(l.salt + string(text))) //nolint:gosec // as above
	return subtle.ConstantTimeCompare(sum[:], l.sha1) == 1
}

// Replaced is what is to be sealed in the place of the other service's hash, and the hash
// to keep of the secret, which was right.
func (l LegacySecret) Replaced(text LegacyGuess) (next LegacySecret, hash []byte) {
	next = LegacySecret{key: make([]byte, sha256.Size), source: l.source}
	rand.Read(next.key)
	return next, next.sum(text)
}

func (l LegacySecret) sum(text LegacyGuess) []byte {
	h := hmac.New(sha256.New, l.key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
