// Package clients asks: do the lines of docs/clients.md do what it says, and do the
// programs that it names understand us?
package clients

import (
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"signpost/internal/proc/dev"
	"signpost/test/proctest"
)

// start is signpost-dev in this process, with a host.
func start(t *testing.T) (d *dev.Dev, host, secret string) {
	t.Helper()
	d, err := dev.Start(t.Context(), dev.Options{
		Ephemeral: true, DNSListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Zone: "fedcloud.test", Replicas: 2,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	host = "www.fedcloud.test"
	out, err := proctest.CLI(t, t.TempDir(), d.Addresses.HTTP, d.Addresses.AdminTokenFile, "host", "create", host, "--quiet")
	if err != nil {
		t.Fatal(out, err)
	}
	return d, host, strings.TrimSpace(out)
}

// manual is the blocks of docs/clients.md that begin with a line.
func manual(t *testing.T, begin string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)\n"+regexp.QuoteMeta(begin)+"\n(.*?)\n```\n").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		t.Fatalf("docs/clients.md has no block that begins with %s", begin)
	}
	return out
}

func TestTheLinesOfTheManual(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl: ", err)
	}
	d, host, secret := start(t)
	token, err := os.ReadFile(d.Addresses.AdminTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for _, block := range manual(t, "```sh") {
		for line := range strings.Lines(block) {
			command, want, ok := strings.Cut(strings.TrimSpace(line), " # ")
			if !ok {
				t.Errorf("%s does not say what is answered", line)
				continue
			}
			lines++
			cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
			cmd.Env = append(os.Environ(), "SERVER="+d.Addresses.HTTP, "HOST="+host, "SECRET="+secret, "TOKEN="+strings.TrimSpace(string(token)), "no_proxy=*")
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("%s\nsays %q, %v; want %q", command, got, err, want)
			}
		}
	}
	if lines < 10 {
		t.Errorf("there are %d lines", lines)
	}
}
