package dev

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
	"github.com/spf13/pflag"

	"signpost/internal/model"
)

func parse(t *testing.T, args ...string) Options {
	t.Helper()
	var o Options
	f := pflag.NewFlagSet("signpost-dev", pflag.ContinueOnError)
	o.Flags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

func start(t *testing.T, args ...string) *Dev {
	t.Helper()
	began := time.Now()
	d, err := Start(t.Context(), parse(t, append([]string{"--dns-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"}, args...)...), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ready in %s", time.Since(began))
	return d
}

func ask(t *testing.T, server, name string, qtype uint16) *mdns.Msg {
	t.Helper()
	q := new(mdns.Msg)
	q.SetQuestion(name, qtype)
	r, err := mdns.Exchange(q, server)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEverythingStartsStopsAndIsStillThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d := start(t, "--data-dir", dir, "--replicas=3")
	raw, err := os.ReadFile(filepath.Join(dir, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	var a Addresses
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatal(err)
	}
	if len(a.DNS) != 3 || a.PID != os.Getpid() || a.HTTP == "" || a.Etcd == "" || a.Zone != "fedcloud.test" {
		t.Errorf("run.json: %s", raw)
	}
	for _, server := range a.DNS {
		r := ask(t, server, "ns1.fedcloud.test.", mdns.TypeA)
		if len(r.Answer) != 1 || !r.Authoritative {
			t.Errorf("ns1 at %s: %v", server, r)
		}
	}
	if ignore, err := os.ReadFile(filepath.Join(dir, ".gitignore")); string(ignore) != "*\n" {
		t.Errorf(".gitignore: %q, %v", ignore, err)
	}
	createHost(t, a)
	for _, server := range a.DNS {
		waitFor(t, server, "kept.fedcloud.test.")
	}

	_, err = Start(t.Context(), parse(t, "--data-dir", dir, "--dns-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another signpost-dev uses it") {
		t.Errorf("a second one on the same data: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run.json")); err != nil {
		t.Errorf("the refused one has taken run.json away: %v", err)
	}

	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "run.json")); !os.IsNotExist(err) {
		t.Errorf("run.json is left: %v", err)
	}
	d = start(t, "--data-dir", dir)
	defer d.Close()
	waitFor(t, d.Addresses.DNS[1], "kept.fedcloud.test.")
	if token, err := os.ReadFile(filepath.Join(dir, "admin.token")); err != nil || call(t, d.Addresses, string(token), "GET", "/v1/hosts/kept.fedcloud.test", "") != 200 {
		t.Errorf("the old token no longer works: %v", err)
	}
}

func TestALostAdminTokenIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, "--data-dir", dir, "--replicas=1").Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "admin.token")); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--data-dir", dir, "--replicas=1")
	defer d.Close()
	createHost(t, d.Addresses)
}

// TestADNSPortInUseIsNoticed: CoreDNS shares its ports with whoever else shares
// them, and two strangers would answer in turn.
func TestADNSPortInUseIsNoticed(t *testing.T) {
	d := start(t, "--ephemeral", "--replicas=1")
	defer d.Close()
	_, err := Start(t.Context(), parse(t, "--ephemeral", "--replicas=1", "--http-listen=127.0.0.1:0", "--dns-listen", d.Addresses.DNS[0]), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "--dns-listen") {
		t.Errorf("got %v, want the flag named", err)
	}
}

func createHost(t *testing.T, a Addresses) {
	t.Helper()
	token, err := os.ReadFile(a.AdminTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if status := call(t, a, string(token), "POST", "/v1/hosts", `{"fqdn":"kept.fedcloud.test","addresses":["127.0.0.5"]}`); status != 200 {
		t.Fatalf("create host: %d", status)
	}
}

func call(t *testing.T, a Addresses, token, method, path, body string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, a.HTTP+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Logf("%s %s: %s", method, path, text)
	}
	return resp.StatusCode
}

func waitFor(t *testing.T, server, name string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		r := ask(t, server, name, mdns.TypeA)
		if len(r.Answer) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer %s: %v", server, name, r)
		}
	}
}

func TestEphemeralLeavesNothing(t *testing.T) {
	d := start(t, "--ephemeral", "--replicas=1")
	dir := d.dir.path
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	for _, tt := range []struct{ arg, want string }{
		{"--dns-listen=0.0.0.0:5300", "--unsafe-listen"},
		{"--http-listen=:8080", "--http-listen"},
		{"--http-listen=8080", "HOST:PORT"},
		{"--dns-listen=127.0.0.1:99999", "--dns-listen"},
		{"--etcd-listen=192.0.2.1:1", "--etcd-listen"},
		{"--replicas=0", "--replicas"},
		{"--zone=-bad-.test", "--zone"},
		{"--dns-listen=127.0.0.1:65535", "not enough ports"},
	} {
		_, err := Start(t.Context(), parse(t, "--ephemeral", "--dns-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", tt.arg), slog.New(slog.DiscardHandler))
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want Invalid with %q", tt.arg, err, tt.want)
		}
	}
}

func TestAnAddressInUseNamesItsFlag(t *testing.T) {
	d := start(t, "--ephemeral", "--replicas=1")
	defer d.Close()
	taken := strings.TrimPrefix(d.Addresses.HTTP, "http://")
	_, err := Start(t.Context(), parse(t, "--ephemeral", "--dns-listen=127.0.0.1:0", "--http-listen", taken), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "--http-listen") {
		t.Errorf("got %v, want the flag named", err)
	}
}
