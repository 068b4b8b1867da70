package signpost

import (
	"context"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"

	"signpost/plugin/batch"
)

// rest serves what is no plain question just as CoreDNS serves what comes to its own
// socket: a dns.Server reads packets from it, and its handler is CoreDNS's.
type rest struct {
	local  net.Addr
	queue  chan batch.Packet
	closed chan struct{}
	once   sync.Once
	server *dns.Server
}

// restQueue is how many packets may wait; who finds it full is not answered, as in a
// full buffer of a socket.
const restQueue = 1024

// serveRest starts serving packets that came to an address by s.
func serveRest(s *dnsserver.Server, local net.Addr) *rest {
	r := &rest{local: local, queue: make(chan batch.Packet, restQueue), closed: make(chan struct{})}
	// As dnsserver.Server.ServePacket has it.
	r.server = &dns.Server{PacketConn: r, Net: "udp", TsigSecret: s.TsigSecret, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		ctx := context.WithValue(context.Background(), dnsserver.Key{}, s)
		ctx = context.WithValue(ctx, dnsserver.LoopKey{}, 0)
		s.ServeDNS(ctx, w, m)
	})}
	started := make(chan struct{})
	r.server.NotifyStartedFunc = func() { close(started) }
	go func() { _ = r.server.ActivateAndServe() }() // it ends with stop
	<-started
	return r
}

// stop ends serving when what was taken is answered, or ctx is done.
func (r *rest) stop(ctx context.Context) {
	for len(r.queue) > 0 && ctx.Err() == nil {
		runtime.Gosched() // each is only handed to a goroutine
	}
	_ = r.server.ShutdownContext(ctx) // the error is ctx's
}

// take queues a packet.
func (r *rest) take(p batch.Packet) {
	select {
	case r.queue <- p:
	default:
	}
}

// ReadFrom implements net.PacketConn.
func (r *rest) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-r.queue:
		return copy(b, p.Data), p.Client, nil
	case <-r.closed:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo implements net.PacketConn, for addresses that ReadFrom gave.
func (r *rest) WriteTo(b []byte, to net.Addr) (int, error) { return to.(*batch.Client).Reply(b) }

// Close implements net.PacketConn.
func (r *rest) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// LocalAddr implements net.PacketConn.
func (r *rest) LocalAddr() net.Addr { return r.local }

// SetReadDeadline implements net.PacketConn: one in the past ends reading, as
// dns.Server has it at its end; there is no other.
func (r *rest) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && t.Before(time.Now()) {
		return r.Close()
	}
	return nil
}

// SetWriteDeadline implements net.PacketConn; writing does not wait.
func (r *rest) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.PacketConn.
func (r *rest) SetDeadline(t time.Time) error { return r.SetReadDeadline(t) }
