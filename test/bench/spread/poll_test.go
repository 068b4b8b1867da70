package spread

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/bench/question"
	"signpost/test/bench/report"
)

// replica answers the first so many questions with an old address and all others with
// a new one; at is the time of the change.
func replica(t *testing.T, questions int64, old, next netip.Addr) (addr netip.AddrPort, at *atomic.Pointer[time.Time]) {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready, at, asked := make(chan struct{}), &atomic.Pointer[time.Time]{}, atomic.Int64{}
	s := &dns.Server{PacketConn: conn, NotifyStartedFunc: func() { close(ready) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg)
		r.SetReply(q)
		r.Authoritative = true
		a := old
		if asked.Add(1) > questions {
			a = next
			now := time.Now()
			at.CompareAndSwap(nil, &now)
		}
		r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: a.AsSlice()}}
		_ = w.WriteMsg(r)
	})}
	done := make(chan error, 1)
	go func() { done <- s.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), at
}

// The delay is counted to the first new answer, an old one is no answer, and what
// never comes is missed after the patience.
func TestPoller(t *testing.T) {
	addr, at := replica(t, 20, question.A(1), newAddress(1))
	p, err := newPoller(addr, 2*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	in := make(chan watch, 3)
	now := time.Now()
	in <- watch{name: 1, want: question.A(1), since: now}
	in <- watch{name: 1, want: newAddress(1), since: now}
	in <- watch{name: 1, want: newAddress(2), since: now}
	close(in)
	d, err := p.run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	late := at.Load().Sub(now)
	if len(d) != 3 || d[0] > late || d[1] < late || d[1] == missed || d[2] != missed {
		t.Errorf("delays %v: want one at once, one %s or later, one missed", d, late)
	}
}

// The last replica decides, watch by watch, and what one of them misses is missed.
func TestJudge(t *testing.T) {
	ms := time.Millisecond
	var p report.Propagation
	judge([][]time.Duration{{1 * ms, 9 * ms, 2 * ms, missed}, {4 * ms, 1 * ms, 3 * ms, 1 * ms}}, &p)
	if p.Watched != 4 || p.Missed != 1 || p.Within5 != 0.5 || p.Last.Max != 9 || p.Replicas[0].Max != 9 || p.Replicas[1].Max != 4 {
		t.Errorf("%+v", p)
	}
}
