package signpost_test

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	signpost "signpost/plugin"
)

// Over the limit half of the answers ask the client to come over TCP, where it gets
// what it asked; the others are not sent. Both ways of reading do the same.
func TestLimitDropsAndSlips(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	for how, lines := range map[string]string{"one by one": "", "in batches": "\nlisten batch 1"} {
		s := start(t, block("endpoint "+w.etcd.Endpoint()+"\nlimit 5"+lines, "errors"))
		eventually(t, func() bool { return line(s.ask(t, "tcp", "ns1.example.org", "A")) == "NOERROR 192.0.2.53" }, func() string { return "no answer over TCP" })
		conn := dial(t, s.addr)
		const asked = 400
		began, sent := time.Now(), make(chan struct{})
		var heard atomic.Int64 // of how many it is known what became of them
		go func() {
			defer close(sent)
			m := new(dns.Msg).SetQuestion("ns1.example.org.", dns.TypeA)
			m.SetEdns0(1232, true)
			q, _ := m.Pack()
			for i := range int64(asked) {
				for heard.Load() < i-100 && t.Context().Err() == nil { // so few that no buffer overflows
					time.Sleep(time.Millisecond)
				}
				_, _ = conn.Write(q)
				time.Sleep(100 * time.Microsecond)
			}
		}()
		whole, truncated := 0, 0
		buf := make([]byte, 4096)
		fewest := func() int { return (asked-whole)/2 - 1 } // of those that are truncated
		for {
			patience := 60 * time.Second
			if truncated >= fewest() { // all may have come: what comes now is too many
				<-sent
				patience = time.Second
			}
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			n, err := conn.Read(buf)
			if err, ok := err.(net.Error); ok && err.Timeout() {
				break
			}
			m := new(dns.Msg)
			switch err := m.Unpack(buf[:n]); {
			case err != nil:
				t.Fatal(err)
			case !m.Truncated && line(m) == "NOERROR 192.0.2.53":
				whole++
				heard.Add(1)
			case m.Truncated && m.Rcode == 0 && m.Authoritative && len(m.Question) == 1 && len(m.Answer)+len(m.Ns) == 0 && m.IsEdns0() != nil && m.IsEdns0().Do():
				truncated++
				heard.Add(2) // and of one that was dropped
			default:
				t.Fatalf("%s: neither whole nor truncated: %v", how, m)
			}
		}
		// 5 at once, and 5 for each second that it took.
		if most := 5 + 5*int(time.Since(began)/time.Second+1); whole < 5 || whole > most || truncated < fewest() || truncated > fewest()+2 {
			t.Errorf("%s: of %d answers %d came whole and %d truncated; want about 5 and half of the rest", how, asked, whole, truncated)
		}
		if got := line(s.ask(t, "tcp", "ns1.example.org", "A")); got != "NOERROR 192.0.2.53" {
			t.Errorf("%s: over TCP %s", how, got)
		}
	}
}

// FuzzDropAndSlip: whoever asks in which order, of the answers over the limit every
// second one slips, beginning with one that does not; none over TCP is over the limit.
func FuzzDropAndSlip(f *testing.F) {
	f.Add(uint16(1), []byte{1, 1, 1, 1, 2, 2, 2, 0x81, 1, 0x41, 0x41, 0xc1})
	f.Add(uint16(7), bytes.Repeat([]byte{3, 0x43, 0x83, 3}, 30))
	f.Fuzz(func(t *testing.T, rate uint16, askers []byte) {
		decide := signpost.LimitTo(int(rate) + 1)
		next := "drop"
		for i, who := range askers {
			ip := net.IPv4(192, 0, who&0x3f, who)
			var to net.Addr = &net.UDPAddr{IP: ip}
			switch who >> 6 {
			case 1:
				to = wrapped{to}
			case 2:
				to = &net.TCPAddr{IP: ip}
			}
			got := decide(to)
			switch {
			case got == "send":
			case who>>6 == 2 || i <= int(rate):
				t.Fatalf("answer %d of a limit of %d, over %s: %s", i+1, int(rate)+1, to.Network(), got)
			case got != next:
				t.Fatalf("answer %d: %s, want %s", i+1, got, next)
			case next == "drop":
				next = "slip"
			default:
				next = "drop"
			}
		}
	})
}

// wrapped is an address as the PROXY protocol and batches have it.
type wrapped struct{ net.Addr }

func (w wrapped) Unwrap() net.Addr { return w.Addr }

func TestWithoutALimitNothingIsHeldBack(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	s := start(t, block("endpoint "+w.etcd.Endpoint()))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	for range 300 {
		if r := s.ask(t, "udp", "ns1.example.org", "A"); r.Truncated || !strings.HasPrefix(line(r), "NOERROR") {
			t.Fatal(r)
		}
	}
}
