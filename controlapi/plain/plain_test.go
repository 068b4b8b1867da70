package plain

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"signpost/internal/model"
)

func TestWhatIsSaidWithoutTLS(t *testing.T) {
	public, err := ParseURL("https://dns.example.org:8443/")
	if err != nil {
		t.Fatal(err)
	}
	h := New(public, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "192.0.2.7\n") }))
	for _, c := range []struct {
		name, method, target string
		header               [2]string
		status               int
		location, body       string
	}{
		{"one's own address", "GET", "/myip", [2]string{}, 200, "", "192.0.2.7"},
		{"with a slash", "GET", "/myip/", [2]string{}, 200, "", "192.0.2.7"},
		{"another path", "GET", "/v1/zones/a%2Fb?x=1&y=%20", [2]string{}, 308, "https://dns.example.org:8443/v1/zones/a%2Fb?x=1&y=%20", ""},
		{"the method stays", "POST", "/v1/hosts", [2]string{}, 308, "https://dns.example.org:8443/v1/hosts", ""},
		{"an update without a credential", "GET", "/nic/update?hostname=a", [2]string{}, 308, "https://dns.example.org:8443/nic/update?hostname=a", ""},
		{"an update with one", "GET", "/nic/update?hostname=a", [2]string{"Authorization", "Basic eDp5"}, 403, "", "https://dns.example.org:8443"},
		{"a token", "GET", "/v1/zones", [2]string{"Authorization", "Bearer x"}, 403, "", "replace this credential"},
		{"a credential that /myip does not need", "GET", "/myip", [2]string{"Authorization", "Basic eDp5"}, 403, "", "replace this credential"},
		{"a key", "POST", "/update", [2]string{"X-Api-Key", "x"}, 403, "", "replace this credential"},
		{"another host", "GET", "/", [2]string{"Host", "evil.example.org"}, 308, "https://dns.example.org:8443/", ""},
		{"a path that looks like a host", "GET", "//evil.example.org/x", [2]string{}, 308, "https://dns.example.org:8443//evil.example.org/x", ""},
		{"a whole URL", "GET", "http://evil.example.org/x", [2]string{}, 308, "https://dns.example.org:8443/x", ""},
		{"no path", "OPTIONS", "*", [2]string{}, 308, "https://dns.example.org:8443/", ""},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		if c.header[0] == "Host" {
			r.Host = c.header[1]
		} else if c.header[0] != "" {
			r.Header.Set(c.header[0], c.header[1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Location") != c.location || !strings.Contains(w.Body.String(), c.body) {
			t.Errorf("%s: %d, to %q, %q; want %d, to %q, %q", c.name, w.Code, w.Header().Get("Location"), w.Body, c.status, c.location, c.body)
		}
	}
}

// In whatever form a credential comes, it is refused and not sent on.
func TestACredentialIsRefusedInAnyForm(t *testing.T) {
	public, err := ParseURL("https://dns.example.org")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(New(public, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "192.0.2.7\n") })))
	defer s.Close()
	send := func(start string, lines ...string) string {
		t.Helper()
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", start, strings.Join(append(lines, ""), "\r\n"))
		raw, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for _, c := range [][]string{
		{"GET /myip", "Authorization:", "Authorization: Basic eDp5"},
		{"GET /x", "Authorization:", "Authorization: Basic eDp5"},
		{"GET /x", "authorization: Bearer x"},
		{"GET /x", "Proxy-Authorization: Basic eDp5"},
		{"GET /x", "Cookie:", "Cookie: session=x"},
		{"POST /update", "X-Api-User: x"},
		{"GET http://me:secret@x/myip"},
		{"GET /nic/update?hostname=a&password=x"},
		{"GET /nic/update?hostname=a;Pass%77ord=x"},
		{"GET /nic/update?token=x"},
		{"GET /v1/zones?access-token=x&%zz"},
		{"GET /v1/zones?x=sph_0123"},
		{"GET /v1/zones?x=%73p_api_0123"},
		{"POST /nic/update", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 0010", "", "password=x"},
		{"POST /nic/update", "Transfer-Encoding: chunked", "", "a", "password=x", "0", ""},
	} {
		got := send(c[0], c[1:]...)
		if !strings.HasPrefix(got, "HTTP/1.1 403 ") || strings.Contains(got, "Location") || !strings.Contains(got, "replace this credential") {
			t.Errorf("%q: %s", c, got)
		}
	}
	for _, target := range []string{"/v1/zones?page_token=x", "/nic/update?hostname=wasp_1.example.org&keys=1"} {
		if got := send("GET " + target); !strings.HasPrefix(got, "HTTP/1.1 308 ") {
			t.Errorf("%s: %s", target, got)
		}
	}
}

func TestPublicURLs(t *testing.T) {
	for _, bad := range []string{"", "dns.example.org", "ftp://dns.example.org", "https://", "https://u:p@dns.example.org", "https://dns.example.org/path",
		"https://dns.example.org?x", "https://dns.example.org#x", "https://:443"} {
		if u, err := ParseURL(bad); err == nil || model.KindOf(err) != model.Invalid {
			t.Errorf("%q: %v, %v", bad, u, err)
		}
	}
	if u, err := ParseURL("https://[2001:db8::1]:8443/"); err != nil || u.String() != "https://[2001:db8::1]:8443" {
		t.Errorf("%v, %v", u, err)
	}
}
