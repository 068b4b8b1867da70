package signpost

import (
	"net"
	"strings"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/bufsize"
	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/plugin/batch"
)

// front is a directive's `listen batch`: it answers what is read in batches on the
// addresses of its server block. It belongs to one Corefile; the sockets are the
// process's and go from one front to the next.
type front struct {
	s         *Signpost
	sockets   int
	addresses []string // that are served so
	plain     plain    // but for the server's name

	here     chan struct{}       // closed when a handler for each address has come, or none will
	handlers map[string]*handler // by address, when CoreDNS's server there runs; fronts.mu guards it
}

// frontsOf is the key of a Corefile's fronts in its caddy instance.
type frontsOf struct{}

// setupFront makes a front part of the directive's block.
func setupFront(c *caddy.Controller, s *Signpost, sockets int) {
	f := &front{s: s, sockets: sockets, here: make(chan struct{}), handlers: map[string]*handler{}}
	config := dnsserver.GetConfig(c)
	// It is the way to the server that runs the chain of plugins: CoreDNS calls it once
	// for each when all of the Corefile's sockets are bound, before it reads from them.
	config.UDPDecorateWriterFunc = func(server *dnsserver.Server) dns.DecorateWriter {
		fronts.arrive(f, server)
		return nil
	}
	before, _ := c.Get(frontsOf{}).([]*front)
	c.Set(frontsOf{}, append(before, f))
	c.OnStartup(func() error { // all plugins of all blocks are known by now
		if err := f.prepare(c); err != nil {
			return plugin.Error(pluginName, err)
		}
		fronts.await(f)
		return nil
	})
	c.OnShutdown(func() error { return fronts.close(f) })
}

// prepare finds out what the block is, and refuses one in which plain questions could
// not be answered as its plugins would. Errors are of kind Invalid.
func (f *front) prepare(c *caddy.Controller) error {
	block := configs(c)
	if err := fit(c, block); err != nil {
		return err
	}
	for _, config := range block {
		if config.Transport != "dns" {
			continue // its questions come over streams
		}
		f.addresses = append(f.addresses, addresses(config)...)
	}
	f.addresses = unique(f.addresses)
	if len(f.addresses) == 0 {
		return refused(strings.Join(c.ServerBlockKeys, " "), "nothing in the server block is plain DNS over UDP").Hint("leave it out")
	}
	f.plain = plain{s: f.s, zones: common(f.s.zones, block)}
	if b, ok := block[0].Handler("bufsize").(bufsize.Bufsize); ok {
		f.plain.bufsize = b.Size
	}
	f.plain.shuffle = block[0].Handler("loadbalance") != nil
	f.plain.minimal = block[0].Handler("minimal") != nil
	f.plain.metrics = newBlockMetrics("", block[0].Handler("prometheus"), f.plain.zones)
	return nil
}

func refused(what, why string) *model.Error {
	return model.E(model.Invalid, "listen batch", what).Because(why)
}

// common is where the directive's zones and those of its block's keys meet: CoreDNS
// asks the block for nothing else.
func common(zones []model.Name, block []*dnsserver.Config) []model.Name {
	var out []model.Name
	for _, z := range zones {
		for _, config := range block {
			switch key := model.NameOf(config.Zone); {
			case z.In(key):
				out = append(out, z)
			case key.In(z):
				out = append(out, key)
			}
		}
	}
	return unique(out)
}

func unique[T comparable](in []T) []T {
	seen := map[T]bool{}
	var out []T
	for _, v := range in {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// handler is a front on one of its addresses.
type handler struct {
	plain
	rest *rest
}

// Worker implements batch.Handler.
func (h *handler) Worker() batch.Worker { return h.worker() }

// Take implements batch.Handler.
func (h *handler) Take(p batch.Packet) { h.rest.take(p) }

// handler makes what answers on the address of a server, and the address.
func (f *front) handler(server *dnsserver.Server) (address string, h *handler) {
	address = strings.TrimPrefix(server.Addr, "dns://")
	local, _ := net.ResolveUDPAddr("udp", address) // it is bound: it resolves
	h = &handler{plain: f.plain, rest: serveRest(server, local)}
	h.server = server.Addr
	if h.metrics != nil {
		m := *h.metrics
		m.server = server.Addr
		h.metrics = &m
	}
	return address, h
}
