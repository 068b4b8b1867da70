// Package constant answers one question: what does CoreDNS cost when a plugin does
// nothing? It is a plugin that answers every question with the same address, the
// least that any can do; what ours costs is measured beside it.
package constant

import (
	"context"
	"net"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"
)

// Name is the plugin's directive.
const Name = "constant"

// Register makes the plugin known; the caller puts its directive in order.
func Register() {
	plugin.Register(Name, func(c *caddy.Controller) error {
		dnsserver.GetConfig(c).AddPlugin(func(plugin.Handler) plugin.Handler { return constant{} })
		return nil
	})
}

type constant struct{}

func (constant) Name() string { return Name }

func (constant) ServeDNS(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative = true
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 1).To4()}}
	return 0, w.WriteMsg(m)
}
