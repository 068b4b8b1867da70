package control

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
)

func openStore(t *testing.T, endpoint string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func files(dir string) (key, token string) {
	return filepath.Join(dir, "master.key"), filepath.Join(dir, "admin.token")
}

// works reports whether a token file's token is one that etcd knows.
func works(t *testing.T, s *store.Store, file string) bool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := access.ParseSecret(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	known := false
	if err := s.Read(t.Context(), func(tx *store.Tx) error {
		tok, err := tx.Token(secret.Sum[:])
		known = tok != nil && tok.Admin
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return known
}

func TestFirstStartMakesKeyAndToken(t *testing.T) {
	etcd := localetcd.New(t)
	s := openStore(t, etcd.Endpoint())
	dir := t.TempDir()
	key, token := files(dir)
	if _, err := NewToken(t.Context(), Config{EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: "/signpost", MasterKeyFile: key, AdminTokenFile: token, LogLevel: "info"}, io.Discard); model.KindOf(err) != model.Precondition {
		t.Errorf("a token for what was never set up: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("it made %v", left)
	}
	if err := setUp(t.Context(), s, Config{MasterKeyFile: key, AdminTokenFile: token}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{key, token} {
		if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", f, st, err)
		}
	}
	if !works(t, s, token) {
		t.Error("the token is not in etcd")
	}

	t.Run("a later one is given the same key", func(t *testing.T) {
		if err := setUp(t.Context(), openStore(t, etcd.Endpoint()), Config{MasterKeyFile: key, AdminTokenFile: filepath.Join(t.TempDir(), "none")}, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	})
	t.Run("a later one without the key refuses, names the id and makes nothing", func(t *testing.T) {
		dir := t.TempDir()
		k, tok := files(dir)
		err := setUp(t.Context(), openStore(t, etcd.Endpoint()), Config{MasterKeyFile: k, AdminTokenFile: tok}, slog.New(slog.DiscardHandler))
		id, _ := s.MasterKeyID(t.Context())
		if model.KindOf(err) != model.Precondition || !strings.Contains(err.Error(), id) {
			t.Errorf("got %v, want the id %s named", err, id)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("it made %v", left)
		}
	})
	t.Run("a later one with another key refuses", func(t *testing.T) {
		k, tok := files(t.TempDir())
		if err := os.WriteFile(k, []byte(store.NewMasterKey().Text()), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := setUp(t.Context(), openStore(t, etcd.Endpoint()), Config{MasterKeyFile: k, AdminTokenFile: tok}, slog.New(slog.DiscardHandler)); model.KindOf(err) != model.Precondition {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another token", func(t *testing.T) {
		text, err := NewToken(t.Context(), Config{EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: "/signpost", MasterKeyFile: key, AdminTokenFile: token, LogLevel: "info"}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		f := filepath.Join(t.TempDir(), "t")
		if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if !works(t, s, f) {
			t.Error("the new token is not in etcd")
		}
	})
}

// TestFirstStartsAtOnce: of several first starts one sets etcd up. Those that share
// its files go on with them; those that do not refuse and leave nothing behind.
func TestFirstStartsAtOnce(t *testing.T) {
	for range 5 {
		etcd := localetcd.New(t)
		shared, own := t.TempDir(), t.TempDir()
		dirs := []string{shared, shared, own}
		errs := make([]error, len(dirs))
		var wg sync.WaitGroup
		for i, dir := range dirs {
			s := openStore(t, etcd.Endpoint())
			wg.Go(func() {
				key, token := files(dir)
				errs[i] = setUp(context.Background(), s, Config{MasterKeyFile: key, AdminTokenFile: token}, slog.New(slog.DiscardHandler))
			})
		}
		wg.Wait()
		winner, loser := shared, own
		if errs[2] == nil {
			winner, loser = own, shared
		}
		_, token := files(winner)
		if !works(t, openStore(t, etcd.Endpoint()), token) {
			t.Error("the winner's token does not work")
		}
		if left, _ := os.ReadDir(loser); len(left) != 0 {
			t.Errorf("the losers left %v", left)
		}
		for i, dir := range dirs {
			if (errs[i] == nil) != (dir == winner) {
				t.Errorf("start %d in the folder of the %v: %v", i, dir == winner, errs[i])
			}
		}
	}
}
