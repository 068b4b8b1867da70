package main

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"signpost/internal/proc/dev"
	"signpost/test/proctest"
)

// The lines of docs/certificates.md work as they are printed, one after the other, and all
// of them give one chain.
func TestTheLinesOfTheCertificatesPageWork(t *testing.T) {
	for _, program := range []string{"openssl", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no such program: ", err)
		}
	}
	page, err := os.ReadFile("../../docs/certificates.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Dir(proctest.Bin(t, "signpost")), filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	ca := newAuthority(t)
	o := dev.Options{DNSListen: "127.0.0.1:0", HTTPListen: "127.0.0.1:0", Zone: "fedcloud.test", Replicas: 2, Ephemeral: true}
	ca.options(&o)
	d, err := dev.Start(t.Context(), o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	ca.replica.Store(&d.Addresses.DNS[0])
	token, err := os.ReadFile(d.Addresses.AdminTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(block[1]) {
			cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "SIGNPOST_TOKEN=", "SIGNPOST_SERVER="+d.Addresses.HTTP, "SIGNPOST_TOKEN_FILE="+d.Addresses.AdminTokenFile,
				"SERVER="+d.Addresses.HTTP, "TOKEN="+strings.TrimSpace(string(token)), "no_proxy=*")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			ran++
		}
	}
	if ran < 6 {
		t.Errorf("only %d lines were found", ran)
	}
	first, err := os.ReadFile(filepath.Join(dir, "app.pem"))
	if err != nil || !strings.HasPrefix(string(first), "-----BEGIN CERTIFICATE-----") {
		t.Fatalf("%v\n%s", err, first)
	}
	for _, name := range []string{"chain.pem", "same.pem"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != string(first) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
}
