package admin

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limits bound what those who reach the address can hold.
type Limits struct {
	Header     time.Duration // until a request's header is there
	Read       time.Duration // until all of a request is there; nothing has a body
	Write      time.Duration // until an answer is taken, profiles among them: those may take no longer
	Idle       time.Duration // a connection without a request
	PerAddress int           // connections of one address
}

// maxHeader is the most octets of a request's header.
const maxHeader = 16 << 10

// Default is how it is in production.
func Default() Limits {
	return Limits{Header: 5 * time.Second, Read: 10 * time.Second, Write: 3 * time.Minute, Idle: 2 * time.Minute, PerAddress: 64}
}

// Listen is l with the limit of connections.
func Listen(l net.Listener, limits Limits) net.Listener {
	return &listener{Listener: l, most: limits.PerAddress, open: map[netip.Addr]int{}}
}

// Server serves a handler to those who run the process.
func Server(h http.Handler, limits Limits, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: limits.Header, ReadTimeout: limits.Read, WriteTimeout: limits.Write, IdleTimeout: limits.Idle,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// listener closes connections at once of an address that has too many.
type listener struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Addr]int
}

// Accept gives the next connection that there is room for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		var from netip.Addr
		if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
			from = t.AddrPort().Addr().Unmap().WithZone("")
		}
		if l.take(from) {
			return &conn{Conn: c, of: l, from: from}, nil
		}
		_ = c.Close()
	}
}

func (l *listener) take(from netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from] >= l.most {
		return false
	}
	l.open[from]++
	return true
}

type conn struct {
	net.Conn
	of   *listener
	from netip.Addr
	once sync.Once
}

// Close may be called more than once.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		if c.of.open[c.from]--; c.of.open[c.from] == 0 {
			delete(c.of.open, c.from)
		}
	})
	return c.Conn.Close()
}
