package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// MasterKey encrypts what must be read again (AES-256-GCM). It is held in a file
// by every control service and never in etcd.
type MasterKey struct {
	id   string
	aead cipher.AEAD
	text string
}

// NewMasterKey makes a key at random.
func NewMasterKey() *MasterKey {
	var b [32]byte
	rand.Read(b[:])
	k, err := ParseMasterKey(base64.StdEncoding.EncodeToString(b[:]))
	if err != nil {
		panic(err) // 32 octets are a key
	}
	return k
}

// ParseMasterKey reads a key as Text writes it: 32 octets in base64. Errors are of
// kind Invalid and do not show the key.
func ParseMasterKey(text string) (*MasterKey, error) {
	text = strings.TrimSpace(text)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 32 {
		return nil, model.E(model.Invalid, "read master key", "").Because("it is not 32 octets in base64")
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, model.E(model.Internal, "read master key", "").From(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, model.E(model.Internal, "read master key", "").From(err)
	}
	sum := sha256.Sum256(append([]byte("signpost master key id\x00"), raw...))
	return &MasterKey{id: hex.EncodeToString(sum[:6]), aead: aead, text: text}, nil
}

// ID names the key without revealing it.
func (k *MasterKey) ID() string { return k.id }

// Text is the key as its file holds it.
func (k *MasterKey) Text() string { return k.text }

// seal encrypts text for one use: what opens it must name the same use.
func (k *MasterKey) seal(use string, text []byte) *storepb.Sealed {
	return &storepb.Sealed{KeyId: k.id, Box: k.aead.Seal(nil, nil, text, []byte(use))}
}

func (k *MasterKey) open(use string, s *storepb.Sealed) ([]byte, error) {
	if s.GetKeyId() != k.id {
		return nil, model.E(model.Internal, "open sealed value", "").Because("it is sealed with key " + s.GetKeyId() + ", not " + k.id)
	}
	text, err := k.aead.Open(nil, nil, s.GetBox(), []byte(use))
	if err != nil {
		return nil, model.E(model.Internal, "open sealed value", "").Because("it is damaged or not for this use")
	}
	return text, nil
}
