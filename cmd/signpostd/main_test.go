package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/store/localetcd"
)

// Admin tokens are made, listed and taken back with nothing but etcd and the key.
func TestAdminTokensOnTheCommandLine(t *testing.T) {
	dir, etcd := t.TempDir(), localetcd.New(t)
	settings := []string{
		"--etcd-endpoints", etcd.Endpoint(), "--master-key-file", filepath.Join(dir, "key"), "--admin-token-file", filepath.Join(dir, "token"),
		"--audit-file", filepath.Join(dir, "audit"),
	}
	run := func(args ...string) (string, error) {
		t.Helper()
		var out, logs bytes.Buffer
		c := command(&out, &logs)
		c.SetArgs(append(args, settings...))
		err := c.ExecuteContext(t.Context())
		return out.String(), err
	}
	if _, err := run("admin-token", "list"); err == nil || !strings.Contains(err.Error(), "nothing was ever set up there") {
		t.Errorf("of an empty etcd: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		c := command(&bytes.Buffer{}, &bytes.Buffer{})
		c.SetArgs(append([]string{"serve", "--http-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, settings...))
		if err := c.ExecuteContext(ctx); err != nil {
			t.Error(err)
		}
	})
	var list string
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if list, err = run("admin-token", "list"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	cancel()
	serving.Wait() // no control service is needed from here on
	first := strings.Fields(list)[0]
	if token, err := run("admin-token", "new"); err != nil || !regexp.MustCompile(`^sp_admin_[0-9A-Za-z]{28}\n$`).MatchString(token) {
		t.Fatalf("%q, %v", token, err)
	}
	list, err := run("admin-token", "list")
	if err != nil || !regexp.MustCompile(`^([0-9a-f]{10} 20[0-9-]{8}T[0-9:]{8}Z\n){2}$`).MatchString(list) {
		t.Errorf("%q, %v", list, err)
	}
	if out, err := run("admin-token", "revoke", first); err != nil || out != "" {
		t.Error(out, err)
	}
	if list, err = run("admin-token", "list"); err != nil || strings.Contains(list, first) || strings.Count(list, "\n") != 1 {
		t.Errorf("%q, %v", list, err)
	}
	if _, err := run("admin-token", "revoke", first); err == nil || !strings.Contains(err.Error(), "there is none with this id") {
		t.Errorf("again: %v", err)
	}
	if _, err := run("admin-token", "revoke"); err == nil || !strings.Contains(err.Error(), "give one ID") {
		t.Errorf("without an id: %v", err)
	}
	audit, err := os.ReadFile(filepath.Join(dir, "audit"))
	if err != nil || !strings.Contains(string(audit), `"token.create"`) || !strings.Contains(string(audit), `"token.revoke","before":"admin token `+first) || strings.Contains(string(audit), "sp_admin_") {
		t.Errorf("%s, %v", audit, err)
	}
}
