package egi_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"signpost/controlapi/clientaddr"
	"signpost/controlapi/egi"
)

// A registration's URL has the secret in it: where it leads is nothing that a request says.
func TestURLsAreNotWhatARequestSays(t *testing.T) {
	w := newWorld(t)
	w.zone(t, "example.org", "everyone")
	w.host(t, "alice", "mine.example.org")
	proxies, err := clientaddr.ParseProxies([]string{"127.0.0.1/32"})
	check(t, err)
	mux := http.NewServeMux()
	for pattern, h := range egi.New(w.service, proxies, "").Mounts() {
		mux.Handle(pattern, h)
	}
	for scheme, server := range map[string]*httptest.Server{"http": httptest.NewServer(mux), "https": httptest.NewTLSServer(mux)} {
		t.Run(scheme, func(t *testing.T) {
			defer server.Close()
			ask := func(path string) string {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
				check(t, err)
				req.Host = "evil.example.com"
				for name, value := range map[string]string{
					"Authorization": "Bearer alice.b.c", "X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example.com;proto=https",
				} {
					req.Header.Set(name, value)
				}
				resp, err := server.Client().Do(req)
				check(t, err)
				body, err := io.ReadAll(resp.Body)
				check(t, errors.Join(err, resp.Body.Close()))
				if strings.Contains(string(body), "evil") {
					t.Errorf("%s: %s", path, body)
				}
				return string(body)
			}
			var host struct{ URL string }
			check(t, json.Unmarshal([]byte(ask("/api/hosts/mine.example.org")), &host))
			if want := server.URL + "/api/hosts/mine.example.org"; host.URL != want {
				t.Errorf("%s, want %s", host.URL, want)
			}
			var made struct {
				Host struct {
					Basic  string `json:"IPv4_update_url_basic_auth"`
					Bearer string `json:"IPv4_update_url_bearer_auth"`
				}
			}
			check(t, json.Unmarshal([]byte(ask("/nic/register?fqdn="+scheme+".example.org")), &made))
			at := strings.TrimPrefix(server.URL, scheme+"://")
			if !strings.HasPrefix(made.Host.Basic, scheme+"://"+scheme+".example.org:sph_") || !strings.HasSuffix(made.Host.Basic, "@"+at+"/nic/update") ||
				!strings.HasPrefix(made.Host.Bearer, server.URL+"/nic/update?") {
				t.Errorf("%+v", made.Host)
			}
		})
	}
}
