package load

import (
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/bench/question"
)

// server answers what is right, but for what spoil does to the reply; a nil reply is
// not sent.
func server(t *testing.T, spoil func(n int, r *dns.Msg) *dns.Msg) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for n := 0; ; n++ {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var q dns.Msg
			if q.Unpack(buf[:size]) != nil {
				continue
			}
			if r := spoil(n, answer(&q)); r != nil {
				b, _ := r.Pack()
				_, _ = conn.WriteToUDPAddrPort(b, from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func answer(q *dns.Msg) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(q)
	r.Authoritative = true
	label, _, _ := strings.Cut(q.Question[0].Name, ".")
	var i int
	for _, c := range label[1:] {
		i = i*10 + int(c-'0')
	}
	hdr := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
	if label[0] == 'x' {
		r.Rcode = dns.RcodeNameError
	} else if hdr.Rrtype == dns.TypeA {
		r.Answer = append(r.Answer, &dns.A{Hdr: hdr, A: question.A(i).AsSlice()})
	} else if a, ok := question.AAAA(i); ok {
		r.Answer = append(r.Answer, &dns.AAAA{Hdr: hdr, AAAA: a.AsSlice()})
	}
	return r
}

// A wrong, a missing and a second reply are each noticed, in both loops; a right one
// is counted as right. A machine that is busy loses some more: that is no failure.
func TestEveryReplyIsJudged(t *testing.T) {
	set, err := question.New(1000, 5000, 1)
	if err != nil {
		t.Fatal(err)
	}
	const every = 10
	spoils := []struct {
		name  string
		spoil func(*dns.Msg) *dns.Msg
		count func(Result) uint64
	}{
		{"nothing", func(r *dns.Msg) *dns.Msg { return r }, nil},
		{"an answer of another name", func(r *dns.Msg) *dns.Msg {
			r.Rcode, r.Answer = 0, []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(192, 0, 2, 1)}}
			return r
		}, func(r Result) uint64 { return r.Wrong }},
		{"a failure", func(r *dns.Msg) *dns.Msg { r.Rcode = dns.RcodeServerFailure; return r }, func(r Result) uint64 { return r.Wrong }},
		{"another id", func(r *dns.Msg) *dns.Msg { r.Id += 0x100; return r }, func(r Result) uint64 { return r.Late }},
		{"silence", func(*dns.Msg) *dns.Msg { return nil }, func(r Result) uint64 { return r.Lost }},
	}
	for _, loop := range []struct {
		name string
		rate int
	}{{"closed", 0}, {"open", 2000}} {
		for _, sp := range spoils {
			t.Run(loop.name+"/"+sp.name, func(t *testing.T) {
				t.Parallel()
				var spoilt atomic.Uint64
				addr := server(t, func(n int, r *dns.Msg) *dns.Msg {
					if n%every == 0 {
						spoilt.Add(1)
						return sp.spoil(r)
					}
					return r
				})
				r, err := Run(t.Context(), addr, set, Options{Duration: 300 * time.Millisecond, Sockets: 4, Window: 32, Rate: loop.rate})
				if err != nil {
					t.Fatal(err)
				}
				if r.Right+r.Wrong+r.Lost != r.Asked || r.Right == 0 {
					t.Errorf("%d asked; %d right, %d wrong, %d lost", r.Asked, r.Right, r.Wrong, r.Lost)
				}
				if loop.rate > 0 && uint64(len(r.Latencies)) != r.Right {
					t.Errorf("%d latencies of %d replies", len(r.Latencies), r.Right)
				}
				if sp.count == nil {
					if r.Wrong != 0 {
						t.Errorf("%d of %d are wrong: %s", r.Wrong, r.Asked, r.FirstWrong)
					}
				} else if got := sp.count(r); got < spoilt.Load()*8/10 || got == 0 {
					t.Errorf("%d of %d replies that were spoilt were noticed", got, spoilt.Load())
				}
			})
		}
	}
}
