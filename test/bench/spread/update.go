package spread

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"signpost/test/bench/question"
)

// updater sends DNS UPDATE (RFC 2136) over UDP, from a port for each worker.
type updater struct {
	addr  netip.AddrPort
	conns [workers]*dns.Conn
	dial  [workers]sync.Once
}

const updatePatience = 5 * time.Second

func (u *updater) update(ctx context.Context, worker, i int, a netip.Addr) error {
	var err error
	u.dial[worker].Do(func() {
		var c net.Conn
		if c, err = net.Dial("udp", u.addr.String()); err == nil {
			u.conns[worker] = &dns.Conn{Conn: c}
		}
	})
	if err != nil {
		return err
	}
	owner := question.Name(i) + "." + question.Zone + "."
	rr := &dns.A{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: a.AsSlice()}
	m := new(dns.Msg)
	m.SetUpdate(question.Zone + ".")
	m.RemoveRRset([]dns.RR{rr})
	m.Insert([]dns.RR{rr})
	client := dns.Client{Timeout: updatePatience}
	r, _, err := client.ExchangeWithConnContext(ctx, m, u.conns[worker])
	if err == nil && r.Rcode != dns.RcodeSuccess {
		err = fmt.Errorf("update %s: %s", owner, dns.RcodeToString[r.Rcode])
	}
	return err
}

func (u *updater) close() error {
	for _, c := range u.conns {
		if c != nil {
			c.Close()
		}
	}
	return nil
}
