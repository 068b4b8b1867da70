package store

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/proto"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// How long the result of a call with a request id is kept, and the secret in it.
const (
	requestKept = 24 * time.Hour
	secretKept  = 10 * time.Minute
)

// Call is one call of a principal that must have one effect however often it is
// sent.
type Call struct {
	Principal string
	ID        string // the client's request id
	Method    string
	Digest    []byte // SHA-256 of the request
}

// Saved is what a call was answered.
type Saved struct {
	Response []byte // the response message without its secret
	Secret   string // "" also when it has been forgotten
	// Revision is that of the change; set by Result, for a transaction cannot know
	// its own.
	Revision int64
}

// Result looks for what a call was answered before; nil when it was not made in
// the last 24 hours. Errors: Precondition when the id was used for another call.
func (tx *Tx) Result(c Call, now time.Time) (*Saved, error) {
	key := tx.s.keys.request(c.Principal, c.ID)
	kvs, err := tx.get(key)
	if err != nil || !kvs[0].there() {
		return nil, err
	}
	var p storepb.Request
	if err := decode("request", kvs[0].value, &p); err != nil {
		return nil, err
	}
	age := now.Sub(fromSeconds(p.CreateTime))
	if age > requestKept {
		return nil, nil
	}
	if p.Method != c.Method || !bytes.Equal(p.RequestSha256, c.Digest) {
		return nil, model.E(model.Precondition, "repeat call", c.ID).In("request_id").
			Because("this id was used for a different call").Hint("use a new id for each call")
	}
	saved := &Saved{Response: p.Response, Revision: kvs[0].mod}
	if p.Revision != 0 {
		saved.Revision = p.Revision
	}
	if p.Secret != nil && age <= secretKept {
		secret, err := tx.s.open(key, p.Secret)
		if err != nil {
			return nil, err
		}
		saved.Secret = string(secret)
	}
	return saved, nil
}

// SaveResult keeps what a call that was looked for with Result is answered, in
// the same transaction as its effect.
func (tx *Tx) SaveResult(c Call, saved Saved, now time.Time) error {
	key := tx.s.keys.request(c.Principal, c.ID)
	p := &storepb.Request{
		Schema: 1, Method: c.Method, RequestSha256: c.Digest, Response: saved.Response, CreateTime: seconds(now),
	}
	if saved.Secret != "" {
		var err error
		if p.Secret, err = tx.seal(key, []byte(saved.Secret)); err != nil {
			return err
		}
	}
	tx.result = key
	tx.put(key, encode(p))
	return nil
}

// forget is what is to become of a kept result at a later time: the value without
// its secret, nil when all of it is too old. same is true when nothing changes.
func forget(raw []byte, rev int64, now time.Time) (next []byte, same bool) {
	var p storepb.Request
	if err := proto.Unmarshal(raw, &p); err != nil {
		return nil, false
	}
	age := now.Sub(fromSeconds(p.CreateTime))
	switch {
	case age > requestKept:
		return nil, false
	case age > secretKept && p.Secret != nil:
		p.Secret, p.Revision = nil, rev
		return encode(&p), false
	}
	return raw, true
}
