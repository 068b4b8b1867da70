package control

import (
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/store/localetcd"
	"signpost/internal/webhook"
)

// hooked is a configuration with a receiver that puts what it is sent into a channel.
func hooked(t *testing.T, etcd string) (Config, chan string) {
	t.Helper()
	came := make(chan string, 100)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Type string
			Data struct{ Kind, Fqdn string }
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		came <- m.Type + " " + m.Data.Kind + " " + m.Data.Fqdn
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	dir := t.TempDir()
	ca, hookKey := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "hook.key")
	for path, text := range map[string]string{
		ca:      string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})),
		hookKey: "whsec_" + strings.Repeat("AAAA", 8) + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key, file := files(dir)
	return Config{
		EtcdEndpoints: []string{etcd}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", MasterKeyFile: key, AdminTokenFile: file,
		Webhooks: []webhook.Config{{Name: "ops", URL: srv.URL, KeyFile: hookKey, CAFile: ca, Allow: []string{"127.0.0.0/8"}}},
	}, came
}

// A receiver that nobody told for so long that etcd no longer knows what came about is told
// to look again, once.
func TestAReceiverIsToldThatSomethingIsMissing(t *testing.T) {
	etcd := localetcd.New(t)
	c, came := hooked(t, etcd.Endpoint())
	begin := func() *Server {
		t.Helper()
		s, err := Start(t.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	told := func() int64 {
		resp, err := client.Get(t.Context(), "/signpost/v1/ctl/hook/ops")
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range resp.Kvs {
			return kv.ModRevision
		}
		return 0
	}
	first := begin()
	for deadline := time.Now().Add(time.Minute); told() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("how far the receiver was told is not written")
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	var rev int64
	for range 10 {
		resp, err := client.Put(t.Context(), "/other", "x")
		if err != nil {
			t.Fatal(err)
		}
		rev = resp.Header.Revision
	}
	if _, err := client.Compact(t.Context(), rev); err != nil {
		t.Fatal(err)
	}
	second := begin()
	defer second.Close()
	select {
	case got := <-came:
		if got != "health health " {
			t.Errorf("told %q", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing is told")
	}
	select {
	case got := <-came:
		t.Errorf("then told %q", got)
	case <-time.After(3 * time.Second): // longer than the next sign of progress takes
	}
}
