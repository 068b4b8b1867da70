package door

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/clientaddr"
	"signpost/internal/certs/certstest"
)

const patience = 60 * time.Second // bounds a failing test

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

type house struct {
	t    *testing.T
	addr string
	log  *buffer
	reg  *prometheus.Registry
	door *Door
}

// open serves h behind a door on a real socket.
func open(t *testing.T, l Limits, h http.Handler, proxies ...string) *house {
	t.Helper()
	return openTLS(t, l, h, nil, proxies...)
}

func openTLS(t *testing.T, l Limits, h http.Handler, conf *tls.Config, proxies ...string) *house {
	t.Helper()
	listed, err := clientaddr.ParseProxies(proxies)
	if err != nil {
		t.Fatal(err)
	}
	o := &house{t: t, log: &buffer{}, reg: prometheus.NewRegistry()}
	d := New(l, listed, slog.New(slog.NewTextHandler(o.log, nil)), o.reg)
	o.door = d
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.addr = tcp.Addr().String()
	front := d.Listen(tcp)
	if conf != nil {
		front = tls.NewListener(front, conf)
	}
	srv := d.Server(h)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(front) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return o
}

func (h *house) value(name string) float64 {
	h.t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	h.t.Fatalf("there is no metric %s", name)
	return 0
}

func (h *house) dial() net.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// closed waits for the end of what the server sends.
func closed(t *testing.T, c net.Conn, what string) string {
	t.Helper()
	raw, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection stays", what)
	}
	return string(raw)
}

func hello(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello\n") }

func TestSlowClientsAreNotWaitedFor(t *testing.T) {
	const soon = 50 * time.Millisecond
	long := Limits{Header: time.Hour, Body: time.Hour, Idle: time.Hour, Stalled: time.Hour}
	read := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if r.ContentLength > 0 {
			read <- err
		}
	})
	t.Run("with a header", func(t *testing.T) {
		l := long
		l.Header = soon
		c := open(t, l, h).dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow")
		closed(t, c, "half a header")
	})
	t.Run("with a body", func(t *testing.T) {
		l := long
		l.Body = soon
		c := open(t, l, h).dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
		closed(t, c, "half a body")
		if err := <-read; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the handler read the body with %v", err)
		}
	})
	t.Run("with a body that nobody reads", func(t *testing.T) {
		l := long
		l.Body = soon
		c := open(t, l, http.HandlerFunc(hello)).dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
		if got := closed(t, c, "half a body"); !strings.Contains(got, "hello") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("with a body in HTTP/2", func(t *testing.T) {
		l := long
		l.Body = soon
		o := open(t, l, h)
		body, w := io.Pipe()
		defer w.Close()
		go io.WriteString(w, "half")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+o.addr, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 10
		p := new(http.Protocols)
		p.SetUnencryptedHTTP2(true)
		client := http.Client{Transport: &http.Transport{Protocols: p}}
		defer client.CloseIdleConnections()
		go func() {
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
			}
		}()
		select {
		case err := <-read:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the handler read the body with %v", err)
			}
		case <-time.After(patience):
			t.Error("the handler waits")
		}
	})
	t.Run("with nothing", func(t *testing.T) {
		l := long
		l.Idle = soon
		c := open(t, l, http.HandlerFunc(hello)).dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := closed(t, c, "an idle connection"); !strings.HasSuffix(got, "hello\n") {
			t.Errorf("answered %q", got)
		}
	})
	t.Run("that take no answer", func(t *testing.T) {
		l := long
		l.Stalled = soon
		wrote := make(chan error, 1)
		c := open(t, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 64<<20)) // more than sockets keep
			wrote <- err
		})).dial()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		select {
		case err := <-wrote:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the handler wrote with %v", err)
			}
		case <-time.After(patience):
			t.Error("the handler waits")
		}
	})
}

// An answer may take longer than a body may, in any protocol.
func TestALongAnswerIsNotEndedByTheLimitForBodies(t *testing.T) {
	const limit = 50 * time.Millisecond
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(4 * limit): // what is tested is that this passes
			io.WriteString(w, "late")
		}
	})
	o := open(t, Limits{Body: limit}, h)
	for _, two := range []bool{false, true} {
		p := new(http.Protocols)
		p.SetHTTP1(!two)
		p.SetUnencryptedHTTP2(two)
		client := http.Client{Transport: &http.Transport{Protocols: p}}
		defer client.CloseIdleConnections()
		resp, err := client.Get("http://" + o.addr)
		if err != nil {
			t.Fatalf("HTTP/2 %t: %v", two, err)
		}
		raw, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(raw) != "late" || err != nil {
			t.Errorf("HTTP/2 %t: %q, %v", two, raw, err)
		}
	}
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	o := open(t, Limits{PerAddress: 3}, http.HandlerFunc(hello))
	greeted := func(c net.Conn) bool {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		line, _ := bufio.NewReader(c).ReadString('\n')
		return strings.Contains(line, "200")
	}
	var first net.Conn
	for range 3 {
		if first = o.dial(); !greeted(first) {
			t.Fatal("one of the first three is refused")
		}
	}
	if greeted(o.dial()) {
		t.Error("the fourth is served")
	}
	if n := o.value("signpost_http_connections_refused_total"); n != 1 {
		t.Errorf("%f refusals are counted", n)
	}
	if !strings.Contains(o.log.String(), "127.0.0.1") {
		t.Errorf("it is not told who: %s", o.log)
	}
	first.Close()
	for deadline := time.Now().Add(patience); !greeted(o.dial()); {
		if time.Now().After(deadline) {
			t.Fatal("after one has gone, there is no room for another")
		}
	}
	if n := o.value("signpost_http_connections"); n != 3 {
		t.Errorf("%f connections are open", n)
	}
	t.Run("but not a proxy's", func(t *testing.T) {
		o := open(t, Limits{PerAddress: 3}, http.HandlerFunc(hello), "127.0.0.1")
		for i := range 10 {
			if !greeted(o.dial()) {
				t.Fatalf("connection %d is refused", i)
			}
		}
	})
}

func TestWhoseConnectionsAreCountedTogether(t *testing.T) {
	d := &Door{}
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::1:2:3:4": "2001:db8::/64", "2001:db8:0:1::5": "2001:db8:0:1::/64",
	} {
		if p, limited := d.peerOf(netip.MustParseAddr(addr)); p.String() != want || !limited {
			t.Errorf("%s is counted as %s, limited %t", addr, p, limited)
		}
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	dir := t.TempDir()
	certstest.New(t, dir).Server("server")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	own := http.NewServeMux()
	own.HandleFunc("/own", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
	})
	want := map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": "frame-ancestors 'none'"}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // whose it is does not matter here
	defer client.CloseIdleConnections()
	for scheme, o := range map[string]*house{
		"http": open(t, Limits{}, own), "https": openTLS(t, Limits{}, own, &tls.Config{Certificates: []tls.Certificate{pair}}),
	} {
		want["Strict-Transport-Security"] = map[string]string{"https": "max-age=31536000"}[scheme]
		for _, path := range []string{"/", "/own"} {
			resp, err := client.Get(scheme + "://" + o.addr + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			for name, v := range want {
				if path == "/own" && name == "Content-Security-Policy" {
					v = "default-src 'self'"
				}
				if got := resp.Header.Get(name); got != v {
					t.Errorf("%s%s: %s is %q, want %q", scheme, path, name, got, v)
				}
			}
		}
	}
}

func TestHeadersOfAPeerThatIsNoProxyAreCountedAndTold(t *testing.T) {
	ask := func(o *house) {
		t.Helper()
		for range 3 {
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+o.addr, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", "192.0.2.1")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	stranger, proxy := open(t, Limits{}, http.HandlerFunc(hello)), open(t, Limits{}, http.HandlerFunc(hello), "127.0.0.0/8")
	ask(stranger)
	ask(proxy)
	const name = "signpost_forwarded_headers_ignored_total"
	if n, m := stranger.value(name), proxy.value(name); n != 3 || m != 0 {
		t.Errorf("counted %f of a stranger's and %f of a proxy's", n, m)
	}
	if n := strings.Count(stranger.log.String(), "peer=127.0.0.1:"); n != 1 {
		t.Errorf("told %d times: %s", n, fmt.Sprint(stranger.log))
	}
}
