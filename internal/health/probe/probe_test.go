package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"signpost/internal/health/reach"
	"signpost/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var loopback = reach.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// patient is a time-out for attempts that end by themselves, however busy the machine is.
const patient = 10 * time.Second

func try(t *testing.T, c model.Check, target Target) model.Attempt {
	t.Helper()
	if c.Timeout == 0 {
		c.Interval, c.Timeout = time.Minute, patient
	}
	if !target.Addr.IsValid() {
		target.Addr, target.Rules = netip.MustParseAddr("127.0.0.1"), loopback
	}
	if target.Name == "" {
		target.Name = "www.example.org."
	}
	p, err := Make(c, target)
	if err != nil {
		t.Fatal(err)
	}
	return p.Try(t.Context())
}

func wants(t *testing.T, what string, got model.Attempt, want model.Reason) {
	t.Helper()
	if got.Reason != want {
		t.Errorf("%s: %v, wanted %v", what, got.Reason, want)
	}
}

// listen hands every connection to serve and closes it after.
func listen(t *testing.T, serve func(net.Conn)) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return portOf(l.Addr())
}

func portOf(a net.Addr) uint16 { return netip.MustParseAddrPort(a.String()).Port() }

// until waits for the far side to go away, as a server does that never answers.
func until(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func TestTCP(t *testing.T) {
	open := listen(t, func(net.Conn) {})
	got := try(t, model.Check{Kind: model.CheckTCP, Port: open}, Target{})
	wants(t, "a port that is listened on", got, model.Fine)
	if got.Took <= 0 {
		t.Errorf("it took %v", got.Took)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	wants(t, "a port that nobody listens on", try(t, model.Check{Kind: model.CheckTCP, Port: portOf(l.Addr())}, Target{}), model.Refused)
}

// TestNoConnectionInTime: the queue of a listener that nobody accepts from is full, so
// that nothing comes back.
func TestNoConnectionInTime(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	c := model.Check{Kind: model.CheckTCP, Port: uint16(sa.(*syscall.SockaddrInet4).Port), Timeout: 100 * time.Millisecond}
	for range 20 {
		if got := try(t, c, Target{}); got.Reason == model.NoConnection {
			if got.Took < c.Timeout {
				t.Errorf("it gave up after %v", got.Took)
			}
			return
		}
		conn, err := net.DialTimeout("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), c.Port).String(), 50*time.Millisecond)
		if err == nil {
			defer conn.Close()
		}
	}
	t.Error("20 connections were made to a listener that accepts none")
}

func TestAttemptsGoNowhereElse(t *testing.T) {
	came := make(chan struct{}, 1)
	port := listen(t, func(net.Conn) { came <- struct{}{} })
	c := model.Check{Kind: model.CheckTCP, Port: port}
	addr := netip.MustParseAddr("127.0.0.1")
	for name, r := range map[string]reach.Rules{
		"nothing is allowed":       {},
		"all of IPv4 is allowed":   {Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		"it is the operator's own": {Allow: loopback.Allow, Own: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
	} {
		for _, a := range []netip.Addr{addr, netip.AddrFrom16(addr.As16())} {
			wants(t, name, try(t, c, Target{Addr: a, Rules: r}), model.AddressNotAllowed)
		}
		for _, kind := range []model.CheckKind{model.CheckHTTP, model.CheckHTTPS, model.CheckGRPC, model.CheckDNS} {
			wants(t, name+", "+kind.String(), try(t, model.Check{Kind: kind, Port: port}, Target{Addr: addr, Rules: r}), model.AddressNotAllowed)
		}
	}
	select {
	case <-came:
		t.Error("something was sent to an address that is not allowed")
	default:
	}
	p, err := Make(c, Target{Name: "www.example.org.", Addr: addr, Rules: loopback})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.guard(t.Context(), "tcp4", "127.0.0.2:80", nil); !errors.Is(err, errNotAllowed) {
		t.Errorf("dialling an allowed address that is another than the target's: %v", err)
	}
}

// TestWhoseFaultItIs: what this machine lacks says nothing about the target.
func TestWhoseFaultItIs(t *testing.T) {
	p, err := Make(model.Check{Kind: model.CheckTCP, Port: 9}, Target{Name: "www.example.org.", Addr: netip.MustParseAddr("127.0.0.1"), Rules: loopback})
	if err != nil {
		t.Fatal(err)
	}
	lost, err := Make(model.Check{Kind: model.CheckTCP, Port: 9}, Target{Name: "www.example.org.", Addr: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	failed := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
	}
	for _, c := range []struct {
		name string
		p    *Probe
		err  error
		want model.Reason
	}{
		{"no files left", p, failed(syscall.EMFILE), model.CheckerInDifficulty},
		{"no ports left", p, failed(syscall.EADDRNOTAVAIL), model.CheckerInDifficulty},
		{"a firewall of its own", p, failed(syscall.EPERM), model.CheckerInDifficulty},
		{"what nobody thought of", p, failed(syscall.EPROTO), model.CheckerInDifficulty},
		{"a router knows no way, this machine does", p, failed(syscall.ENETUNREACH), model.Unreachable},
		{"a neighbour does not answer", p, failed(syscall.EHOSTUNREACH), model.Unreachable},
		{"this machine knows no way either", lost, failed(syscall.ENETUNREACH), model.NoRoute},
	} {
		if got := c.p.noConnection(c.err); got != c.want {
			t.Errorf("%s: %v, wanted %v", c.name, got, c.want)
		}
	}
	if got := overdue(model.NoAnswer, 3*time.Second+1, 2*time.Second); got != model.CheckerInDifficulty {
		t.Errorf("waking up half a time-out late: %v", got)
	}
	if got := overdue(model.NoAnswer, 3*time.Second, 2*time.Second); got != model.NoAnswer {
		t.Errorf("waking up a little late: %v", got)
	}
	if got := overdue(model.Fine, time.Minute, 2*time.Second); got != model.Fine {
		t.Errorf("a late success: %v", got)
	}
}

func TestAnAttemptThatIsCalledOffBlamesNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	port := listen(t, func(c net.Conn) { cancel(); until(c) })
	p, err := Make(model.Check{Kind: model.CheckHTTPS, Port: port, Interval: time.Minute, Timeout: patient},
		Target{Name: "www.example.org.", Addr: netip.MustParseAddr("127.0.0.1"), Rules: loopback})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "called off", p.Try(ctx), model.CheckerInDifficulty)
	ended, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	wants(t, "called off by a deadline that is not the check's", p.Try(ended), model.CheckerInDifficulty)
}

func TestHeartbeats(t *testing.T) {
	c := model.Check{Kind: model.CheckHeartbeat, Interval: 5 * time.Second, Timeout: 2 * time.Second}
	for _, row := range []struct {
		name string
		age  time.Duration
		seen bool
		want model.Reason
	}{
		{"just came", 0, true, model.Fine},
		{"late by the time-out", 7 * time.Second, true, model.Fine},
		{"later", 7*time.Second + 1, true, model.LateSignOfLife},
		{"never, the checker just began", 0, false, model.CheckerInDifficulty},
		{"never, as long as one may be late", 7 * time.Second, false, model.CheckerInDifficulty},
		{"never", 8 * time.Second, false, model.NoSignOfLife},
	} {
		wants(t, row.name, try(t, c, Target{Beat: func() (time.Duration, bool) { return row.age, row.seen }}), row.want)
	}
	if _, err := Make(c, Target{Name: "www.example.org."}); err == nil {
		t.Error("a heartbeat can be made that nobody feeds")
	}
}

func TestKeys(t *testing.T) {
	base := model.Check{Kind: model.CheckHTTP, Port: 8080}
	at := Target{Name: "www.example.org.", Addr: netip.MustParseAddr("192.0.2.1")}
	key := func(c model.Check, to Target) string {
		p, err := Make(c, to)
		if err != nil {
			t.Fatal(err)
		}
		return p.Key()
	}
	same := key(base, at)
	for name, c := range map[string]model.Check{
		"defaults written out":    base.WithDefaults(),
		"judged elsewhere":        {Kind: model.CheckHTTP, Port: 8080, Sites: []string{"north"}},
		"judged for another":      {Kind: model.CheckHTTP, Port: 8080, Owner: "somebody", ModRevision: 7},
		"judged in another way":   {Kind: model.CheckHTTP, Port: 8080, Fall: 5, Rise: 1},
		"the same host, in words": {Kind: model.CheckHTTP, Port: 8080, Host: "www.example.org"},
	} {
		if key(c, at) != same {
			t.Errorf("%s: another key", name)
		}
	}
	seen := map[string]string{same: "the first"}
	for name, c := range map[string]struct {
		check model.Check
		to    Target
	}{
		"another port":     {model.Check{Kind: model.CheckHTTP}, at},
		"another path":     {model.Check{Kind: model.CheckHTTP, Port: 8080, Path: "/healthz"}, at},
		"another text":     {model.Check{Kind: model.CheckHTTP, Port: 8080, Text: "ok"}, at},
		"another kind":     {model.Check{Kind: model.CheckTCP, Port: 8080}, at},
		"another interval": {model.Check{Kind: model.CheckHTTP, Port: 8080, Interval: time.Minute}, at},
		"another host":     {base, Target{Name: "mail.example.org.", Addr: at.Addr}},
		"another address":  {base, Target{Name: at.Name, Addr: netip.MustParseAddr("192.0.2.2")}},
		"allowed there":    {base, Target{Name: at.Name, Addr: at.Addr, Rules: reach.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}},
	} {
		k := key(c.check, c.to)
		if seen[k] != "" {
			t.Errorf("%s has the key of %s", name, seen[k])
		}
		seen[k] = name
	}
	beat := Target{Name: at.Name, Beat: func() (time.Duration, bool) { return 0, true }}
	if k := key(model.Check{Kind: model.CheckHeartbeat}, beat); k != "" {
		t.Errorf("a heartbeat shares %q", k)
	}
}

func TestMakeRefuses(t *testing.T) {
	for name, c := range map[string]model.Check{
		"path": {Kind: model.CheckHTTP, Path: "/%zz"},
		"port": {Kind: model.CheckTCP},
	} {
		_, err := Make(c, Target{Name: "www.example.org.", Addr: netip.MustParseAddr("192.0.2.1")})
		var e *model.Error
		if !errors.As(err, &e) || e.Field != name || !strings.Contains(err.Error(), ";") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
