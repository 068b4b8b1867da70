package store

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// sealedValues is where values are that hold something sealed, each with what becomes of
// one when its seal changes.
func (s *Store) sealedValues() map[string]func(key string, raw []byte, rev int64) (*sealedValue, error) {
	return map[string]func(string, []byte, int64) (*sealedValue, error){
		s.keys.requests(): func(key string, raw []byte, rev int64) (*sealedValue, error) {
			var p storepb.Request
			if err := decode("request", raw, &p); err != nil || p.Secret == nil {
				return nil, err
			}
			return &sealedValue{use: key, sealed: p.Secret, with: func(sealed *storepb.Sealed) []byte {
				if p.Revision == 0 {
					p.Revision = rev
				}
				p.Secret = sealed
				return encode(&p)
			}}, nil
		},
		s.keys.anyHost(): func(key string, raw []byte, _ int64) (*sealedValue, error) {
			var p storepb.HostControl
			if err := decode("host", raw, &p); err != nil || p.LegacySecret == nil {
				return nil, err
			}
			return &sealedValue{use: key, sealed: p.LegacySecret, with: func(sealed *storepb.Sealed) []byte {
				p.LegacySecret = sealed
				return encode(&p)
			}}, nil
		},
		s.keys.accounts(): func(key string, raw []byte, _ int64) (*sealedValue, error) {
			var p storepb.Account
			if err := decode("account", raw, &p); err != nil || p.Key == nil {
				return nil, err
			}
			return &sealedValue{use: key, sealed: p.Key, with: func(sealed *storepb.Sealed) []byte {
				p.Key = sealed
				return encode(&p)
			}}, nil
		},
	}
}

type sealedValue struct {
	use    string
	sealed *storepb.Sealed
	with   func(*storepb.Sealed) []byte
}

// Rekeyed says what became of a change of the master key.
type Rekeyed struct {
	ID        string         // of the key that is in use
	Rewritten int            // values that it has sealed anew
	Left      map[string]int // by id of a key that was in use before: values that only it opens
}

// Rekey brings a master key into use and seals with it what others have sealed, which it
// opens with the keys that UseMasterKeys was given. What it began and did not end it goes
// on with when it is called again; when nothing is left, the keys from before are no
// longer needed. Errors: Precondition when a control service that runs does not hold the
// key, for it could keep no secrets any more; Unavailable; those of codecs.
func (s *Store) Rekey(ctx context.Context, key *MasterKey) (Rekeyed, error) {
	out := Rekeyed{ID: key.id}
	if err := s.checkHeld(ctx, key.id); err != nil {
		return out, err
	}
	if _, err := s.Update(ctx, func(tx *Tx) error {
		rec, err := tx.masterKey()
		if err != nil {
			return err
		}
		switch rec.GetId() {
		case "":
			return model.E(model.Precondition, "rekey", key.id).Because("this etcd was not set up yet")
		case key.id:
			return nil
		}
		others := slices.DeleteFunc(append(slices.Clone(rec.GetOthers()), rec.GetId()), func(id string) bool { return id == key.id })
		tx.put(s.keys.masterKey(), encode(&storepb.MasterKey{
			Schema: 1, Id: key.id, Check: key.seal(keyCheck, []byte(keyCheck)).GetBox(), Others: others,
		}))
		return nil
	}); err != nil {
		return out, err
	}
	for prefix, read := range s.sealedValues() {
		err := s.eachValue(ctx, prefix, func(kvKey string, raw []byte, rev int64) error {
			v, err := read(kvKey, raw, rev)
			if err != nil || v == nil || v.sealed.GetKeyId() == key.id {
				return nil //nolint:nilerr // what cannot be read no key opens
			}
			done, err := s.resealed(ctx, kvKey, rev, v, key)
			if done {
				out.Rewritten++
			}
			return err
		})
		if err != nil {
			return out, err
		}
	}
	return out, s.endRekey(ctx, key.id, &out)
}

// resealed rewrites one value, unless somebody else changes it: they seal with the new
// key already, or take it away.
func (s *Store) resealed(ctx context.Context, at string, rev int64, v *sealedValue, key *MasterKey) (bool, error) {
	text, err := s.open(v.use, v.sealed)
	if err != nil {
		return false, nil //nolint:nilerr // it is counted as left
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(at), "=", rev)).
		Then(clientv3.OpPut(at, string(v.with(key.seal(v.use, text))))).Commit()
	if err != nil {
		return false, translate(err, "rekey", "")
	}
	return resp.Succeeded, nil
}

// endRekey counts what is left, and forgets keys of which nothing is.
func (s *Store) endRekey(ctx context.Context, id string, out *Rekeyed) error {
	out.Left = map[string]int{}
	for prefix, read := range s.sealedValues() {
		err := s.eachValue(ctx, prefix, func(key string, raw []byte, rev int64) error {
			if v, err := read(key, raw, rev); err == nil && v != nil && v.sealed.GetKeyId() != id {
				out.Left[v.sealed.GetKeyId()]++
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := s.Update(ctx, func(tx *Tx) error {
		rec, err := tx.masterKey()
		if err != nil {
			return err
		}
		if rec.GetId() != id {
			return model.E(model.Aborted, "rekey", id).Because("another key has come into use meanwhile")
		}
		rec.Others = slices.DeleteFunc(rec.Others, func(o string) bool { return out.Left[o] == 0 })
		for o := range out.Left {
			if !slices.Contains(rec.Others, o) {
				rec.Others = append(rec.Others, o)
			}
		}
		slices.Sort(rec.Others)
		tx.put(s.keys.masterKey(), encode(rec))
		return nil
	})
	return err
}

// eachValue calls do for every key below a prefix, in pages.
func (s *Store) eachValue(ctx context.Context, prefix string, do func(key string, raw []byte, rev int64) error) error {
	for from, end := prefix, prefixEnd(prefix); ; {
		cctx, cancel := context.WithTimeout(ctx, 5*callTimeout)
		resp, err := s.client.Get(cctx, from, clientv3.WithRange(end), clientv3.WithLimit(chunk))
		cancel()
		if err != nil {
			return translate(err, "rekey", "")
		}
		for _, kv := range resp.Kvs {
			from = string(kv.Key) + "\x00"
			if err := do(string(kv.Key), kv.Value, kv.ModRevision); err != nil {
				return err
			}
		}
		if !resp.More {
			return nil
		}
	}
}
