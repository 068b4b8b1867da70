package cert

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// line is a way to etcd that can be cut.
type line struct {
	listener net.Listener
	mu       sync.Mutex
	down     bool
	open     map[net.Conn]bool
}

func newLine(t *testing.T) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	way := &line{listener: l, open: map[net.Conn]bool{}}
	t.Cleanup(func() {
		l.Close()
		way.cut(true)
	})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go way.join(client)
		}
	}()
	return way
}

func (l *line) endpoint() string { return "http://" + l.listener.Addr().String() }

func (l *line) join(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", strings.TrimPrefix(etcd.Endpoint(), "http://"))
	if err != nil {
		return
	}
	defer server.Close()
	l.mu.Lock()
	l.open[client], l.open[server] = true, true
	down := l.down
	l.mu.Unlock()
	if down {
		return
	}
	go func() {
		_, _ = io.Copy(server, client) // until one of them is closed
		server.Close()
	}()
	_, _ = io.Copy(client, server)
}

// cut closes what goes over the line, and what will, or lets it on.
func (l *line) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down = down; down {
		for c := range l.open {
			c.Close()
		}
		clear(l.open)
	}
}
