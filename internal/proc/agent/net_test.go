//go:build linux

package agent

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"signpost/internal/agent/local/netnstest"
	"signpost/internal/proc/control/controltest"
)

const host = "app.vo.example.org"

// lines is a log that is read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *lines) text() string                { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// running is an agent that runs in this process.
type running struct {
	lines
	t      *testing.T
	stop   context.CancelFunc
	ended  chan error
	secret string
}

// run starts an agent with flags, and a secret in a file.
func run(t *testing.T, secret string, args ...string) *running {
	t.Helper()
	r := &running{t: t, ended: make(chan error, 1), secret: secret}
	file := write(t, filepath.Join(t.TempDir(), "secret"), secret, 0o600)
	none := func(string) string { return "" }
	c, err := load(t, "", nil, append(slices.Clone(args), "--secret-file="+file)...)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(c, none, slog.New(slog.NewTextHandler(&r.lines, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.ended <- a.Run(ctx) }()
	t.Cleanup(r.end)
	return r
}

// end ends it as SIGTERM does and waits for it; the log never shows the secret.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.ended:
		if err != nil {
			r.t.Error(err)
		}
		r.ended <- nil
	case <-time.After(patience):
		r.t.Error("it does not end")
	}
	if strings.Contains(r.text(), r.secret) {
		r.t.Error("the secret is in the log")
	}
	if r.t.Failed() {
		r.t.Log(r.text())
	}
}

const patience = 30 * time.Second

// until waits for a state.
func until(t *testing.T, what, want string, ask func() string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		got := ask()
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q, want %q", what, got, want)
		}
	}
}

// The name follows the machine's interfaces: what is added and taken away there is told
// within a second or so, long before the next look.
func TestTheNameFollowsTheInterfaces(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	ip := func(args string) { t.Helper(); netnstest.IP(t, args) }
	netnstest.Link(t, "up0")
	netnstest.Link(t, "up1")
	ip("addr add 192.0.2.1/24 dev up0")
	ip("route add default via 192.0.2.254")
	s := controltest.Start(t, 1)
	has := func() string { return s.Addresses(host) }
	r := run(t, s.Host(host), "--host="+host, "--server="+s.URLs()[0], "--poll=1h")
	until(t, "at the start", "192.0.2.1", has)
	ip("-6 addr add 2001:db8::1/64 dev up0 nodad")
	ip("-6 route add default via 2001:db8::fe dev up0")
	until(t, "with IPv6", "192.0.2.1 2001:db8::1", has)
	ip("addr add 192.0.2.9/24 dev up0")
	ip("addr del 192.0.2.1/24 dev up0") // the kernel takes 192.0.2.9, its secondary, along
	ip("addr add 192.0.2.9/24 dev up0")
	ip("route replace default via 192.0.2.254")
	until(t, "another IPv4 address", "192.0.2.9 2001:db8::1", has)
	ip("-6 addr del 2001:db8::1/64 dev up0")
	until(t, "IPv6 is gone", "192.0.2.9", has)
	ip("addr add 198.51.100.1/24 dev up1")
	ip("route replace default via 198.51.100.254")
	until(t, "another way out", "198.51.100.1", has)
	ip("link set up1 down")
	until(t, "no way out", "told before stay", func() string {
		if strings.Contains(r.text(), "those told before stay") {
			return "told before stay"
		}
		return ""
	})
	r.end()
	if got := has(); got != "198.51.100.1" {
		t.Errorf("at the end: %s", got)
	}
}

func TestPrivateAddressesAndAnInterfaceByName(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	netnstest.Link(t, "up0")
	netnstest.IP(t, "addr add 192.0.2.1/24 dev up0")
	netnstest.IP(t, "addr add 10.0.0.1/24 dev up0")
	s := controltest.Start(t, 1)
	secret := s.Host(host)
	r := run(t, secret, "--host="+host, "--server="+s.URLs()[0], "--interface=up0")
	until(t, "public", "192.0.2.1", func() string { return s.Addresses(host) })
	r.end()
	run(t, secret, "--host="+host, "--server="+s.URLs()[0], "--interface=up0", "--private")
	until(t, "private, too", "10.0.0.1 192.0.2.1", func() string { return s.Addresses(host) })
}
