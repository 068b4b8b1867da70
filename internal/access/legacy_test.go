package access

import (
	"bytes"
	"strings"
	"testing"

	"signpost/internal/model"
)

// The hash is Django's, of "pZ7kQmW3xD".
const oldHash = "sha1$V2uXyFgvCsAk3Qm5rP0jdT$fd66fbabccc199233f8e2ab649e823dec119b891"

func TestALegacySecretIsReplaced(t *testing.T) {
	old, err := ParseLegacySecret("f", oldHash)
	if err != nil || old.Used() {
		t.Fatal(err)
	}
	right, wrong := LegacyGuess("pZ7kQmW3xD"), LegacyGuess("pZ7kQmW3xE")
	if !old.Is(right, nil) || old.Is(wrong, nil) {
		t.Error("of the former hash")
	}
	next, hash := old.Replaced(right)
	if !next.Used() || !next.Is(right, hash) || next.Is(wrong, hash) || next.Is(right, nil) || next.Is(right, hash[:31]) || !next.SameSource(old) {
		t.Error("of our hash")
	}
	if _, again := old.Replaced(right); bytes.Equal(again, hash) {
		t.Error("two keys are the same")
	}
	for _, l := range []LegacySecret{old, next} {
		read, err := OpenLegacySecret(l.Text())
		if err != nil || read.Text() != l.Text() || !read.SameSource(l) || read.Used() != l.Used() {
			t.Errorf("%v", err)
		}
		if strings.Contains(l.Text(), string(right)) {
			t.Error("the secret is in what is sealed")
		}
	}
	upper, err := ParseLegacySecret("f", strings.ToUpper(oldHash[len(oldHash)-40:]))
	if err == nil {
		t.Errorf("%v", upper)
	}
	if same, err := ParseLegacySecret("f", oldHash[:len(oldHash)-40]+strings.ToUpper(oldHash[len(oldHash)-40:])); err != nil || !same.SameSource(old) || !same.Is(right, nil) {
		t.Errorf("in capitals: %v", err)
	}
	for _, text := range []string{"", "hmac$", "hmac$00$00", "hmac$" + strings.Repeat("0", 64), "sha1$a$b", "hmac$" + strings.Repeat("0", 64) + "$" + strings.Repeat("0", 62)} {
		if _, err := OpenLegacySecret(text); model.KindOf(err) != model.Internal {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What has the form of our secrets is never taken for one of another service.
func TestLegacyGuesses(t *testing.T) {
	for text, ok := range map[string]bool{
		"pZ7kQmW3xD": true, "x": true, "sph": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, NewHostSecret(): false, NewToken(): false, NewAdminToken(): false, NewEndpointSecret(): false, "sph_mistyped": false,
	} {
		if _, err := ParseLegacyGuess(text); (err == nil) != ok || err != nil && model.KindOf(err) != model.Unauthenticated {
			t.Errorf("%q: %v", text, err)
		}
	}
}
