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

// proxyShares is how many times what one client's calls may keep is kept of all calls of a
// listed proxy of which it does not say, or not so that it can be believed, whose they are.
const proxyShares = 4

// ErrBodies is what reading a body ends with when its sender has sent too much in all calls.
var ErrBodies = errors.New("your address has more of bodies under way than it may")

// bodies counts what calls that are under way have been sent and may keep.
type bodies struct {
	mu   sync.Mutex
	kept map[peer]int
}

// body is a request's, which ends when its sender has sent too much in all its calls: it
// takes a credential to have a body looked at, and none to send one.
type body struct {
	io.ReadCloser
	door  *Door
	from  peer
	most  int // that is kept of all its calls
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
	case all.kept[b.from]+n > b.most:
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

// sender is whose calls are counted together, and how much is kept of all of them: the peer;
// behind a listed proxy the client that it names, else all that come through it.
func (d *Door) sender(r *http.Request) (from peer, most int, ok bool) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return from, 0, false
	}
	from, direct := d.peerOf(at.Addr())
	if direct {
		return from, d.limits.Bodies, true
	}
	if client := d.proxies.Client(r.RemoteAddr, r.Header); client.IsValid() {
		if named, isClient := d.peerOf(client); isClient {
			return named, d.limits.Bodies, true
		}
	}
	return from, proxyShares * d.limits.Bodies, true
}

// bound gives a request a body that counts; end is to be called when it was answered. Who
// has sent all that they may has no other request taken.
func (d *Door) bound(r *http.Request) (end func(), ok bool) {
	if d.limits.Bodies <= 0 || r.Body == nil || r.Body == http.NoBody {
		return func() {}, true
	}
	from, most, ok := d.sender(r)
	if !ok {
		return func() {}, true
	}
	b := &body{ReadCloser: r.Body, door: d, from: from, most: most}
	d.bodies.mu.Lock()
	full := d.bodies.kept[from] >= most
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
		d.log.Warn("bodies of one address are refused, it has sent too much at a time; a proxy belongs into trusted-proxies, and is to say whose requests it passes on",
			"peer", from.String(), "limit", d.limits.Bodies)
	})
}
