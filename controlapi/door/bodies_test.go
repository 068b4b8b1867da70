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
}

// Behind a listed proxy each client has its own bound; those of which the proxy does not say
// who they are share a greater one, whatever they say themselves.
func TestBodiesOfClientsOfAProxyAreBounded(t *testing.T) {
	const most = 100
	began, read := make(chan bool), make(chan error, 64) // those that are kept end with the test
	o := open(t, Limits{Bodies: most}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadFull(r.Body, make([]byte, 60))
		began <- true
		if err == nil {
			_, err = io.ReadAll(r.Body)
		}
		read <- err
	}), "127.0.0.1")
	half := func(headers string) net.Conn {
		c := o.dial()
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70\r\n"+headers+"\r\n"+strings.Repeat("x", 60))
		return c
	}
	kept := func(what string, headers string) net.Conn {
		t.Helper()
		c := half(headers)
		<-began
		select {
		case err := <-read:
			t.Fatalf("%s: %v", what, err)
		default:
		}
		return c
	}
	cut := func(what string, headers string) {
		t.Helper()
		half(headers)
		<-began
		select {
		case err := <-read:
			if !errors.Is(err, ErrBodies) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: it is waited for", what)
		}
	}
	kept("one client", "X-Forwarded-For: 198.51.100.1\r\n")
	cut("the same", "X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n")
	cut("the same in the other header", "Forwarded: for=198.51.100.1\r\n")
	kept("another", "X-Forwarded-For: 198.51.100.2\r\n")
	kept("one in IPv6", "X-Forwarded-For: 2001:db8::1\r\n")
	cut("its neighbour", "X-Forwarded-For: 2001:db8::2\r\n")
	for i, headers := range []string{
		"", "X-Forwarded-For: unknown\r\n", "X-Forwarded-For: 192.0.2.8\r\nForwarded: for=192.0.2.9\r\n", "X-Forwarded-For: 127.0.0.1\r\n",
		"Forwarded: for=_hidden\r\n", "X-Forwarded-For: ,\r\n",
	} {
		kept("of nobody "+string(rune('a'+i)), headers) // 360 octets of 400
	}
	cut("of nobody", "")
	kept("a third", "X-Forwarded-For: 198.51.100.3\r\n")
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
