package dyndns2_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"signpost/internal/access"
)

// ask sends a request as it stands and gives all that comes back.
func (w *world) ask(t *testing.T, raw string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	check(t, err)
	t.Cleanup(func() { check(t, conn.Close()) })
	_, err = io.WriteString(conn, raw)
	check(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	check(t, err)
	return resp
}

func text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	return string(body)
}

func authorization(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestInadynSpeaksHTTP10WithoutPortInHost(t *testing.T) {
	w := newWorld(t)
	fqdn, secret := w.host(t, "example.org")
	resp := w.ask(t, fmt.Sprintf("GET /nic/update?hostname=%s&myip=2001%%3Adb8%%3A%%3A21 HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: %s\r\nUser-Agent: inadyn/2.10.0\r\n\r\n",
		fqdn, authorization(fqdn, secret)))
	if got := text(t, resp); resp.StatusCode != http.StatusOK || got != "good 2001:db8::21" {
		t.Errorf("%d %q", resp.StatusCode, got)
	}
	if !resp.Close || resp.Uncompressed || len(resp.TransferEncoding) > 0 {
		t.Error("an HTTP/1.0 client understands neither a kept connection nor chunks")
	}
}

func TestMyIP(t *testing.T) {
	w := newWorld(t)
	const host = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for _, tt := range []struct{ name, request, want string }{
		{"the peer's address", "GET /myip " + host + "\r\n", "127.0.0.1"},
		{"with a slash", "GET /myip/ " + host + "\r\n", "127.0.0.1"},
		{"from a proxy that is trusted", "GET /myip " + host + "X-Forwarded-For: 2001:db8::1\r\n\r\n", "2001:db8::1"},
		{"the last one that the proxy itself has seen", "GET /myip " + host + "X-Forwarded-For: 10.0.0.1, 192.0.2.9\r\n\r\n", "192.0.2.9"},
		{"v4-mapped v6 shown as v4", "GET /myip " + host + "X-Forwarded-For: ::ffff:192.0.2.8\r\n\r\n", "192.0.2.8"},
		{"Forwarded", "GET /myip " + host + "Forwarded: for=\"[2001:db8::2]:80\"\r\n\r\n", "2001:db8::2"},
		{"HTTP/1.0", "GET /myip HTTP/1.0\r\n\r\n", "127.0.0.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := w.ask(t, tt.request)
			if got := text(t, resp); resp.StatusCode != http.StatusOK || got != tt.want || resp.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("%d %q of %s, want %q", resp.StatusCode, got, resp.Header.Get("Content-Type"), tt.want)
			}
		})
	}
}

// Our side cannot commit now, or cannot know: before any verdict on a secret, and
// never good.
func TestWithoutEtcdItIs911(t *testing.T) {
	w := newWorld(t)
	fqdn, secret := w.host(t, "example.org", "192.0.2.1")
	w.etcd.Stop()
	other := access.NewHostSecret()
	var asked sync.WaitGroup
	for _, tt := range []struct{ name, path, user, password string }{
		{"a change", "/nic/update?myip=192.0.2.2", fqdn, secret},
		{"no change", "/nic/update?myip=192.0.2.1", fqdn, secret},
		{"a bad address", "/nic/update?myip=999", fqdn, secret},
		{"another name", "/nic/update?hostname=x.example.org", fqdn, secret},
		{"a wrong secret", "/nic/update", fqdn, other},
		{"an unknown host", "/nic/update", "none.example.org", other},
	} {
		asked.Go(func() { // at once: each waits for etcd
			resp, body := w.get(t, tt.path, tt.user, tt.password)
			if resp.StatusCode != http.StatusServiceUnavailable || body != "911" || resp.Header.Get("Retry-After") == "" {
				t.Errorf("%s: %d %q, Retry-After %q", tt.name, resp.StatusCode, body, resp.Header.Get("Retry-After"))
			}
		})
	}
	asked.Wait()
}

func TestItIsGoodAgainWhenEtcdIsBack(t *testing.T) {
	w := newWorld(t)
	fqdn, secret := w.host(t, "example.org", "192.0.2.1")
	w.etcd.Stop()
	if resp, body := w.get(t, "/nic/update?myip=192.0.2.2", fqdn, secret); resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%d %q", resp.StatusCode, body)
	}
	check(t, w.etcd.Restart())
	for {
		resp, body := w.get(t, "/nic/update?myip=192.0.2.2", fqdn, secret)
		if resp.StatusCode == http.StatusServiceUnavailable {
			continue // the client backs off; the test's deadline is the limit
		}
		if body != "good 192.0.2.2" {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
		return
	}
}

// A body that is no form may say an address that we would not read: the name is not
// pointed at the caller instead.
func TestABodyThatIsNoFormChangesNothing(t *testing.T) {
	w := newWorld(t)
	fqdn, secret := w.host(t, "example.org")
	post := func(kind, body string) *http.Response {
		return w.ask(t, fmt.Sprintf("POST /nic/update HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			authorization(fqdn, secret), kind, len(body), body))
	}
	resp := post("application/json", `{"myip":"192.0.2.19"}`)
	if got := text(t, resp); resp.StatusCode != http.StatusUnsupportedMediaType || got != "dnserr" {
		t.Errorf("JSON: %d %q", resp.StatusCode, got)
	}
	resp = post("application/x-www-form-urlencoded", "myip=192.0.2.19")
	if got := text(t, resp); got != "good 192.0.2.19" { // and not nochg, nor from another address
		t.Errorf("a form: %d %q", resp.StatusCode, got)
	}
}

// A router behind a proxy that passes on what its clients forge must not have its name
// point at the proxy.
func TestAnAddressThatTheHeadersDisagreeOnIsNotRegistered(t *testing.T) {
	w := newWorld(t)
	fqdn, secret := w.host(t, "example.org")
	const disagree = "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=198.51.100.2\r\nConnection: close\r\n"
	update := func(query string) *http.Response {
		return w.ask(t, "GET /nic/update?hostname="+fqdn+query+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+authorization(fqdn, secret)+"\r\n"+disagree+"\r\n")
	}
	if got := text(t, update("")); strings.Contains(got, "good") || strings.Contains(got, "127.0.0.1") {
		t.Errorf("registered: %q", got)
	}
	if got := text(t, update("&myip=192.0.2.7")); got != "good 192.0.2.7" {
		t.Errorf("a given address is not taken: %q", got)
	}
	resp := w.ask(t, "GET /myip HTTP/1.1\r\nHost: x\r\n"+disagree+"\r\n")
	if got := text(t, resp); resp.StatusCode != http.StatusBadRequest || !strings.Contains(got, "disagree") {
		t.Errorf("/myip: %d %q", resp.StatusCode, got)
	}
}
