package acme

import (
	"context"
	"crypto"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/acme/pebbletest"
	"signpost/internal/model"
)

// nameServer is a name server that answers what its solver set.
type nameServer struct {
	addr string

	mu       sync.Mutex
	held     map[model.Name][]string
	presents [][]Challenge
	cleanUps [][]Challenge
	unclean  []error // what the contexts of CleanUp said when it was called

	present func(context.Context, []Challenge) error // called after setting; nil: fine
	spoil   bool                                     // set other values
	leave   error                                    // what CleanUp says, after it has cleaned up
}

func serveNames(t *testing.T) *nameServer {
	t.Helper()
	n := &nameServer{held: map[model.Name][]string{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	up := make(chan struct{})
	srv := &dns.Server{Listener: l, Handler: n, NotifyStartedFunc: func() { close(up) }}
	done := make(chan error, 1)
	go func() { done <- srv.ActivateAndServe() }()
	select {
	case <-up:
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return n
}

func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	n.mu.Lock()
	values := n.held[model.NameOf(q.Question[0].Name)]
	n.mu.Unlock()
	if len(values) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for _, v := range values {
		m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{v}})
	}
	_ = w.WriteMsg(m)
}

func (n *nameServer) Present(ctx context.Context, values []Challenge) error {
	n.mu.Lock()
	n.presents = append(n.presents, slices.Clone(values))
	for _, c := range values {
		v := c.Value
		if n.spoil {
			v = "not-" + v
		}
		n.held[c.Name] = append(n.held[c.Name], v)
	}
	n.mu.Unlock()
	if n.present != nil {
		return n.present(ctx, values)
	}
	return nil
}

func (n *nameServer) CleanUp(ctx context.Context, values []Challenge) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cleanUps = append(n.cleanUps, slices.Clone(values))
	n.unclean = append(n.unclean, ctx.Err())
	for _, c := range values {
		delete(n.held, c.Name)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		n.unclean = append(n.unclean, context.Canceled)
	}
	return n.leave
}

// cleaned sees that every Present had its CleanUp, with a context that was still good, and
// that nothing is left in DNS.
func (n *nameServer) cleaned(t *testing.T, presents int) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.presents) != presents {
		t.Errorf("Present was called %d times, not %d", len(n.presents), presents)
	}
	if !slices.EqualFunc(n.presents, n.cleanUps, slices.Equal) {
		t.Errorf("presented %v, cleaned up %v", n.presents, n.cleanUps)
	}
	for _, err := range n.unclean {
		if err != nil {
			t.Errorf("CleanUp was called with a context that had ended or has no end: %v", err)
		}
	}
	if len(n.held) != 0 {
		t.Errorf("left in DNS: %v", n.held)
	}
}

func (n *nameServer) values(name model.Name) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.held[name])
}

// world is an authority, and a name server that it asks.
type world struct {
	*pebbletest.Server
	dns     *nameServer
	ours    *Authority
	account Account
}

func newWorld(t *testing.T, options ...pebbletest.Option) *world {
	t.Helper()
	n := serveNames(t)
	w := &world{Server: pebbletest.Start(t, n.addr, options...), dns: n}
	w.ours = w.authority(t, Config{})
	return w
}

// authority asks the world's as cfg has it otherwise.
func (w *world) authority(t *testing.T, cfg Config) *Authority {
	t.Helper()
	cfg.Directory, cfg.Roots = w.Directory, w.Roots
	cfg.Contact = []string{"mailto:dns-admins@vo.example.org"}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	a := New(cfg)
	a.pollTime = 20 * time.Millisecond
	t.Cleanup(a.Close)
	return a
}

func (w *world) register(t *testing.T) *world {
	t.Helper()
	account, err := w.ours.Register(t.Context(), newKey())
	if err != nil {
		t.Fatal(err)
	}
	w.account = account
	return w
}

// newKey makes a key, while those in keys are made once: an authority remembers accounts.
func newKey() crypto.Signer { return keyMaker()() }

// within is a context that ends when a test has waited long enough.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
