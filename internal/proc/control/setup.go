package control

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
)

// setUp makes sure that this control service holds the master key that is in use in
// etcd. On an empty prefix it sets etcd up: it makes (or takes, when the files are
// there) the master key and the admin token. Files are written before etcd is, so that a
// crash between the two loses nothing. Of the further key files one that cannot be read
// is an error as well.
func setUp(ctx context.Context, st *store.Store, c Config, log *slog.Logger) error {
	want, err := st.MasterKeyID(ctx)
	if err != nil {
		return err
	}
	if want == "" {
		if err := firstStart(ctx, st, c.MasterKeyFile, c.AdminTokenFile, log); err != nil {
			return err
		}
		if want, err = st.MasterKeyID(ctx); err != nil {
			return err
		}
	}
	var keys []*store.MasterKey
	for _, file := range append([]string{c.MasterKeyFile}, c.FurtherKeyFiles...) {
		key, err := readKey(file)
		if err != nil {
			return model.E(model.Precondition, "read master key", file).From(err).
				Hint("this etcd was set up with master key " + want + ": copy its file here, or name it with --master-key-file")
		}
		keys = append(keys, key)
	}
	return st.UseMasterKeys(ctx, keys...)
}

func readKey(file string) (*store.MasterKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return store.ParseMasterKey(string(text))
}

func firstStart(ctx context.Context, st *store.Store, keyFile, tokenFile string, log *slog.Logger) error {
	keyText, madeKey, err := readOrMake(keyFile, func() (string, error) { return store.NewMasterKey().Text(), nil })
	if err != nil {
		return err
	}
	tokenText, madeToken, err := readOrMake(tokenFile, func() (string, error) { return access.NewAdminToken(), nil })
	if err != nil {
		return err
	}
	key, err := store.ParseMasterKey(keyText)
	if err != nil {
		return err
	}
	secret, err := access.ParseSecret(tokenText)
	if err != nil || secret.Kind != access.Admin {
		return model.E(model.Invalid, "read admin token", tokenFile).Because("the file holds no admin token").Hint("remove the file, and a new token is made")
	}
	won, err := st.Initialize(ctx, key, access.NewTokenID(), secret.Sum[:], time.Now())
	if err != nil {
		return err
	}
	if !won {
		return dropUnused(ctx, st, map[string]bool{keyFile: madeKey, tokenFile: madeToken}, keyFile, key, tokenFile, secret)
	}
	log.Info("etcd is set up", "master_key", key.ID(), "master_key_file", keyFile, "admin_token_file", tokenFile)
	return nil
}

// dropUnused removes the files that we made when somebody else set etcd up in the
// same moment with others. What was here before is not ours to remove; what the
// other one used (both may share a folder) must stay.
func dropUnused(ctx context.Context, st *store.Store, made map[string]bool, keyFile string, key *store.MasterKey, tokenFile string, secret access.Secret) error {
	id, err := st.MasterKeyID(ctx)
	if err != nil {
		return err
	}
	if made[keyFile] && id != key.ID() {
		os.Remove(keyFile)
	}
	return st.Read(ctx, func(tx *store.Tx) error {
		token, err := tx.Token(secret.Sum[:])
		if err == nil && token == nil && made[tokenFile] {
			os.Remove(tokenFile)
		}
		return err
	})
}

// readOrMake reads a file or, when there is none, makes it with mode 0600. Two who
// make it at the same moment get the same content.
func readOrMake(file string, content func() (string, error)) (text string, made bool, err error) {
	if raw, err := os.ReadFile(file); err == nil {
		return strings.TrimSpace(string(raw)), false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", false, model.E(model.Precondition, "read", file).From(err)
	}
	if text, err = content(); err != nil {
		return "", false, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return "", false, model.E(model.Precondition, "make", file).From(err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", false, model.E(model.Precondition, "write", file).From(err)
	}
	if err := os.Link(tmp.Name(), file); errors.Is(err, fs.ErrExist) {
		return readOrMake(file, content)
	} else if err != nil {
		return "", false, model.E(model.Precondition, "make", file).From(err)
	}
	return text, true, nil
}
