package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var key = bytes.Repeat([]byte{7}, 32)

func writeKeys(t *testing.T, path string, keys ...[]byte) string {
	t.Helper()
	text := ""
	for _, k := range keys {
		text += keyPrefix + base64.StdEncoding.EncodeToString(k) + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// receiver is a real one over TLS, and a hook that trusts it and may go there.
func receiver(t *testing.T, h http.HandlerFunc, change ...func(*Config)) *Hook {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	c := Config{Name: "ops", URL: srv.URL + "/secret-path", CAFile: ca, Allow: []string{"127.0.0.0/8"}, KeyFile: writeKeys(t, filepath.Join(t.TempDir(), "key"), key)}
	for _, f := range change {
		f(&c)
	}
	return hook(t, c)
}

func hook(t *testing.T, c Config) *Hook {
	t.Helper()
	if err := Check([]Config{c}); err != nil {
		t.Fatal(err)
	}
	m, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(c, slog.New(slog.DiscardHandler), m)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// wantRefused is that a message does not get out, and that the reason has no secret in it.
func wantRefused(t *testing.T, err error, why string, final bool) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), why) || isFinal(err) != final {
		t.Errorf("%v (final: %v), want %q (%v)", err, isFinal(err), why, final)
		return
	}
	for _, secret := range []string{"secret-path", base64.StdEncoding.EncodeToString(key)} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%v has %s in it", err, secret)
		}
	}
}

func TestAMessageIsSignedAsStandardWebhooksSay(t *testing.T) {
	var got *http.Request
	var body []byte
	h := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	})
	if err := h.post(t.Context(), Message{ID: "evt_1", Body: []byte(`{"type":"health"}`)}); err != nil {
		t.Fatal(err)
	}
	at := got.Header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", got.Header.Get("webhook-id"), at, body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); got.Header.Get("webhook-signature") != want || got.Header.Get("webhook-id") != "evt_1" {
		t.Errorf("%v, want %s", got.Header, want)
	}
	if got.Method != http.MethodPost || string(body) != `{"type":"health"}` || got.Header.Get("Content-Type") != "application/json" || got.URL.Path != "/secret-path" {
		t.Errorf("%s %s %s %v", got.Method, got.URL, body, got.Header)
	}
	// The file is read again when it changes: two keys, two signatures.
	writeKeys(t, h.config.KeyFile, key, bytes.Repeat([]byte{8}, 24))
	if err := h.post(t.Context(), Message{ID: "evt_2"}); err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(got.Header.Get("webhook-signature"))); n != 2 {
		t.Errorf("%d signatures", n)
	}
	if err := os.Remove(h.config.KeyFile); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, h.post(t.Context(), Message{ID: "evt_3"}), "key-file", false)
}

// The known answer of the Standard Webhooks specification's libraries.
func TestSignatureOfTheSpecificationsExample(t *testing.T) {
	keys, err := parseKeys("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
	if err != nil {
		t.Fatal(err)
	}
	got := sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestWhatReceiversSay(t *testing.T) {
	code := 0
	followed := false
	h := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		followed = followed || r.URL.Path == "/elsewhere"
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	for _, c := range []struct {
		code         int
		taken, final bool
	}{
		{200, true, false}, {202, true, false}, {204, true, false}, {299, true, false},
		{301, false, true}, {302, false, true}, {307, false, true}, {308, false, true},
		{400, false, true}, {401, false, true}, {404, false, true}, {410, false, true},
		{408, false, false}, {425, false, false}, {429, false, false},
		{500, false, false}, {502, false, false}, {503, false, false},
	} {
		code = c.code
		err := h.post(t.Context(), Message{ID: "evt_1"})
		if c.taken && err != nil {
			t.Errorf("%d: %v", c.code, err)
		} else if !c.taken {
			wantRefused(t, err, fmt.Sprint(c.code), c.final)
		}
	}
	if followed {
		t.Error("a redirect is followed")
	}
}

func TestASlowReceiverIsLeft(t *testing.T) {
	end := make(chan struct{})
	h := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-end
	}, func(c *Config) { c.Timeout = 2 * time.Second })
	defer close(end)
	began := time.Now()
	if err := h.post(t.Context(), Message{ID: "evt_1"}); err != nil || time.Since(began) > 30*time.Second { // it has said 200
		t.Errorf("%v after %s", err, time.Since(began))
	}
	h = receiver(t, func(http.ResponseWriter, *http.Request) { <-end }, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	wantRefused(t, h.post(t.Context(), Message{ID: "evt_1"}), "deadline", false)
}

func TestMessagesGoOnlyWhereTheyMay(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // nobody asks
	asked := 0
	here := func(http.ResponseWriter, *http.Request) { asked++ }
	elsewhere := func(c *Config) { c.Allow = []string{"10.0.0.0/8", "127.0.0.0/32"} }
	wantRefused(t, receiver(t, here, elsewhere).post(t.Context(), Message{}), "not in allow", false)
	// What a name resolves to is looked at, not what it is called.
	wantRefused(t, receiver(t, here, elsewhere, func(c *Config) { c.URL = strings.Replace(c.URL, "127.0.0.1", "localhost", 1) }).post(t.Context(), Message{}), "not in allow", false)
	for _, to := range []string{"169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]"} {
		h := hook(t, Config{Name: "ops", URL: "https://" + to + "/", KeyFile: writeKeys(t, filepath.Join(t.TempDir(), "key"), key)})
		wantRefused(t, h.post(t.Context(), Message{}), "not in allow", false)
	}
	plain := httptest.NewServer(http.HandlerFunc(here))
	defer plain.Close()
	c := Config{Name: "ops", URL: plain.URL, Allow: []string{"10.0.0.0/8"}, KeyFile: writeKeys(t, filepath.Join(t.TempDir(), "key"), key)}
	wantRefused(t, hook(t, c).post(t.Context(), Message{}), "not in allow", false)
	public := c
	public.URL = "http://1.1.1.1/" // https might; it is refused before anything is sent
	wantRefused(t, hook(t, public).post(t.Context(), Message{}), "not in allow", false)
	if asked > 0 {
		t.Errorf("%d got out", asked)
	}
	c.Allow = []string{"127.0.0.0/8"}
	if err := hook(t, c).post(t.Context(), Message{}); err != nil || asked != 1 {
		t.Errorf("%v, %d asked", err, asked)
	}
	// A certificate of an authority that is not trusted.
	wantRefused(t, receiver(t, here, func(c *Config) { c.CAFile = "" }).post(context.Background(), Message{}), "certificate", false)
}

func TestBadConfigurationIsNamed(t *testing.T) {
	good := Config{Name: "ops", URL: "https://example.org/x", KeyFile: "k"}
	if err := Check([]Config{good}); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Name = "Ops 1" }, "webhooks[0].name"},
		{func(c *Config) { c.Name = "" }, "webhooks[0].name"},
		{func(c *Config) { c.URL = "" }, "webhooks[0].url"},
		{func(c *Config) { c.URL = "ftp://example.org" }, "webhooks[0].url"},
		{func(c *Config) { c.URL = "https://secret-path:pw@example.org" }, "webhooks[0].url"},
		{func(c *Config) { c.URL = "https://example.org/secret-path%zz" }, "webhooks[0].url"},
		{func(c *Config) { c.URL = "https://example.org/#secret-path" }, "webhooks[0].url"},
		{func(c *Config) { c.URL = "http://example.org/" }, "allow"},
		{func(c *Config) { c.KeyFile = "" }, "webhooks[0].key-file"},
		{func(c *Config) { c.Zones = []string{"a..b"} }, "webhooks[0].zones"},
		{func(c *Config) { c.Allow = []string{"10.0.0.1"} }, "webhooks[0].allow"},
		{func(c *Config) { c.Allow = []string{"10.0.0.1/8"} }, "webhooks[0].allow"},
		{func(c *Config) { c.Timeout = -1 }, "webhooks[0].timeout"},
		{func(c *Config) { c.Timeout = time.Minute }, "webhooks[0].timeout"},
		{func(c *Config) { c.GiveUpAfter = 48 * time.Hour }, "webhooks[0].give-up-after"},
	} {
		bad := good
		c.change(&bad)
		if err := Check([]Config{bad}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-path") {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	if err := Check([]Config{good, good}); err == nil || !strings.Contains(err.Error(), "webhooks[1].name") {
		t.Error(err)
	}
	m, err := NewMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "whsec_", "whsec_AAAA", "plain", "whsec_" + strings.Repeat("A", 200)} {
		good.KeyFile = filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(good.KeyFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(good, slog.New(slog.DiscardHandler), m); err == nil || !strings.Contains(err.Error(), "key-file") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
