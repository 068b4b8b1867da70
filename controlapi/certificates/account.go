package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"

	"signpost/controlapi/call"
	"signpost/internal/acme"
	"signpost/internal/model"
	"signpost/internal/store"
)

// account is who we are to the authority: every control service the same, made when first
// needed. anew: it does not know us any more.
func (s *Service) account(c *call.Call, anew bool) (acme.Account, error) {
	none, dir := acme.Account{}, s.authority.Directory
	fresh, err := newAccountKey()
	if err != nil {
		return none, err
	}
	var kept *model.Account
	if _, err := s.Store.Update(c.Ctx, func(tx *store.Tx) (err error) {
		if kept, err = tx.Account(dir); err != nil || kept != nil {
			return err
		}
		kept = &model.Account{Directory: dir, Key: fresh, CreateTime: s.Now()}
		return tx.PutAccount(kept)
	}); err != nil {
		return none, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(kept.Key)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return none, model.E(model.Internal, "read key of account", dir).From(err)
	}
	if kept.URL != "" && !anew {
		return acme.Account{Key: key, URL: kept.URL}, nil
	}
	account, err := s.authority.ACME.Register(c.Ctx, key)
	if err != nil {
		return none, err
	}
	_, err = s.Store.Update(c.Ctx, func(tx *store.Tx) error {
		now, err := tx.Account(dir)
		if err != nil || now == nil {
			return err
		}
		now.URL = account.URL
		return tx.PutAccount(now)
	})
	return account, err
}

func newAccountKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, model.E(model.Internal, "make key of account", "").From(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, model.E(model.Internal, "make key of account", "").From(err)
	}
	return raw, nil
}
