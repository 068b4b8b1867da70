package signpost_test

import (
	"context"
	"slices"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/dnstest"
	plugintest "github.com/coredns/coredns/plugin/test"
	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
	signpost "signpost/plugin"
)

const fuzzedZone = `$ORIGIN example.org.
$TTL 300
@ SOA ns1 hostmaster 7 7200 900 1209600 60
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.53
ns1 AAAA 2001:db8::53
mail A 192.0.2.25
*.wild TXT "matched"
a.ent A 192.0.2.1
alias CNAME loop
loop CNAME alias
old DNAME new
www.new A 192.0.2.2
up DNAME example.org.
sub NS ns.sub
sub DS 12345 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub A 192.0.2.54
big TXT "one of many strings that do not fit into a small message, whoever asks for them, however often"
big TXT "two of many strings that do not fit into a small message, whoever asks for them, however often"
big TXT "three of many strings that do not fit into a small message, whoever asks for them, however often"
big TXT "four of many strings that do not fit into a small message, whoever asks for them, however often"
big TXT "five of many strings that do not fit into a small message, whoever asks for them, however often"
big TXT "six of many strings that do not fit into a small message, whoever asks for them, however often"
\000\255\. A 192.0.2.3
`

// FuzzMessage: whatever the octets, what CoreDNS lets through to us is answered with
// its id and question, in a message that packs and is not larger than was asked for,
// and that says what Answer says.
func FuzzMessage(f *testing.F) {
	changes, err := zonetest.Changes(fuzzedZone, 1)
	if err != nil {
		f.Fatal(err)
	}
	v := zone.Empty(0).Apply(1, changes)
	over := signpost.Over(v)
	server, err := dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{{
		Zone: ".", Transport: "dns", ListenHosts: []string{""}, Port: "0",
		Plugin: []plugin.Plugin{func(plugin.Handler) plugin.Handler { return over }},
	}})
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"example.org.", "www.old.Example.org.", "x.up.up.example.org.", "big.example.org.", "a.b.wild.example.org.", "x.sub.example.org.", "alias.example.org.", "example.net."} {
		for _, size := range []uint16{0, 512, 4096} {
			m := new(dns.Msg)
			m.SetQuestion(name, dns.TypeTXT)
			if size > 0 {
				m.SetEdns0(size, true)
			}
			raw, err := m.Pack()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(raw, size == 0)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, tcp bool) {
		q := new(dns.Msg)
		if !accepted(raw) || q.Unpack(raw) != nil || len(q.Question) != 1 {
			return
		}
		asked := q.Copy()
		w := dnstest.NewRecorder(&plugintest.ResponseWriter{TCP: tcp})
		server.ServeDNS(context.WithValue(context.Background(), dnsserver.Key{}, server), w, q)
		if w.Msg == nil {
			t.Fatalf("no answer to\n%v", asked)
		}
		packed, err := w.Msg.Pack()
		if err != nil {
			t.Fatalf("%v: the answer does not pack:\n%v\nto\n%v", err, w.Msg, asked)
		}
		r := new(dns.Msg)
		if err := r.Unpack(packed); err != nil {
			t.Fatalf("%v: the answer does not unpack:\n%v", err, w.Msg)
		}
		if r.Id != asked.Id || !r.Response || len(r.Question) != 1 || r.Question[0] != asked.Question[0] {
			t.Fatalf("this is no answer to\n%v\nbut\n%v", asked, r)
		}
		if most := room(asked, tcp); len(packed) > most {
			t.Fatalf("the answer has %d octets, there is room for %d:\n%v\nto\n%v", len(packed), most, r, asked)
		}
		saysWhatAnswerSays(t, v, asked, r)
	})
}

// accepted reports whether the DNS library hands a message on, as it does in a real
// server before anything else.
func accepted(raw []byte) bool {
	if len(raw) < 12 {
		return false
	}
	at := func(i int) uint16 { return uint16(raw[i])<<8 | uint16(raw[i+1]) }
	h := dns.Header{Id: at(0), Bits: at(2), Qdcount: at(4), Ancount: at(6), Nscount: at(8), Arcount: at(10)}
	return dns.DefaultMsgAcceptFunc(h) == dns.MsgAccept
}

// room is how large an answer may be.
func room(q *dns.Msg, tcp bool) int {
	if tcp {
		return dns.MaxMsgSize
	}
	if o := q.IsEdns0(); o != nil {
		return max(dns.MinMsgSize, int(o.UDPSize()))
	}
	return dns.MinMsgSize
}

func saysWhatAnswerSays(t *testing.T, v *zone.View, asked, r *dns.Msg) {
	q := asked.Question[0]
	z := v.Find(model.NameOf(q.Name), q.Qtype)
	plain := asked.Opcode == dns.OpcodeQuery && q.Qclass == dns.ClassINET && q.Qtype > 0 && (q.Qtype < 128 || q.Qtype > dns.TypeANY)
	if o := asked.IsEdns0(); o != nil && o.Version() != 0 {
		plain = false
	}
	switch {
	case z == nil || !plain || q.Qtype == dns.TypeOPT || r.Truncated:
		return
	case len(asked.Extra) > 0 && (asked.IsTsig() != nil || asked.IsEdns0() == nil): // others answer these
		return
	}
	want := z.Answer(q.Name, q.Qtype, 0)
	if r.Rcode != want.Rcode || r.Authoritative != want.AA || !same(r.Answer, want.Answer) || !same(r.Ns, want.Ns) {
		t.Fatalf("%v is answered\n%v\nand Answer says %+v", q, r, want)
	}
}

func same(a, b []dns.RR) bool {
	return slices.EqualFunc(a, b, func(x, y dns.RR) bool { return x.String() == y.String() })
}
