package axfr_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/cutover/axfr"
	"signpost/internal/model"
	"signpost/internal/proc/ports"
)

// BIND gives a zone to who has its key, and to nobody else.
func TestBINDTransfersAZone(t *testing.T) {
	named, err := exec.LookPath("named")
	if err != nil {
		t.Skip("BIND is not installed: apt-get install bind9")
	}
	dir := t.TempDir()
	port, err := ports.Pairs("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../testdata/dyn.zone")
	if err != nil {
		t.Fatal(err)
	}
	keyText := `key "cutover" { algorithm hmac-sha256; secret "` + keySecret + `"; };` + "\n"
	for name, content := range map[string]string{
		"zone": strings.ReplaceAll(string(text), "@         DNSKEY", ";"),
		"conf": keyText + fmt.Sprintf(`options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no; allow-transfer { key cutover; }; };
controls { };
zone "dyn.example.org" { type primary; file "zone"; };
`, dir, port),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bind := exec.CommandContext(t.Context(), named, "-g", "-n", "1", "-c", filepath.Join(dir, "conf"))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	bind.Stderr = log
	if err := bind.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = bind.Process.Kill()
		_ = bind.Wait()
		if raw, err := os.ReadFile(log.Name()); t.Failed() {
			t.Logf("%s %v", raw, err)
		}
	}()
	k, err := axfr.ReadKey(strings.NewReader(keyText))
	if err != nil {
		t.Fatal(err)
	}
	server := fmt.Sprintf("127.0.0.1:%d", port)
	var b strings.Builder
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b.Reset()
		err := axfr.Transfer(t.Context(), "dyn.example.org.", server, k, &b)
		if err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
	z, err := model.ReadZoneFile(strings.NewReader(b.String()), "dyn.example.org.", model.ReadOptions{})
	if err != nil || z.Serial != 2026112601 || z.Records != 14 {
		t.Errorf("%+v, %v", z, err)
	}
	if err := axfr.Transfer(t.Context(), "dyn.example.org.", server, nil, &strings.Builder{}); model.KindOf(err) != model.Denied || err == nil {
		t.Errorf("without the key: %v", err)
	}
	wrong := *k
	wrong.Secret = "YW5vdGhlcg=="
	if err := axfr.Transfer(t.Context(), "dyn.example.org.", server, &wrong, &strings.Builder{}); model.KindOf(err) != model.Denied || err == nil {
		t.Errorf("with another key: %v", err)
	}
}
