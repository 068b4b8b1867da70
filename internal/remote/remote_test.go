package remote_test

import (
	"strings"
	"testing"

	"signpost/internal/remote"
)

func TestServers(t *testing.T) {
	for text, want := range map[string]remote.Address{
		"http://127.0.0.1:8080":   {"http://127.0.0.1:8080", "127.0.0.1:8080", false, true},
		"http://127.0.0.1:8080/":  {"http://127.0.0.1:8080", "127.0.0.1:8080", false, true},
		"http://localhost":        {"http://localhost", "localhost:80", false, true},
		"http://[::1]:1":          {"http://[::1]:1", "[::1]:1", false, true},
		"http://dns.example.org":  {"http://dns.example.org", "dns.example.org:80", false, false},
		"https://dns.example.org": {"https://dns.example.org", "dns.example.org:443", true, false},
	} {
		if got, err := remote.Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"127.0.0.1:8080", "dns.example.org", "ftp://x", "https://", "https://x/v1", "https://u:p@x", "https://x?y", "http://:80", "http://x:a"} {
		if got, err := remote.Parse(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		} else if strings.Contains(err.Error(), "u:p@") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}
