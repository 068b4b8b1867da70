package admin

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Memory has secrets in it.
func TestProfilesAreForThisMachine(t *testing.T) {
	h := Handler(prometheus.NewRegistry(), nil, "", nil)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		for _, c := range []struct {
			peer, host string
			want       int
		}{
			{"127.0.0.1:1", "127.0.0.1:8081", 200},
			{"127.0.0.1:1", "localhost:8081", 200},
			{"127.0.0.1:1", "localhost", 200},
			{"[::1]:1", "[::1]:8081", 200},
			{"[::ffff:127.0.0.1]:1", "127.0.0.1:8081", 200},
			{"192.0.2.1:1", "127.0.0.1:8081", 403},
			{"[2001:db8::1]:1", "localhost", 403},
			{"127.0.0.1:1", "evil.example.org:8081", 403},
			{"@", "127.0.0.1", 403},
		} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.RemoteAddr, r.Host = c.peer, c.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s from %s at %s: %d, want %d", path, c.peer, c.host, w.Code, c.want)
			}
			r.URL.Path = "/metrics"
			w = httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 200 {
				t.Errorf("metrics from %s: %d", c.peer, w.Code)
			}
		}
	}
}
