package main

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/proc/dev"
	"signpost/test/proctest"
)

// The lines of docs/failover.md work as they are printed, one after the other, and dig
// says what the page says.
func TestTheLinesOfTheFailoverPageWork(t *testing.T) {
	page, err := os.ReadFile("../../docs/failover.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Dir(proctest.Bin(t, "signpost")), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	d, err := dev.Start(t.Context(), dev.Options{
		DNSListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Zone: "fedcloud.test", Replicas: 2, DataDir: filepath.Join(dir, ".signpost"),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			line = strings.TrimSpace(line)
			if dig := regexp.MustCompile(`^dig \S+ -p 5300 (\S+) \+short\s+# (.*)$`).FindStringSubmatch(line); dig != nil {
				q := new(dns.Msg)
				q.SetQuestion(dns.Fqdn(dig[1]), dns.TypeA)
				r, err := dns.ExchangeContext(t.Context(), q, d.Addresses.DNS[0])
				if err != nil || len(r.Answer) != 1 || r.Answer[0].(*dns.A).A.String() != dig[2] {
					t.Errorf("%s: %v %v", line, r, err)
				}
				continue
			}
			if !strings.HasPrefix(line, "bin/signpost ") {
				continue
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "SIGNPOST_TOKEN=", "SIGNPOST_SERVER="+d.Addresses.HTTP, "SIGNPOST_TOKEN_FILE=.signpost/admin.token")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			ran++
		}
	}
	if ran < 15 {
		t.Errorf("only %d lines were found", ran)
	}
}
