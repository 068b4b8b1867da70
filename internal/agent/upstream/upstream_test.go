package upstream_test

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/access"
	"signpost/internal/agent/upstream"
	"signpost/internal/model"
	"signpost/internal/proc/control/controltest"
	"signpost/internal/remote"
)

// machine is who calls, and what it logs.
type machine struct {
	*upstream.Upstream
	log bytes.Buffer
}

func newMachine(t *testing.T, host, endpoint, secret string, urls ...string) *machine {
	t.Helper()
	m := &machine{}
	c := upstream.Config{Host: host, Endpoint: endpoint, Secret: func() (string, error) { return secret, nil }, Log: slog.New(slog.NewTextHandler(&m.log, nil))}
	for _, u := range urls {
		at, err := remote.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		c.Servers = append(c.Servers, at)
	}
	var err error
	if m.Upstream, err = upstream.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// set sets one address and says how long that took.
func (m *machine) set(t *testing.T, address string) (time.Duration, error) {
	t.Helper()
	begun := time.Now()
	err := m.SetAddresses(t.Context(), []netip.Addr{netip.MustParseAddr(address)}, false, false)
	return time.Since(begun), err
}

const host = "app.vo.example.org"

// hole is a server that takes connections and never says anything.
func hole(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

// A call is taken by another control service when one is killed, silent, or something
// else, within seconds; then it stays there.
func TestAnotherServiceTakesTheCall(t *testing.T) {
	s := controltest.Start(t, 2)
	secret := s.Host(host)
	urls := s.URLs()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	for name, first := range map[string]string{"nobody listens": nobody, "it says nothing": hole(t), "something else": other.URL} {
		m := newMachine(t, host, "", secret, first, urls[1])
		took, err := m.set(t, "192.0.2.1")
		if err != nil || took > upstream.CallTimeout+2*time.Second {
			t.Errorf("%s: %v after %s", name, err, took)
		}
		if took, err := m.set(t, "192.0.2.2"); err != nil || took > upstream.CallTimeout-time.Second {
			t.Errorf("%s, again: %v after %s: it does not stay", name, err, took)
		}
		if got := s.Addresses(host); got != "192.0.2.2" {
			t.Errorf("%s: %s", name, got)
		}
		if n := strings.Count(m.log.String(), "speaking to another control service"); n != 1 || strings.Contains(m.log.String(), secret) {
			t.Errorf("%s: logged %d times\n%s", name, n, m.log.String())
		}
	}
	m := newMachine(t, host, "", secret, urls...)
	if _, err := m.set(t, "192.0.2.3"); err != nil {
		t.Fatal(err)
	}
	s.End(0)
	if took, err := m.set(t, "192.0.2.4"); err != nil || took > upstream.CallTimeout+2*time.Second || s.Addresses(host) != "192.0.2.4" {
		t.Errorf("killed: %v after %s", err, took)
	}
}

// With none there an error passes and names each; when one is back it is found without a
// restart.
func TestNoneIsThereUntilOneIsBack(t *testing.T) {
	s := controltest.Start(t, 1)
	secret := s.Host(host)
	url := s.URLs()[0]
	s.End(0)
	m := newMachine(t, host, "", secret, url, hole(t))
	took, err := m.set(t, "192.0.2.1")
	if model.KindOf(err) != model.Unavailable || !strings.Contains(err.Error(), url) || !strings.Contains(err.Error(), "refused") || took > 2*upstream.CallTimeout+time.Second {
		t.Fatalf("%v after %s", err, took)
	}
	s.Another(strings.TrimPrefix(url, "http://"))
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err := m.set(t, "192.0.2.1"); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// A refusal is one wherever it comes from: it is told as the service says it, and no other
// service is asked.
func TestARefusalIsNotAskedAgainElsewhere(t *testing.T) {
	s := controltest.Start(t, 1)
	s.Host(host)
	unasked := hole(t)
	for _, tt := range []struct {
		host, secret, address string
		kind                  model.Kind
		text                  string
	}{
		{host, access.NewHostSecret(), "192.0.2.1", model.Unauthenticated, "authenticate: "},
		{"none.vo.example.org", access.NewHostSecret(), "192.0.2.1", model.Unauthenticated, "authenticate: "},
		{"b.vo.example.org", "", "127.0.0.1", model.Invalid, "addresses[0]: "},
	} {
		if tt.secret == "" {
			tt.secret = s.Host(tt.host)
		}
		m := newMachine(t, tt.host, "", tt.secret, s.URLs()[0], unasked)
		took, err := m.set(t, tt.address)
		if model.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.text) || took > upstream.CallTimeout-time.Second || strings.Contains(err.Error(), tt.secret) {
			t.Errorf("%s: %v after %s", tt.host, err, took)
		}
	}
}

func TestTheServiceTellsWhereCallsComeFrom(t *testing.T) {
	s := controltest.Start(t, 1)
	at, err := newMachine(t, host, "", s.Host(host), s.URLs()...).Source(t.Context())
	if err != nil || at != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("%v, %v", at, err)
	}
}

func TestASecretIsNotSentInTheClear(t *testing.T) {
	at, err := remote.Parse("http://192.0.2.1:8080")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upstream.New(upstream.Config{Servers: []remote.Address{at}}); model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), "in the clear") {
		t.Error(err)
	}
}

// A connection that stands and carries nothing any more, as after a move to another network,
// is replaced after one call.
func TestADeadConnectionIsReplaced(t *testing.T) {
	s := controltest.Start(t, 1)
	secret := s.Host(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var dead atomic.Bool // those of before are
	var carrying sync.WaitGroup
	carry := func(to, from net.Conn, first bool) {
		defer to.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if first && dead.Load() {
				continue
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
	carrying.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(s.URLs()[0], "http://"))
			if err != nil {
				in.Close()
				continue
			}
			first := !dead.Load()
			carrying.Go(func() { carry(out, in, first) })
			carrying.Go(func() { carry(in, out, first) })
		}
	})
	t.Cleanup(func() { l.Close(); carrying.Wait() })
	m := newMachine(t, host, "", secret, "http://"+l.Addr().String())
	if _, err := m.set(t, "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	dead.Store(true)
	if took, err := m.set(t, "192.0.2.2"); model.KindOf(err) != model.Unavailable || took < upstream.CallTimeout {
		t.Errorf("%v after %s", err, took)
	}
	if took, err := m.set(t, "192.0.2.2"); err != nil || took > upstream.CallTimeout-time.Second {
		t.Errorf("the next call: %v after %s", err, took)
	}
}
