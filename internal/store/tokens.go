package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Token reads a credential by the SHA-256 of its secret; nil when there is none.
func (tx *Tx) Token(sum []byte) (*model.Token, error) {
	kvs, err := tx.get(tx.s.keys.token(sum))
	if err != nil || !kvs[0].there() {
		return nil, err
	}
	return decodeToken(kvs[0].value, kvs[0].mod)
}

// PutToken writes a credential that was looked for with Token.
func (tx *Tx) PutToken(sum []byte, t *model.Token) { tx.put(tx.s.keys.token(sum), encodeToken(t)) }

// DeleteToken removes a credential that was looked for with Token, with what is known of
// its use.
func (tx *Tx) DeleteToken(sum []byte) {
	tx.put(tx.s.keys.token(sum), nil)
	tx.drop(tx.s.keys.tokenUse(sum))
}

// TokenOwner reads what is kept of somebody who has tokens; empty when they have none.
func (tx *Tx) TokenOwner(who model.PrincipalName) (*model.TokenOwner, error) {
	kvs, err := tx.get(tx.s.keys.user(string(who)))
	if err != nil || !kvs[0].there() {
		return &model.TokenOwner{}, err
	}
	var p storepb.TokenOwner
	if err := decode("owner of tokens", kvs[0].value, &p); err != nil {
		return nil, err
	}
	return &model.TokenOwner{Groups: principals(p.Groups), LoginTime: fromSeconds(p.LoginTime), Tokens: p.Tokens}, nil
}

// PutTokenOwner writes what was read with TokenOwner; who has no tokens is forgotten.
func (tx *Tx) PutTokenOwner(who model.PrincipalName, o *model.TokenOwner) {
	var raw []byte
	if len(o.Tokens) > 0 {
		raw = encode(&storepb.TokenOwner{Schema: 1, Groups: texts(o.Groups), LoginTime: seconds(o.LoginTime), Tokens: o.Tokens})
	}
	tx.put(tx.s.keys.user(string(who)), raw)
}

// endedKept is how long a token is shown that has expired or was revoked.
const endedKept = 30 * 24 * time.Hour

// sweepTokens removes tokens that ended long ago.
func (s *Store) sweepTokens(ctx context.Context, now time.Time) (int, error) {
	removed := 0
	for from, end := s.keys.tokens(), prefixEnd(s.keys.tokens()); ; {
		cctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
		resp, err := s.client.Get(cctx, from, clientv3.WithRange(end), clientv3.WithLimit(chunk))
		cancel()
		if err != nil {
			return removed, translate(err, "sweep", "")
		}
		for _, kv := range resp.Kvs {
			from = string(kv.Key) + "\x00"
			t, err := decodeToken(kv.Value, kv.ModRevision)
			sum, errKey := hex.DecodeString(strings.TrimPrefix(string(kv.Key), s.keys.tokens()))
			if err != nil || errKey != nil || !isLongEnded(t, now) {
				continue // what cannot be read etcdctl shows
			}
			if err := s.forgetToken(ctx, sum); err != nil {
				return removed, err
			}
			removed++
		}
		if !resp.More {
			return removed, nil
		}
	}
}

func isLongEnded(t *model.Token, now time.Time) bool {
	long := func(at time.Time) bool { return !at.IsZero() && now.Sub(at) > endedKept }
	return !t.Admin && (long(t.ExpireTime) || long(t.RevokeTime))
}

// forgetToken removes a token that can never be used again, also from its owner's list.
func (s *Store) forgetToken(ctx context.Context, sum []byte) error {
	_, err := s.Update(ctx, func(tx *Tx) error {
		t, err := tx.Token(sum)
		if err != nil || t == nil {
			return err
		}
		o, err := tx.TokenOwner(t.Owner)
		if err != nil {
			return err
		}
		o.Tokens = slices.DeleteFunc(o.Tokens, func(b []byte) bool { return bytes.Equal(b, sum) })
		tx.DeleteToken(sum)
		tx.PutTokenOwner(t.Owner, o)
		return nil
	})
	return err
}

func encodeToken(t *model.Token) []byte {
	p := &storepb.Token{
		Schema: 1, Id: t.ID, Admin: t.Admin, CreateTime: seconds(t.CreateTime), Owner: string(t.Owner),
		Zone: string(t.Limits.Zone), Host: string(t.Limits.Host), Actions: t.Limits.Actions,
		ExpireTime: seconds(t.ExpireTime), RevokeTime: seconds(t.RevokeTime), Comment: t.Comment, ParentSha256: t.Parent,
	}
	for _, rrtype := range t.Limits.Types {
		p.Types = append(p.Types, uint32(rrtype))
	}
	for _, s := range t.Limits.Sources {
		p.Sources = append(p.Sources, s.String())
	}
	return encode(p)
}

// decodeToken refuses a limit that it cannot read: without it the token would be wider.
func decodeToken(raw []byte, rev int64) (*model.Token, error) {
	var p storepb.Token
	if err := decode("token", raw, &p); err != nil {
		return nil, err
	}
	t := &model.Token{
		ID: p.Id, Admin: p.Admin, CreateTime: fromSeconds(p.CreateTime), ModRevision: rev, Owner: model.PrincipalName(p.Owner),
		ExpireTime: fromSeconds(p.ExpireTime), RevokeTime: fromSeconds(p.RevokeTime), Comment: p.Comment, Parent: p.ParentSha256,
		Limits: model.TokenLimits{Zone: model.Name(p.Zone), Host: model.NamePattern(p.Host), Actions: p.Actions},
	}
	for _, n := range p.Types {
		if n == 0 || n > 0xffff {
			return nil, model.E(model.Internal, "read stored token", p.Id).Because("a type is out of range")
		}
		t.Limits.Types = append(t.Limits.Types, uint16(n))
	}
	for _, text := range p.Sources {
		s, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, model.E(model.Internal, "read stored token", p.Id).Because("a source is no prefix").From(err)
		}
		t.Limits.Sources = append(t.Limits.Sources, s)
	}
	return t, nil
}
