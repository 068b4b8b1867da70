package admin

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const patience = 60 * time.Second // bounds a failing test

// serve serves metrics on a real socket, as a process does.
func serve(t *testing.T, l Limits, h http.Handler) (dial func() net.Conn) {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Server(h, l, slog.New(slog.DiscardHandler))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(Listen(tcp, l)) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		return c
	}
}

func metrics() http.Handler {
	return Handler(prometheus.NewRegistry(), nil, "", slog.New(slog.DiscardHandler))
}

// ended waits for the end of what the server sends.
func ended(t *testing.T, c net.Conn, what string) string {
	t.Helper()
	raw, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection stays", what)
	}
	return string(raw)
}

// Who reaches the address holds nothing for long: each limit is met by itself.
func TestWhatOneCanHold(t *testing.T) {
	const soon, never = 50 * time.Millisecond, time.Hour
	for what, c := range map[string]struct {
		limits Limits
		send   string
	}{
		"half a header":      {Limits{Header: soon, Read: never, Write: never, Idle: never, PerAddress: 9}, "GET /metrics HTTP/1.1\r\nHost: x\r\n"},
		"no word":            {Limits{Header: soon, Read: never, Write: never, Idle: never, PerAddress: 9}, ""},
		"a body that stops":  {Limits{Header: never, Read: soon, Write: never, Idle: never, PerAddress: 9}, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"},
		"nothing any more":   {Limits{Header: never, Read: never, Write: never, Idle: soon, PerAddress: 9}, "GET /readyz2 HTTP/1.1\r\nHost: x\r\n\r\n"},
		"a header too large": {Limits{Header: never, Read: never, Write: never, Idle: never, PerAddress: 9}, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n"},
	} {
		conn := serve(t, c.limits, metrics())()
		io.WriteString(conn, c.send)
		got := ended(t, conn, what)
		if what == "a header too large" && !strings.HasPrefix(got, "HTTP/1.1 431 ") {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// An answer that nobody takes is given up.
func TestAnAnswerThatIsNotTakenIsGivenUp(t *testing.T) {
	wrote := make(chan error, 1)
	conn := serve(t, Limits{Header: time.Hour, Read: time.Hour, Write: 50 * time.Millisecond, Idle: time.Hour, PerAddress: 9}, http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for block := make([]byte, 1<<20); err == nil; {
				_, err = w.Write(block)
			}
			wrote <- err
		}))()
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-wrote:
		t.Log(err)
	case <-time.After(patience):
		t.Error("it is written still")
	}
}

// One address has so many connections; others that come are closed at once, and there is
// room again when one ends.
func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	dial := serve(t, Limits{Header: time.Hour, Read: time.Hour, Write: time.Hour, Idle: time.Hour, PerAddress: 3}, metrics())
	ask := func(c net.Conn) (int, error) {
		io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	var kept []net.Conn
	for range 3 {
		c := dial()
		if code, err := ask(c); code != 200 || err != nil {
			t.Fatal(code, err)
		}
		kept = append(kept, c)
	}
	for range 3 {
		if code, err := ask(dial()); err == nil {
			t.Errorf("one too many is answered: %d", code)
		}
	}
	kept[0].Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // until the end is seen there
		if code, err := ask(dial()); err == nil && code == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("there is no room again")
		}
	}
	if code, err := ask(kept[1]); code != 200 || err != nil {
		t.Errorf("one that was there: %d, %v", code, err)
	}
}

// What is in production has a limit everywhere.
func TestTheDefaultHasEveryLimit(t *testing.T) {
	l := Default()
	if l.Header <= 0 || l.Read <= 0 || l.Write <= 0 || l.Idle <= 0 || l.PerAddress <= 0 {
		t.Errorf("%+v", l)
	}
	s := Server(nil, l, slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout != l.Header || s.ReadTimeout != l.Read || s.WriteTimeout != l.Write || s.IdleTimeout != l.Idle || s.MaxHeaderBytes != maxHeader {
		t.Errorf("%+v", s)
	}
}
