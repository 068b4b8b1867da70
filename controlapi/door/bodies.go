package door

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync"
)

// mostKept is the most that a call keeps of its body: gRPC is read no further ahead of its
// method, and what else is larger is worked on as it comes.
const mostKept = 2 << 20

// ErrBodies is what reading a body ends with when its peer has sent too much in all calls.
var ErrBodies = errors.New("your address has more of bodies under way than it may")

// bodies counts what calls that are under way have been sent and may keep.
type bodies struct {
	mu   sync.Mutex
	kept map[peer]int
}

// body is a request's, which ends when its peer has sent too much in all its calls: it
// takes a credential to have a body looked at, and none to send one.
type body struct {
	io.ReadCloser
	door  *Door
	from  peer
	taken int // of the lock of bodies, as is the next
	ended bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if !b.take(n) {
		b.door.tellBodies(b.from)
		return 0, ErrBodies
	}
	return n, err
}

func (b *body) take(n int) bool {
	all := &b.door.bodies
	all.mu.Lock()
	defer all.mu.Unlock()
	n = min(n, mostKept-b.taken)
	switch {
	case b.ended || n <= 0:
		return true
	case all.kept[b.from]+n > b.door.limits.Bodies:
		return false
	}
	all.kept[b.from] += n
	b.taken += n
	return true
}

// end gives back what the call kept, which has returned.
func (b *body) end() {
	all := &b.door.bodies
	all.mu.Lock()
	defer all.mu.Unlock()
	b.ended = true
	if all.kept[b.from] -= b.taken; all.kept[b.from] <= 0 {
		delete(all.kept, b.from)
	}
}

// bound gives a request a body that counts; end is to be called when it was answered. A
// peer that has sent all that it may has no other request taken.
func (d *Door) bound(r *http.Request) (end func(), ok bool) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || d.limits.Bodies <= 0 || r.Body == nil || r.Body == http.NoBody {
		return func() {}, true
	}
	from, limited := d.peerOf(at.Addr())
	if !limited {
		return func() {}, true
	}
	b := &body{ReadCloser: r.Body, door: d, from: from}
	d.bodies.mu.Lock()
	full := d.bodies.kept[from] >= d.limits.Bodies
	d.bodies.mu.Unlock()
	if full {
		d.tellBodies(from)
		return nil, false
	}
	r.Body = b
	return b.end, true
}

func (d *Door) tellBodies(from peer) {
	d.cut.Inc()
	d.sayCut.Do(func() {
		d.log.Warn("bodies of one address are refused, it has sent too much at a time; a proxy belongs into trusted-proxies", "peer", from.String(), "limit", d.limits.Bodies)
	})
}
