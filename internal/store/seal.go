package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
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
	mask []byte // keys Pseudonym
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
	mask, err := hkdf.Key(sha256.New, raw, nil, "signpost pseudonyms", sha256.Size)
	if err != nil {
		return nil, model.E(model.Internal, "read master key", "").From(err)
	}
	return &MasterKey{id: hex.EncodeToString(sum[:6]), aead: aead, text: text, mask: mask}, nil
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
	text, err := k.aead.Open(nil, nil, s.GetBox(), []byte(use))
	if err != nil {
		return nil, model.E(model.Internal, "open sealed value", "").Because("it is damaged or not for this use")
	}
	return text, nil
}

// keyring is the master keys that a control service holds, by id.
type keyring map[string]*MasterKey

// notHeld is of kind Unavailable: another control service may hold the key.
func notHeld(id string) error {
	return model.E(model.Unavailable, "use master key", id).Because("this control service does not hold it").
		Hint("start it with the key's file in --further-master-key-files")
}

// seal encrypts with the key that is in use when the transaction is committed.
func (tx *Tx) seal(use string, text []byte) (*storepb.Sealed, error) {
	k, err := tx.keyInUse()
	if err != nil {
		return nil, err
	}
	return k.seal(use, text), nil
}

// Pseudonym stands for a text where only sameness may be seen: who has not the master key
// cannot try texts on it. With another master key in use it is another.
func (tx *Tx) Pseudonym(text string) (string, error) {
	k, err := tx.keyInUse()
	if err != nil {
		return "", err
	}
	h := hmac.New(sha256.New, k.mask)
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}

func (tx *Tx) keyInUse() (*MasterKey, error) {
	rec, err := tx.masterKey()
	if err != nil {
		return nil, err
	}
	k := tx.s.master.Load().find(rec.GetId())
	if k == nil {
		return nil, notHeld(rec.GetId())
	}
	return k, nil
}

// open reads what any key sealed that is held.
func (s *Store) open(use string, sealed *storepb.Sealed) ([]byte, error) {
	k := s.master.Load().find(sealed.GetKeyId())
	if k == nil {
		return nil, notHeld(sealed.GetKeyId())
	}
	return k.open(use, sealed)
}

func (r *keyring) find(id string) *MasterKey {
	if r == nil {
		return nil
	}
	return (*r)[id]
}
