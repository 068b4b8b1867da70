package store

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is a line to etcd that can be cut or frozen.
type proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	moved    *sync.Cond
	frozen   bool
	cut      bool
	conns    map[net.Conn]bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	p.moved = sync.NewCond(&p.mu)
	t.Cleanup(func() {
		l.Close()
		p.set(false, true)
	})
	go p.accept()
	return p
}

func (p *proxy) endpoint() string { return "http://" + p.listener.Addr().String() }

// set changes what becomes of the line. A cut one closes its connections and any new
// one; a frozen one keeps them and moves nothing, as when packets are dropped.
func (p *proxy) set(frozen, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen, p.cut = frozen, cut
	if cut {
		for c := range p.conns {
			c.Close()
		}
		clear(p.conns)
	}
	p.moved.Broadcast()
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(client)
	}
}

// serve opens the server's side only when there is something to be moved: an etcd does
// not stop while a connection has not said what it speaks.
func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if !p.add(client) {
		return
	}
	first := make([]byte, 32<<10)
	n, err := client.Read(first)
	if err != nil || !p.wait() {
		return
	}
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.add(server) {
		return
	}
	if _, err := server.Write(first[:n]); err != nil {
		return
	}
	go p.pump(server, client)
	p.pump(client, server)
}

// wait returns when the line is not frozen; false: it is cut.
func (p *proxy) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.frozen && !p.cut {
		p.moved.Wait()
	}
	return !p.cut
}

func (p *proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.conns[c] = true
	}
	return !p.cut
}

func (p *proxy) pump(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.wait()
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			if err != io.EOF {
				from.Close()
			}
			return
		}
	}
}
