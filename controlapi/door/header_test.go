package door

import (
	"net/http"
	"strings"
	"testing"
)

// A header that is too large is refused in every protocol, and one that is not is read.
func TestAHeaderIsBounded(t *testing.T) {
	o := open(t, Limits{}, http.HandlerFunc(hello))
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		p := new(http.Protocols)
		p.SetHTTP1(protocol == "HTTP/1.1")
		p.SetUnencryptedHTTP2(protocol == "HTTP/2")
		client := http.Client{Transport: &http.Transport{Protocols: p}}
		defer client.CloseIdleConnections()
		for size, want := range map[int]int{maxHeader / 2: http.StatusOK, 2 * maxHeader: http.StatusRequestHeaderFieldsTooLarge} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+o.addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Long", strings.Repeat("x", size))
			resp, err := client.Do(req)
			if err != nil { // of HTTP/2: the client knows the limit, or the connection is ended
				if protocol != "HTTP/2" || want == http.StatusOK {
					t.Errorf("%s, %d octets: %v", protocol, size, err)
				}
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s, %d octets: %s", protocol, size, resp.Status)
			}
		}
	}
}
