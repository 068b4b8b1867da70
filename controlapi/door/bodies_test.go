package door

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Nobody needs a credential to send a body, so what one address may have us keep of all is
// bounded, and is there again when calls have ended.
func TestBodiesOfOneAddressAreBounded(t *testing.T) {
	const most = 100
	read := make(chan error)
	count := func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		read <- err
	}
	half := func(o *house) net.Conn {
		c := o.dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70\r\n\r\n"+strings.Repeat("x", 60))
		return c
	}
	ended := func(what string, want error) {
		t.Helper()
		select {
		case err := <-read:
			if !errors.Is(err, want) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: it is waited for", what)
		}
	}
	o := open(t, Limits{Bodies: most}, http.HandlerFunc(count))
	kept := func() (all int) {
		o.door.bodies.mu.Lock()
		defer o.door.bodies.mu.Unlock()
		for _, n := range o.door.bodies.kept {
			all += n
		}
		return all
	}
	first := half(o)
	for deadline := time.Now().Add(patience); kept() != 60; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d octets are kept", kept())
		}
	}
	half(o)
	ended("a second one", ErrBodies)
	io.WriteString(first, strings.Repeat("x", 10))
	ended("the first, which is there", nil)
	second := half(o)
	io.WriteString(second, strings.Repeat("x", 10))
	ended("another, after it", nil)
	for deadline := time.Now().Add(patience); kept() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d octets are kept of calls that have ended", kept())
		}
	}
	if n := o.value("signpost_http_bodies_refused_total"); n < 1 || !strings.Contains(o.log.String(), "127.0.0.1/32") {
		t.Errorf("%f are counted: %s", n, o.log)
	}
	proxy := open(t, Limits{Bodies: most}, http.HandlerFunc(count), "127.0.0.1")
	a, b := half(proxy), half(proxy)
	for _, c := range []net.Conn{a, b} {
		io.WriteString(c, strings.Repeat("x", 10))
		ended("of a listed proxy", nil)
	}
}

// One that is worked on as it comes may be of any size.
func TestALongBodyIsNotKept(t *testing.T) {
	var got int64
	o := open(t, Limits{Bodies: mostKept + 1000}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = io.Copy(io.Discard, r.Body)
	}))
	resp, err := http.Post("http://"+o.addr, "", strings.NewReader(strings.Repeat("x", 3*mostKept)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got != 3*mostKept {
		t.Errorf("%d octets came", got)
	}
}
