package batch

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/pkg/reuseport"
)

// echo sends every packet back at once, but for those that begin with "later", which
// are left, and "drop".
type echo struct {
	name     string
	answered atomic.Int64
	began    atomic.Int64
	mu       sync.Mutex
	left     []Packet
}

func (e *echo) Worker() Worker { return &echoWorker{e} }

func (e *echo) Take(p Packet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left = append(e.left, p)
}

type echoWorker struct{ *echo }

func (w *echoWorker) Begin(packets int) { w.began.Add(int64(packets)) }
func (w *echoWorker) End()              {}

func (w *echoWorker) Answer(packet, reply []byte, _ netip.Addr) int {
	switch {
	case strings.HasPrefix(string(packet), "late"):
		return 0
	case strings.HasPrefix(string(packet), "drop"):
		return -1
	}
	w.answered.Add(1)
	return copy(reply, w.name+string(packet))
}

// base is the socket that is there before ours.
func base(t *testing.T, address string) net.PacketConn {
	t.Helper()
	c, err := reuseport.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func client(t *testing.T, to net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != want {
		t.Fatalf("got %q, %v; want %q", buf[:n], err, want)
	}
}

func TestAllPacketsComeToTheGroupAndNoneIsLost(t *testing.T) {
	first := base(t, "127.0.0.1:0")
	a, b := &echo{name: "a "}, &echo{name: "b "}
	g, err := Open(first.LocalAddr().String(), 3, a)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	clients := make([]net.Conn, 8)
	for i := range clients {
		clients[i] = client(t, first.LocalAddr())
	}
	round := func(want string) {
		t.Helper()
		for _, c := range clients {
			for range 20 {
				send(t, c, "hello")
			}
		}
		for _, c := range clients {
			for range 20 {
				expect(t, c, want)
			}
		}
	}
	round("a hello")
	for _, n := range []int{1, 5, 2} {
		if err := g.Resize(n); err != nil || g.Size() != n {
			t.Fatalf("%d sockets, %v; want %d", g.Size(), err, n)
		}
		round("a hello")
	}
	g.Use(b)
	before := a.began.Load()
	round("b hello")
	if a.began.Load() != before {
		t.Error("the handler before still got packets")
	}
	send(t, clients[0], "drop this")
	send(t, clients[0], "hello")
	expect(t, clients[0], "b hello")
}

// A packet that was left can be answered when its socket is gone.
func TestALateReplyLeavesByAnotherSocket(t *testing.T) {
	first := base(t, "127.0.0.1:0")
	e := &echo{}
	g, err := Open(first.LocalAddr().String(), 4, e)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	c := client(t, first.LocalAddr())
	const packets = 32
	for range packets {
		send(t, c, "later")
	}
	send(t, c, "now")
	expect(t, c, "now")
	if err := g.Resize(1); err != nil {
		t.Fatal(err)
	}
	var left []Packet
	for end := time.Now().Add(60 * time.Second); len(left) < packets; { // the socket that stays may still read
		if time.Now().After(end) {
			t.Fatalf("%d packets were left, want %d", len(left), packets)
		}
		e.mu.Lock()
		left = slices.Clone(e.left)
		e.mu.Unlock()
	}
	for _, p := range left {
		if p.Client.String() != c.LocalAddr().String() || p.Client.Unwrap().(*net.UDPAddr).String() != c.LocalAddr().String() {
			t.Errorf("it came from %v", p.Client)
		}
		if _, err := p.Client.Reply([]byte("at last")); err != nil {
			t.Fatal(err)
		}
		expect(t, c, "at last")
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := left[0].Client.Reply([]byte("too late")); err == nil {
		t.Error("a reply was sent when all sockets were closed")
	}
}

func TestWithoutTheGroupTheFirstSocketHasThePacketsAgain(t *testing.T) {
	first := base(t, "127.0.0.1:0")
	g, err := Open(first.LocalAddr().String(), 2, &echo{})
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, first.LocalAddr())
	send(t, c, "hello")
	expect(t, c, "hello")
	for _, leave := range []func() error{g.Yield, g.Close, g.Close} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		send(t, c, "back")
		buf := make([]byte, 16)
		if err := first.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, _, err := first.ReadFrom(buf); err != nil || string(buf[:n]) != "back" {
			t.Fatalf("the first socket read %q, %v", buf[:n], err)
		}
	}
}

func TestAnAddressThatCannotBeHadIsAnError(t *testing.T) {
	if g, err := Open("192.0.2.1:1", 1, &echo{}); err == nil {
		g.Close()
		t.Error("there are sockets on an address that is not ours")
	}
}
