package probe

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// serveDNS gives what answer makes of each query, in order.
func serveDNS(t *testing.T, answer func(q *dns.Msg) []*dns.Msg) uint16 {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			for _, a := range answer(q) {
				if wire, err := a.Pack(); err == nil {
					_, _ = conn.WriteTo(wire, from)
				}
			}
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return portOf(conn.LocalAddr())
}

func TestDNS(t *testing.T) {
	rcode := func(code int) func(q *dns.Msg) []*dns.Msg {
		return func(q *dns.Msg) []*dns.Msg { return []*dns.Msg{new(dns.Msg).SetRcode(q, code)} }
	}
	changed := func(q *dns.Msg, change func(*dns.Msg)) *dns.Msg {
		a := new(dns.Msg).SetReply(q)
		change(a)
		return a
	}
	for _, c := range []struct {
		name   string
		check  model.Check
		answer func(q *dns.Msg) []*dns.Msg
		want   model.Reason
	}{
		{"NOERROR", model.Check{}, rcode(dns.RcodeSuccess), model.Fine},
		{"REFUSED", model.Check{}, rcode(dns.RcodeRefused), model.UnexpectedRcode},
		{"NXDOMAIN expected", model.Check{Rcode: dns.RcodeNameError}, rcode(dns.RcodeNameError), model.Fine},
		{"NOERROR when NXDOMAIN is expected", model.Check{Rcode: dns.RcodeNameError}, rcode(dns.RcodeSuccess), model.UnexpectedRcode},
		{"the SOA of the name is asked for", model.Check{}, func(q *dns.Msg) []*dns.Msg {
			if q.Question[0].Name != "www.example.org." || q.Question[0].Qtype != dns.TypeSOA {
				return rcode(dns.RcodeFormatError)(q)
			}
			return rcode(dns.RcodeSuccess)(q)
		}, model.Fine},
		{"what is configured is asked for", model.Check{Query: "example.net.", QueryType: dns.TypeNS}, func(q *dns.Msg) []*dns.Msg {
			if q.Question[0].Name != "example.net." || q.Question[0].Qtype != dns.TypeNS {
				return rcode(dns.RcodeFormatError)(q)
			}
			return rcode(dns.RcodeSuccess)(q)
		}, model.Fine},
		{"a refusal without question", model.Check{}, func(q *dns.Msg) []*dns.Msg {
			return []*dns.Msg{changed(q, func(a *dns.Msg) { a.Rcode, a.Question = dns.RcodeFormatError, nil })}
		}, model.UnexpectedRcode},
		{"guesses come before the answer", model.Check{}, func(q *dns.Msg) []*dns.Msg {
			return []*dns.Msg{
				changed(q, func(a *dns.Msg) { a.Id++; a.Rcode = dns.RcodeRefused }),
				changed(q, func(a *dns.Msg) { a.Response = false; a.Rcode = dns.RcodeRefused }),
				changed(q, func(a *dns.Msg) { a.Question[0].Name = "example.com."; a.Rcode = dns.RcodeRefused }),
				changed(q, func(a *dns.Msg) {}),
			}
		}, model.Fine},
		{"only guesses", model.Check{Timeout: 100 * time.Millisecond}, func(q *dns.Msg) []*dns.Msg {
			return []*dns.Msg{changed(q, func(a *dns.Msg) { a.Question = nil }), changed(q, func(a *dns.Msg) { a.Id++ })}
		}, model.NoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.check.Kind, c.check.Port = model.CheckDNS, serveDNS(t, c.answer)
			wants(t, c.name, try(t, c.check, Target{}), c.want)
		})
	}
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	wants(t, "nobody listens", try(t, model.Check{Kind: model.CheckDNS, Port: portOf(gone.LocalAddr())}, Target{}), model.Refused)
}
