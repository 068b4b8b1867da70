package control

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
)

// create makes a host and answers its secret.
func create(s *Server, token, fqdn, requestID string) (secret string, err error) {
	req, err := http.NewRequest(http.MethodPost, s.URL()+"/v1/hosts?request_id="+requestID, strings.NewReader(`{"fqdn":"`+fqdn+`"}`))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(body), `"secret":"`)
	secret, _, _ = strings.Cut(rest, `"`)
	if resp.StatusCode != http.StatusOK || secret == "" {
		return "", fmt.Errorf("%s %s", resp.Status, body)
	}
	return secret, nil
}

// awaitAnnounced waits until this many services have said that they run.
func awaitAnnounced(t *testing.T, etcd *localetcd.Server, n int64) {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for {
		resp, err := c.Get(t.Context(), "/signpost/v1/live/control/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			t.Fatal(err)
		}
		if resp.Count == n {
			return
		}
	}
}

// The master key is changed while two services go on, as the manual says it.
func TestTheMasterKeyIsChangedWithoutAPause(t *testing.T) {
	etcd, dir := localetcd.New(t), t.TempDir()
	oldKey, tokenFile := files(dir)
	newKey := filepath.Join(dir, "new.key")
	c := Config{
		EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		MasterKeyFile: oldKey, AdminTokenFile: tokenFile, LogLevel: "error",
	}
	serve := func(key string, further ...string) (*Server, error) {
		c := c
		c.MasterKeyFile, c.FurtherKeyFiles = key, further
		s, err := Start(t.Context(), c, slog.New(slog.DiscardHandler))
		if err == nil {
			t.Cleanup(func() { s.Close() })
		}
		return s, err
	}
	must := func(s *Server, err error) *Server {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	unaware := must(serve(oldKey)) // sets etcd up, and is not told of the new key
	raw, err := os.ReadFile(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(raw))
	if err := unaware.EnsureZone(t.Context(), "vo.example.org", "192.0.2.53"); err != nil {
		t.Fatal(err)
	}
	first, err := create(unaware, token, "first.vo.example.org", "first")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Rekey(t.Context(), c, newKey, &out, io.Discard); model.KindOf(err) != model.Precondition || err == nil {
		t.Errorf("a key that is not there: %v", err)
	}
	for range 2 { // the second time it is there
		if err := MakeKey(newKey, &out); err != nil {
			t.Fatal(err)
		}
	}
	if st, err := os.Stat(newKey); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	a, b := must(serve(oldKey, newKey)), must(serve(oldKey, newKey))
	awaitAnnounced(t, etcd, 3)
	err = Rekey(t.Context(), c, newKey, &out, io.Discard)
	if model.KindOf(err) != model.Precondition || err == nil || !strings.Contains(err.Error(), unaware.URL()) || strings.Contains(err.Error(), a.URL()) {
		t.Fatalf("a service that does not hold the new key: %v", err)
	}
	if err := unaware.Close(); err != nil {
		t.Fatal(err)
	}
	cutOff := openStore(t, etcd.Endpoint()) // as one that could not say that it runs
	oldOne, err := readKey(oldKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := cutOff.UseMasterKeys(t.Context(), oldOne); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var made atomic.Int64
	for i, s := range []*Server{a, b} {
		other := []*Server{b, a}[i]
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("h%d-%d", i, n)
				secret, err := create(s, token, id+".vo.example.org", id)
				if err != nil {
					t.Errorf("while the key is changed: %v", err)
					return
				}
				if again, err := create(other, token, id+".vo.example.org", id); err != nil || again != secret {
					t.Errorf("a repeated call while the key is changed: %q, %v", again, err)
					return
				}
				made.Add(1)
			}
		})
	}
	reach := func(n int64) {
		for made.Load() < n && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	}
	reach(20)
	if err := Rekey(t.Context(), c, newKey, &out, io.Discard); err != nil {
		t.Error(err)
	}
	reach(made.Load() + 20)
	cancel()
	running.Wait()
	if !strings.Contains(out.String(), "left under other keys: 0") || strings.Contains(out.String(), "sealed anew: 0\n") {
		t.Errorf("it says:\n%s", &out)
	}
	t.Logf("%d hosts made meanwhile\n%s", made.Load(), &out)

	call := store.Call{Principal: "egi/alice", ID: "x", Method: "x"}
	_, err = cutOff.Update(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Result(call, time.Now()); err != nil {
			return err
		}
		return tx.SaveResult(call, store.Saved{Secret: "x"}, time.Now())
	})
	if model.KindOf(err) != model.Unavailable || err == nil || !strings.Contains(err.Error(), "further-master-key-files") {
		t.Errorf("a service without the new key keeps a secret: %v", err)
	}
	if _, err := serve(oldKey); model.KindOf(err) != model.Precondition || err == nil {
		t.Errorf("it starts with the old key alone: %v", err)
	}
	after := must(serve(newKey))
	if again, err := create(after, token, "first.vo.example.org", "first"); err != nil || again != first {
		t.Errorf("a secret from before the change: %q, want %q; %v", again, first, err)
	}
	// Once more changes nothing.
	out.Reset()
	if err := Rekey(t.Context(), Config{EtcdEndpoints: c.EtcdEndpoints, EtcdPrefix: c.EtcdPrefix, MasterKeyFile: newKey, LogLevel: "error"}, newKey, &out, io.Discard); err != nil || !strings.Contains(out.String(), "sealed anew: 0\n") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// What only a key can open that nobody gives is counted, and the old key stays known.
func TestWhatIsLeftUnderAnOldKeyIsSaid(t *testing.T) {
	etcd, dir := localetcd.New(t), t.TempDir()
	first, tokenFile := files(dir)
	c := Config{
		EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		MasterKeyFile: first, AdminTokenFile: tokenFile, LogLevel: "error",
	}
	second, third := filepath.Join(dir, "second"), filepath.Join(dir, "third")
	for _, f := range []string{second, third} {
		if err := MakeKey(f, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	c.FurtherKeyFiles = []string{second}
	s, err := Start(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	raw, err := os.ReadFile(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureZone(t.Context(), "vo.example.org", "192.0.2.53"); err != nil {
		t.Fatal(err)
	}
	if _, err := create(s, strings.TrimSpace(string(raw)), "a.vo.example.org", "a"); err != nil {
		t.Fatal(err)
	}
	// As if the change to the second key had been cut off before anything was sealed anew.
	st := openStore(t, etcd.Endpoint())
	k1, err1 := readKey(first)
	k2, err2 := readKey(second)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := st.UseMasterKeys(t.Context(), k1, k2); err != nil {
		t.Fatal(err)
	}
	lost := openStore(t, etcd.Endpoint()) // holds no key, so it can open nothing
	if done, err := lost.Rekey(t.Context(), k2); err != nil || done.Left[k1.ID()] != 1 || done.Rewritten != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if err := s.Close(); err != nil { // it holds no third key
		t.Fatal(err)
	}
	awaitAnnounced(t, etcd, 0)
	var out bytes.Buffer
	c.MasterKeyFile, c.FurtherKeyFiles = second, nil
	if err := Rekey(t.Context(), c, third, &out, io.Discard); model.KindOf(err) != model.Precondition || err == nil || !strings.Contains(out.String(), "left under "+k1.ID()+": 1") {
		t.Errorf("%v\n%s", err, &out)
	}
	out.Reset()
	c.FurtherKeyFiles = []string{first}
	if err := Rekey(t.Context(), c, third, &out, io.Discard); err != nil || !strings.Contains(out.String(), "sealed anew: 1\n") {
		t.Errorf("%v\n%s", err, &out)
	}
}
