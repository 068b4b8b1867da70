package store

import (
	"cmp"
	"slices"

	"signpost/internal/model"
)

// AdminTokens reads the admin tokens that there are, the oldest first.
func (tx *Tx) AdminTokens() ([]*model.Token, error) {
	var all []*model.Token
	err := tx.eachAdminToken(func(_ string, t *model.Token) { all = append(all, t) })
	slices.SortFunc(all, func(a, b *model.Token) int {
		return cmp.Or(a.CreateTime.Compare(b.CreateTime), cmp.Compare(a.ID, b.ID))
	})
	return all, err
}

// DropAdminToken removes the admin token with an id. Errors: NotFound.
func (tx *Tx) DropAdminToken(id string) error {
	found := false
	if err := tx.eachAdminToken(func(key string, t *model.Token) {
		if t.ID == id {
			found = true
			tx.put(key, nil)
		}
	}); err != nil {
		return err
	}
	if !found {
		return model.E(model.NotFound, "revoke admin token", id).Because("there is none with this id").Hint("signpostd admin-token list shows those there are")
	}
	return nil
}

func (tx *Tx) eachAdminToken(see func(key string, t *model.Token)) error {
	kvs, err := tx.list(tx.s.keys.tokens(), prefixEnd(tx.s.keys.tokens()), 0)
	if err != nil {
		return err
	}
	for _, kv := range kvs {
		t, err := decodeToken(kv.Value, kv.ModRevision)
		if err != nil {
			return err
		}
		if t.Admin {
			see(string(kv.Key), t)
		}
	}
	return nil
}
