package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"signpost/internal/model"
	"signpost/internal/store"
)

// Flags of signpostd rekey.
const (
	NewKeyFlag  = "new-master-key-file"
	MakeKeyFlag = "make-key"
)

// MakeKey makes the file of a new master key, with mode 0600. One that is there stays.
func MakeKey(file string, out io.Writer) error {
	text, made, err := readOrMake(file, func() (string, error) { return store.NewMasterKey().Text(), nil })
	if err != nil {
		return err
	}
	key, err := store.ParseMasterKey(text)
	if err != nil {
		return err
	}
	was := "is in"
	if made {
		was = "was made in"
	}
	fmt.Fprintf(out, "master key %s %s %s; it is not in use yet\n", key.ID(), was, file)
	return nil
}

// Rekey brings the master key in a file into use, and says how many values are left under
// others. Errors: Precondition while there are some.
func Rekey(ctx context.Context, c Config, file string, out, logs io.Writer) error {
	log, err := c.logger(logs)
	if err != nil {
		return err
	}
	key, err := readKey(file)
	if err != nil {
		return model.E(model.Precondition, "read new master key", file).From(err).Hint("make one with --" + MakeKeyFlag)
	}
	st, _, err := c.openStore(log)
	if err != nil {
		return err
	}
	return errors.Join(rekey(ctx, st, c, key, out), st.Close())
}

func rekey(ctx context.Context, st *store.Store, c Config, key *store.MasterKey, out io.Writer) error {
	switch id, err := st.MasterKeyID(ctx); {
	case err != nil:
		return err
	case id == "":
		return model.E(model.Precondition, "rekey", c.EtcdPrefix).Because("nothing was ever set up there").
			Hint("check --etcd-endpoints and --etcd-prefix")
	}
	keys := []*store.MasterKey{key}
	for _, file := range append([]string{c.MasterKeyFile}, c.FurtherKeyFiles...) {
		k, err := readKey(file)
		if err != nil {
			return model.E(model.Precondition, "read master key", file).From(err)
		}
		keys = append(keys, k)
	}
	if err := st.UseMasterKeys(ctx, keys...); err != nil {
		return err
	}
	done, err := st.Rekey(ctx, key)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "master key %s is in use; sealed anew: %d\n", done.ID, done.Rewritten)
	left := 0
	for _, id := range slices.Sorted(maps.Keys(done.Left)) {
		fmt.Fprintf(out, "left under %s: %d\n", id, done.Left[id])
		left += done.Left[id]
	}
	if left > 0 {
		return model.E(model.Precondition, "rekey", "").Because(fmt.Sprintf("%d values are left under other keys", left)).
			Hint("give the files of those keys in --further-master-key-files and run it again")
	}
	fmt.Fprintln(out, "left under other keys: 0")
	return nil
}
