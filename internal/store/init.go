package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

const keyCheck = "signpost master key check"

// MasterKeyID is the id of the key that this etcd was set up with, "" when it was
// not set up yet.
func (s *Store) MasterKeyID(ctx context.Context) (string, error) {
	rec, err := s.masterKeyRecord(ctx)
	return rec.GetId(), err
}

func (s *Store) masterKeyRecord(ctx context.Context) (*storepb.MasterKey, error) {
	tx := s.newTx(ctx, nil)
	kvs, err := tx.get(s.keys.masterKey())
	if err != nil || kvs[0] == nil {
		return nil, err
	}
	var rec storepb.MasterKey
	if err := decode("master key record", kvs[0].Value, &rec); err != nil {
		return nil, err
	}
	return &rec, nil
}

// Initialize sets an empty prefix up: in one transaction it stores which master
// key is in use and the hash of the first admin token. It reports false, and
// changes nothing, when somebody else was first.
func (s *Store) Initialize(ctx context.Context, key *MasterKey, tokenID string, tokenSum []byte, now time.Time) (bool, error) {
	rec := encode(&storepb.MasterKey{Schema: 1, Id: key.id, Check: key.seal(keyCheck, []byte(keyCheck)).GetBox()})
	token := encodeToken(&model.Token{ID: tokenID, Admin: true, CreateTime: now})
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.keys.masterKey()), "=", 0)).
		Then(clientv3.OpPut(s.keys.masterKey(), string(rec)), clientv3.OpPut(s.keys.token(tokenSum), string(token))).
		Commit()
	if err != nil {
		return false, translate(err, "set up etcd", "")
	}
	return resp.Succeeded, nil
}

// UseMasterKey checks that key is the one that this etcd was set up with and
// keeps it for sealing. Errors: Precondition, with the id that is wanted.
func (s *Store) UseMasterKey(ctx context.Context, key *MasterKey) error {
	rec, err := s.masterKeyRecord(ctx)
	if err != nil {
		return err
	}
	wrong := func(why string) error {
		return model.E(model.Precondition, "use master key", key.ID()).Because(why).
			Hint("give the file with key " + rec.GetId() + " as --master-key-file")
	}
	if rec == nil {
		return model.E(model.Precondition, "use master key", key.ID()).Because("this etcd was not set up yet")
	}
	if rec.GetId() != key.id {
		return wrong("this etcd was set up with another key")
	}
	if _, err := key.open(keyCheck, &storepb.Sealed{KeyId: rec.GetId(), Box: rec.GetCheck()}); err != nil {
		return wrong("it does not open the check value in etcd")
	}
	s.master.Store(key)
	return nil
}
