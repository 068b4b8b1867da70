package store

import (
	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// Account reads what we are to the authority with a directory; nil: nothing yet. Errors:
// Unavailable when this control service does not hold the master key that opens it.
func (tx *Tx) Account(directory string) (*model.Account, error) {
	key := tx.s.keys.account(directory)
	h, err := tx.one(key)
	if err != nil || !h.there() {
		return nil, err
	}
	var p storepb.Account
	if err := decode("account", h.value, &p); err != nil {
		return nil, err
	}
	text, err := tx.s.open(key, p.Key)
	if err != nil {
		return nil, err
	}
	return &model.Account{Directory: p.Directory, Key: text, URL: p.Url, CreateTime: fromSeconds(p.CreateTime)}, nil
}

// PutAccount keeps an account that was looked for with Account, its key encrypted.
func (tx *Tx) PutAccount(a *model.Account) error {
	key := tx.s.keys.account(a.Directory)
	sealed, err := tx.seal(key, a.Key)
	if err != nil {
		return err
	}
	tx.put(key, encode(&storepb.Account{Schema: 1, Directory: a.Directory, Key: sealed, Url: a.URL, CreateTime: seconds(a.CreateTime)}))
	return nil
}
