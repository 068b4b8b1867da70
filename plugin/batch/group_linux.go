package batch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the further sockets on one address. Its methods but Addr are for one
// goroutine at a time.
type Group struct {
	address  string
	wildcard bool // the address a packet was sent to comes with it
	yielded  bool // the sockets are for replies alone
	handler  atomic.Pointer[Handler]

	mu      sync.RWMutex // of sockets, for reply
	sockets []*socket
}

// Open opens n sockets on an address that another socket of this process has bound
// with SO_REUSEPORT already, as the first of its group, and steers all packets to
// them. Give the address as that socket was given it, so that family and wildcards are
// the same. Errors are of package net.
func Open(address string, n int, h Handler) (*Group, error) {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	g := &Group{address: address, wildcard: len(to.IP) == 0 || to.IP.IsUnspecified()}
	g.Use(h)
	if err := g.Resize(n); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// Use gives the packets that come from now on to another handler. When it returns, the
// one before has all that it will get.
func (g *Group) Use(h Handler) {
	before := g.handler.Swap(&h)
	for _, s := range g.sockets {
		for s.with.Load() == before && before != nil {
			runtime.Gosched() // a batch takes microseconds
		}
	}
}

// Resize makes the number of sockets n, without losing what waits in those that go.
func (g *Group) Resize(n int) error {
	for len(g.sockets) < n {
		s, err := g.open()
		if err != nil {
			return err
		}
		g.mu.Lock()
		g.sockets = append(g.sockets, s)
		g.mu.Unlock()
		s.start()
	}
	if n == len(g.sockets) {
		return g.steer(n)
	}
	return g.shrink(n)
}

// Size is the number of sockets.
func (g *Group) Size() int { return len(g.sockets) }

// Yield leaves the address to the socket that was there before. When it returns, what
// had come to ours was handled; they stay open for late replies until Close.
func (g *Group) Yield() error {
	if len(g.sockets) == 0 || g.yielded {
		return nil
	}
	g.yielded = true
	err := g.steer(0)
	drain(g.sockets)
	return err
}

// Close is Yield, and closes the sockets. The Group is of no use afterwards.
func (g *Group) Close() error { return errors.Join(g.Yield(), g.drop(0)) }

// shrink closes the last sockets: closing any other would move the last one into its
// place, under a filter that counts on places.
func (g *Group) shrink(n int) error {
	err := g.steer(n)
	drain(g.sockets[n:])
	return errors.Join(err, g.drop(n))
}

// drop closes sockets that are drained.
func (g *Group) drop(n int) error {
	gone := slices.Clone(g.sockets[n:])
	g.mu.Lock()
	g.sockets = g.sockets[:n]
	g.mu.Unlock()
	var err error
	for _, s := range gone {
		err = errors.Join(err, s.conn.Close())
	}
	return err
}

// steer has the kernel give every packet for the address to one of the sockets 1 to n
// of the group, at random; to number 0, which is not ours, when n is 0. The filter is
// the group's and asks no more than that any of its sockets sets it.
func (g *Group) steer(n int) error {
	const fromRandom = 0xfffff000 + 56 // SKF_AD_OFF + SKF_AD_RANDOM
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	if n > 0 {
		filter = []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: fromRandom},
			{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(n)},
			{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: 1},
			{Code: unix.BPF_RET | unix.BPF_A},
		}
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := control(g.sockets[0].raw, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &program)
	})
	if err != nil {
		return fmt.Errorf("steer packets for %s to the batched sockets: %w", g.address, err)
	}
	return nil
}

// drain returns when all that had come to these sockets was handled, and nothing more
// will. No more may be steered there. They are the last of the group: one that is turned
// away may leave it.
func drain(sockets []*socket) {
	for _, s := range slices.Backward(sockets) {
		s.turnAway()
	}
	settle()
	for _, s := range sockets {
		s.leave()
	}
	for _, s := range sockets {
		<-s.done
	}
}

// grace is how long a packet is on its way to a socket, as a rule.
const grace = 10 * time.Millisecond

// settle returns when every packet is in the queue of its socket that was steered there
// by the filter before. The kernel chooses the socket and queues the packet in one
// section of RCU, however long its processor is held up in between, and membarrier(2)
// waits for all of these.
func settle() {
	const global = 1 // MEMBARRIER_CMD_GLOBAL
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		time.Sleep(grace) // not allowed here, or there are isolated processors
	}
}

func control(raw syscall.RawConn, do func(fd int) error) error {
	var err error
	if failed := raw.Control(func(fd uintptr) { err = do(int(fd)) }); failed != nil {
		return failed
	}
	return err
}

// open is one more socket of the group.
func (g *Group) open() (*socket, error) {
	// All is set before it is bound: packets come from then on.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return control(c, g.options) }}
	pc, err := lc.ListenPacket(context.Background(), "udp", g.address) // it does not wait for anything
	if err != nil {
		return nil, err
	}
	s := &socket{group: g, conn: pc.(*net.UDPConn), done: make(chan struct{})}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return s, nil
}

// options has a socket share its address and, where that stands for several, say to
// which of them a packet came.
func (g *Group) options(fd int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	if err != nil || !g.wildcard {
		return err
	}
	switch domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); {
	case err != nil:
		return err
	case domain == unix.AF_INET6:
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
}

// reply uses any socket, for all have the same address.
func (g *Group) reply(b, local []byte, to netip.AddrPort) (int, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if len(g.sockets) == 0 {
		return 0, net.ErrClosed
	}
	n, _, err := g.sockets[0].conn.WriteMsgUDPAddrPort(b, local, to)
	return n, err
}
