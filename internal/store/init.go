package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

const keyCheck = "signpost master key check"

// MasterKeyID is the id of the key that is in use in this etcd, "" when it was not set
// up yet.
func (s *Store) MasterKeyID(ctx context.Context) (string, error) {
	rec, err := s.newTx(ctx, nil).masterKey()
	return rec.GetId(), err
}

// masterKey is which master key is in use; nil: etcd was not set up yet.
func (tx *Tx) masterKey() (*storepb.MasterKey, error) {
	kvs, err := tx.get(tx.s.keys.masterKey())
	if err != nil || !kvs[0].there() {
		return nil, err
	}
	var rec storepb.MasterKey
	if err := decode("master key record", kvs[0].value, &rec); err != nil {
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

// UseMasterKeys checks that one of the keys is the one that is in use in this etcd and
// keeps them for opening, and for sealing when another of them comes into use. Errors:
// Precondition, with the id that is wanted.
func (s *Store) UseMasterKeys(ctx context.Context, keys ...*MasterKey) error {
	rec, err := s.newTx(ctx, nil).masterKey()
	if err != nil {
		return err
	}
	held := keyring{}
	for _, k := range keys {
		held[k.id] = k
	}
	ids := strings.Join(slices.Sorted(maps.Keys(held)), " ")
	wrong := func(why string) error {
		return model.E(model.Precondition, "use master key", ids).Because(why).
			Hint("give the file with key " + rec.GetId() + " as --master-key-file")
	}
	if rec == nil {
		return model.E(model.Precondition, "use master key", ids).Because("this etcd was not set up yet")
	}
	key := held[rec.GetId()]
	if key == nil {
		return wrong("this etcd was set up with another key")
	}
	if _, err := key.open(keyCheck, &storepb.Sealed{KeyId: rec.GetId(), Box: rec.GetCheck()}); err != nil {
		return wrong("it does not open the check value in etcd")
	}
	for _, id := range rec.GetOthers() {
		if held[id] == nil {
			s.log.Warn("values in etcd may still be sealed with a master key that this service does not hold; finish signpostd rekey, or give its file in further-master-key-files", "key", id)
		}
	}
	s.master.Store(&held)
	return nil
}
