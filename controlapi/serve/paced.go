package serve

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
)

// mostAhead is how many octets of a gRPC request may be read that its method has not
// taken. The largest message fits, or a method would wait for one that is not read.
const mostAhead = 2 * (maxBody + 64<<10)

// paced is the body of a gRPC request. Behind an http.Handler gRPC reads a body as it
// comes and keeps it, however long the method takes: there is no flow control. This
// one is read no further ahead of the method than mostAhead; then HTTP/2 holds the
// client back.
type paced struct {
	io.ReadCloser
	rest   func() // is told when nothing is to be read for a while; may be nil
	mu     sync.Mutex
	moved  sync.Cond
	ahead  int   // octets that were read and not taken
	sizes  []int // of the whole messages in them, in turn
	head   [5]byte
	got    int // octets of head
	left   int // octets of the message after head that were not read
	closed bool
}

type pacedKey struct{}

// pace gives a request with a paced body. Whoever takes a message tells bodyOf.
func pace(r *http.Request, rest func()) *http.Request {
	p := &paced{ReadCloser: r.Body, rest: rest}
	p.moved.L = &p.mu
	r = r.WithContext(context.WithValue(r.Context(), pacedKey{}, p))
	r.Body = p
	return r
}

// bodyOf is nil for a call that did not come by way of pace.
func bodyOf(ctx context.Context) *paced {
	p, _ := ctx.Value(pacedKey{}).(*paced)
	return p
}

func (p *paced) Read(b []byte) (int, error) {
	p.mu.Lock()
	if p.ahead >= mostAhead && p.rest != nil {
		p.rest()
	}
	for p.ahead >= mostAhead && !p.closed {
		p.moved.Wait()
	}
	p.mu.Unlock()
	n, err := p.ReadCloser.Read(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead += n
	p.countLocked(b[:n])
	return n, err
}

// countLocked finds where messages end. Before each stand an octet that says whether
// it is compressed and four with its length.
func (p *paced) countLocked(b []byte) {
	for {
		n := copy(p.head[p.got:], b)
		b = b[n:]
		if p.got += n; p.got < len(p.head) {
			return
		}
		if n > 0 {
			p.left = int(binary.BigEndian.Uint32(p.head[1:]))
		}
		n = min(p.left, len(b))
		b = b[n:]
		if p.left -= n; p.left > 0 {
			return
		}
		p.sizes = append(p.sizes, len(p.head)+int(binary.BigEndian.Uint32(p.head[1:])))
		p.got = 0
	}
}

// taken says that the method has taken a message.
func (p *paced) taken() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sizes) > 0 {
		p.ahead -= p.sizes[0]
		p.sizes = p.sizes[1:]
		p.moved.Broadcast()
	}
}

// Close ends a Read that waits, too.
func (p *paced) Close() error {
	p.mu.Lock()
	p.closed = true
	p.moved.Broadcast()
	p.mu.Unlock()
	return p.ReadCloser.Close()
}
