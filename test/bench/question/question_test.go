package question

import (
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// What is right is told from what is nearly right.
func TestRight(t *testing.T) {
	s, err := New(1000, 2000, 1)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for i := range s.Len() {
		var q dns.Msg
		if err := q.Unpack(s.Packet(i)); err != nil {
			t.Fatal(err)
		}
		label, _, _ := strings.Cut(q.Question[0].Name, ".")
		r := new(dns.Msg)
		r.SetReply(&q)
		r.Authoritative = true
		w := s.wants[i]
		r.Rcode = int(w.rcode)
		hdr := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
		switch {
		case w.rcode != 0:
			kinds["NXDOMAIN"]++
		case w.rdata == nil:
			kinds["NODATA"]++
		case len(w.rdata) == 4:
			kinds["A"]++
			r.Answer = []dns.RR{&dns.A{Hdr: hdr, A: net.IP(w.rdata)}}
		default:
			kinds["AAAA"]++
			r.Answer = []dns.RR{&dns.AAAA{Hdr: hdr, AAAA: net.IP(w.rdata)}}
		}
		check := func(what string, want bool) {
			t.Helper()
			for _, r.Compress = range []bool{true, false} {
				b, err := r.Pack()
				if err != nil {
					t.Fatal(err)
				}
				if got := s.Right(i, b); got != want {
					t.Fatalf("%s %s, compressed %t: right is %t", label, what, r.Compress, got)
				}
			}
		}
		check("as it should be", true)
		r.Authoritative = false
		check("without authority", false)
		r.Authoritative = true
		r.Rcode = dns.RcodeServerFailure
		check("SERVFAIL", false)
		r.Rcode = int(w.rcode)
		if len(r.Answer) == 0 {
			r.Answer = []dns.RR{&dns.A{Hdr: hdr, A: net.IPv4(192, 0, 2, 1)}}
			check("with an answer too many", false)
			continue
		}
		full := r.Answer
		r.Answer = nil
		check("without its answer", false)
		r.Answer = append(full, full...)
		check("with its answer twice", false)
		w.rdata[0]++
		r.Answer = full
		b, _ := r.Pack()
		w.rdata[0]--
		if s.Right(i, b) {
			t.Fatalf("%s: another address is right", label)
		}
	}
	for kind, want := range map[string]int{"A": 1200, "NODATA": 450, "AAAA": 150, "NXDOMAIN": 200} {
		if got := kinds[kind]; got < want*8/10 || got > want*12/10 {
			t.Errorf("%d of 2000 questions are %s, not about %d", got, kind, want)
		}
	}
}
