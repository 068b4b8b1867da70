package control

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/certs/certstest"
)

// Each setting of the front changes what the service does.
func TestTheFrontDoesWhatItsSettingsSay(t *testing.T) {
	dir := t.TempDir()
	a := certstest.New(t, dir)
	a.Serial("server", "", 5, time.Hour)
	s, _ := started(t, func(c *Config) {
		c.TLSCert, c.TLSKey = filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
		c.PublicURL, c.HTTPRedirect, c.PerAddress = "https://dns.example.org", "127.0.0.1:0", 2
	})
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, // it is ours
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	get := func(url string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example.org"
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(raw)
	}
	resp, doc := get(s.URL() + "/openapi.json")
	if !strings.Contains(doc, `"url": "https://dns.example.org"`) || strings.Contains(doc, "evil") {
		t.Error("the description does not say the public URL")
	}
	if resp.Header.Get("Strict-Transport-Security") == "" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", resp.Header)
	}
	if n := resp.TLS.PeerCertificates[0].SerialNumber.Int64(); n != 5 {
		t.Errorf("certificate %d", n)
	}
	a.Serial("server", "", 6, time.Hour)
	if resp, _ = get(s.URL() + "/healthz"); resp.TLS.PeerCertificates[0].SerialNumber.Int64() != 6 {
		t.Error("a renewed certificate is not shown")
	}
	plain := "http://" + s.RedirectAddr()
	if resp, _ = get(plain + "/v1/zones?x=1"); resp.StatusCode != 308 || resp.Header.Get("Location") != "https://dns.example.org/v1/zones?x=1" {
		t.Errorf("%s, to %s", resp.Status, resp.Header.Get("Location"))
	}
	if resp, ip := get(plain + "/myip"); resp.StatusCode != 200 || strings.TrimSpace(ip) != "127.0.0.1" || resp.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("%s, %q, %v", resp.Status, ip, resp.Header)
	}
	var held []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", s.RedirectAddr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		held = append(held, c)
	}
	// The two of the client may still count for a moment: at least one of three is closed.
	served := 0
	for _, c := range held {
		io.WriteString(c, "GET /myip HTTP/1.1\r\nHost: x\r\n\r\n")
		if n, _ := c.Read(make([]byte, 1)); n == 1 {
			served++
		}
	}
	if served > 2 {
		t.Errorf("%d connections of one address are served, the limit is 2", served)
	}
}
