package signpost

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"signpost/plugin/limit"
)

var limitedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
	Namespace: plugin.Namespace, Subsystem: pluginName, Name: "limited_total",
	Help: "Answers over the limit of a client's network: dropped, or slipped, which asks the client to come over TCP.",
}, []string{"server", "how"})

func init() { prometheus.MustRegister(limitedTotal) }

// limiter is a directive's limit, for both ways in which queries come.
type limiter struct {
	*limit.Limit
	began time.Time
	over  atomic.Uint64
}

func newLimiter(rate int) *limiter { return &limiter{Limit: limit.New(rate), began: time.Now()} }

func (l *limiter) now() time.Duration { return time.Since(l.began) }

// verdict is what the limit makes of an answer.
type verdict int

const (
	send verdict = iota
	drop
	slip
)

// decide is decideFor for who writes through CoreDNS. TCP is not limited: its source
// is no forgery.
func (l *limiter) decide(from net.Addr, server string) verdict {
	if u, ok := from.(interface{ Unwrap() net.Addr }); ok {
		from = u.Unwrap()
	}
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return send
	}
	return l.decideFor(udp.AddrPort().Addr(), l.now(), server)
}

// decideFor counts an answer. Of those over the limit each second one slips: it says
// nothing but that it is truncated, so that a client whose address others forge gets
// its answer over TCP.
func (l *limiter) decideFor(from netip.Addr, now time.Duration, server string) verdict {
	if l.Allow(from, now) {
		return send
	}
	if l.over.Add(1)%2 == 0 {
		limitedTotal.WithLabelValues(server, "slip").Inc()
		return slip
	}
	limitedTotal.WithLabelValues(server, "drop").Inc()
	return drop
}

// slipped is the reply to a query whose answer is over the limit.
func slipped(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r)
	m.Authoritative, m.Truncated = true, true
	return m
}
