package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

func TestResultOfACallIsKeptWithItsEffect(t *testing.T) {
	s := freshStore(t)
	if err := initialize(t, s, NewMasterKey()); err != nil {
		t.Fatal(err)
	}
	createZone(t, s, exampleOrg)
	now := time.Unix(1_800_000_000, 0)
	call := Call{Principal: "admin/x", ID: "once", Method: "CreateHost", Digest: []byte("d")}
	do := func(c Call, at time.Time) (saved *Saved, err error) {
		_, err = s.Update(t.Context(), func(tx *Tx) error {
			saved, err = tx.Result(c, at)
			if err != nil || saved != nil {
				return err
			}
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			if _, err := tx.Path(z, "h.example.org."); err != nil {
				return err
			}
			tx.PutName(z, "h.example.org.", addressed("192.0.2.1", uint64(at.Unix())))
			return tx.SaveResult(c, Saved{Response: []byte("r"), Secret: "sph_very-secret"}, at)
		})
		return saved, err
	}
	if saved, err := do(call, now); saved != nil || err != nil {
		t.Fatalf("first: %v, %v", saved, err)
	}
	rev := revision(t, s)
	saved, err := do(call, now.Add(time.Minute))
	if err != nil || saved == nil || saved.Secret != "sph_very-secret" || string(saved.Response) != "r" || saved.Revision != rev {
		t.Errorf("again: %+v, %v", saved, err)
	}
	if saved, err := do(call, now.Add(11*time.Minute)); err != nil || saved == nil || saved.Secret != "" {
		t.Errorf("after 11 minutes: %+v, %v; want the result without its secret", saved, err)
	}
	other := call
	other.Digest = []byte("e")
	if _, err := do(other, now); model.KindOf(err) != model.Precondition {
		t.Errorf("another call with the id: %v, want Precondition", err)
	}
	if got := revision(t, s); got != rev {
		t.Errorf("repeats wrote something: revision %d, want %d", got, rev)
	}
	// Promise 9: what is stored reveals no secret.
	all, err := s.client.Get(t.Context(), s.keys.root, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range all.Kvs {
		if bytes.Contains(kv.Value, []byte("very-secret")) {
			t.Errorf("%s holds the secret", kv.Key)
		}
	}
	if _, err := s.Sweep(t.Context(), now.Add(11*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if saved, err := do(call, now.Add(12*time.Minute)); err != nil || saved == nil || saved.Revision != rev {
		t.Errorf("after the secret was swept: %+v, %v; want revision %d as at first", saved, err, rev)
	}
	if n, err := s.Sweep(t.Context(), now.Add(25*time.Hour)); err != nil || n != 1 {
		t.Errorf("sweep after 25 h: %d, %v; want the result gone", n, err)
	}
	if saved, err := do(call, now.Add(25*time.Hour)); saved != nil || err != nil {
		t.Errorf("after 25 hours: %+v, %v; want a new call", saved, err)
	}
}

func initialize(t *testing.T, s *Store, key *MasterKey) error {
	t.Helper()
	if won, err := s.Initialize(t.Context(), key, "first", []byte("sum"), time.Unix(1, 0)); err != nil || !won {
		return fmt.Errorf("initialize: %v, %v", won, err)
	}
	return s.UseMasterKeys(t.Context(), key)
}

func TestMasterKeyOfTheFirstStartIsWanted(t *testing.T) {
	s := freshStore(t)
	key, other := NewMasterKey(), NewMasterKey()
	if id, err := s.MasterKeyID(t.Context()); id != "" || err != nil {
		t.Fatalf("fresh: %q, %v", id, err)
	}
	if err := s.UseMasterKeys(t.Context(), key); model.KindOf(err) != model.Precondition {
		t.Errorf("before the first start: %v", err)
	}
	if err := initialize(t, s, key); err != nil {
		t.Fatal(err)
	}
	if won, err := s.Initialize(t.Context(), other, "second", []byte("sum2"), time.Unix(1, 0)); won || err != nil {
		t.Errorf("a second first start: %v, %v", won, err)
	}
	if err := s.UseMasterKeys(t.Context(), other); model.KindOf(err) != model.Precondition || !strings.Contains(err.Error(), key.ID()) {
		t.Errorf("another key: %v, want the id %s named", err, key.ID())
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		tok, err := tx.Token([]byte("sum"))
		if err == nil && (tok == nil || !tok.Admin) {
			t.Errorf("token: %+v", tok)
		}
		tok, err2 := tx.Token([]byte("sum2"))
		if tok != nil {
			t.Errorf("the loser's token is there: %+v", tok)
		}
		if err == nil {
			err = err2
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
