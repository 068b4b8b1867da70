package egi_test

import (
	"net/http"
	"sync"
	"testing"
)

// Our side cannot commit now, or cannot know: before any verdict, and never a 200.
func TestWithoutEtcdItIs503(t *testing.T) {
	w := newWorld(t)
	w.zone(t, "example.org", "everyone")
	w.host(t, "alice", "mine.example.org")
	w.etcd.Stop()
	const ours = `{"status":"error","message":"dnserr"}`
	var asked sync.WaitGroup
	for path, want := range map[string]string{
		"/nic/register?fqdn=a.example.org":           ours,
		"/nic/register?fqdn=a_.example.org":          ours,
		"/nic/unregister?fqdn=mine.example.org":      ours,
		"/nic/unregister?fqdn=none.example.org":      ours,
		"/nic/generate_secret?fqdn=mine.example.org": ours,
		"/nic/domains": ours,
		"/nic/hosts":   ours,
		"/api/hosts":   `{"detail":"Service temporarily unavailable, try again later."}`,
	} {
		asked.Go(func() { // at once: each waits for etcd
			resp, body := w.ask(t, http.MethodGet, path, "alice", "")
			if resp.StatusCode != http.StatusServiceUnavailable || body != want || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %q, Retry-After %q", path, resp.StatusCode, body, resp.Header.Get("Retry-After"))
			}
		})
	}
	asked.Wait()
}
