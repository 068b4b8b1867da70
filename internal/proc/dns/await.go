package dns

import (
	"net"
	"time"

	"github.com/coredns/caddy"
	"github.com/miekg/dns"
)

// patience bounds await. Where it does not get through, as with PROXY protocol,
// nothing is lost but its purpose.
const patience = 2 * time.Second

// await returns when every plain DNS server of the instance answers. caddy returns
// earlier, and a server that is stopped before its goroutines run is never stopped.
func await(instance *caddy.Instance) {
	end := time.Now().Add(patience)
	for _, l := range instance.Servers() {
		udp, tcp := l.LocalAddr(), l.Addr()
		if udp == nil || tcp == nil {
			continue // DNS over something else has one of them
		}
		for _, a := range []net.Addr{udp, tcp} {
			for time.Now().Before(end) && !answers(a) {
			}
		}
	}
}

// answers puts a question that the server itself turns away, so that no plugin
// sees it.
func answers(a net.Addr) bool {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id(), Opcode: dns.OpcodeStatus}, Question: []dns.Question{{Name: ".", Qtype: dns.TypeSOA, Qclass: dns.ClassINET}}}
	c := dns.Client{Net: a.Network(), Timeout: patience / 4}
	_, _, err := c.Exchange(m, a.String()) // an unspecified address is dialled as loopback
	return err == nil
}
