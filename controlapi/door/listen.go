package door

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Listen is l with the limits that are of connections. TLS comes above it.
func (d *Door) Listen(l net.Listener) net.Listener { return &listener{l, d} }

type listener struct {
	net.Listener
	door *Door
}

// Accept gives the next connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	d := l.door
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var from peer
		limited := false
		if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			from, limited = d.peerOf(t.AddrPort().Addr())
		}
		if !d.peers.take(from, limited, d.limits.PerAddress) {
			d.refused.Inc()
			d.sayRefused.Do(func() {
				d.log.Warn("connections of one address are refused, there are too many; a proxy belongs into trusted-proxies",
					"peer", from.String(), "limit", d.limits.PerAddress)
			})
			c.Close()
			continue
		}
		d.open.Inc()
		return &conn{Conn: c, door: d, from: from}, nil
	}
}

// peer is whose connections are counted together: whoever has one IPv6 address has its
// /64.
type peer = netip.Prefix

func (d *Door) peerOf(addr netip.Addr) (p peer, limited bool) {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked(), !d.proxies.Contain(addr)
}

// peers counts open connections.
type peers struct {
	mu   sync.Mutex
	open map[peer]int
}

func (p *peers) take(from peer, limited bool, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if limited && most > 0 && p.open[from] >= most {
		return false
	}
	p.open[from]++
	return true
}

func (p *peers) give(from peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[from]--; p.open[from] == 0 {
		delete(p.open, from)
	}
}

// conn is one that ends when its peer takes nothing.
type conn struct {
	net.Conn
	door *Door
	from peer
	once sync.Once
}

// piece is how much of a write must be taken within the limit: a slow reader of a large
// answer is not one that has stopped.
const piece = 64 << 10

func (c *conn) Write(b []byte) (n int, err error) {
	for first := true; first || len(b) > 0; first = false {
		if c.door.limits.Stalled > 0 {
			if err := c.SetWriteDeadline(time.Now().Add(c.door.limits.Stalled)); err != nil {
				return n, err
			}
		}
		some := b[:min(len(b), piece)]
		m, err := c.Conn.Write(some)
		n += m
		if err != nil {
			return n, err
		}
		b = b[len(some):]
	}
	return n, nil
}

// Close may be called more than once.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.door.peers.give(c.from)
		c.door.open.Dec()
	})
	return c.Conn.Close()
}
