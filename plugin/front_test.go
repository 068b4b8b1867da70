package signpost_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
	signpost "signpost/plugin"
)

// pair is a server that reads in batches and one that does not, otherwise the same.
func pair(t *testing.T, signpost string, before ...string) (batched, chain *server) {
	t.Helper()
	batched = start(t, block(signpost+"\nlisten batch 2", before...))
	return batched, start(t, block(signpost, before...))
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// swap sends a packet and gives the reply, nil when none comes.
func swap(t testing.TB, c net.Conn, packet []byte) []byte {
	t.Helper()
	if _, err := c.Write(packet); err != nil {
		t.Fatal(err)
	}
	return receive(t, c, packet)
}

// receive gives the reply to a packet, nil when none comes.
func receive(t testing.TB, c net.Conn, packet []byte) []byte {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return nil
		}
		if n > 2 && bytes.Equal(buf[:2], packet[:2]) {
			return buf[:n]
		}
	}
}

func pack(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// variants is a question as clients of several kinds put it.
func variants(t testing.TB, q dns.Question) [][]byte {
	var out [][]byte
	add := func(change func(*dns.Msg)) {
		m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id()}, Question: []dns.Question{q}}
		change(m)
		out = append(out, pack(t, m))
	}
	add(func(*dns.Msg) {})
	add(func(m *dns.Msg) {
		m.RecursionDesired, m.AuthenticatedData, m.CheckingDisabled = true, true, true
		m.SetEdns0(4096, true)
	})
	add(func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"}, &dns.EDNS0_PADDING{Padding: make([]byte, 9)}}
	})
	add(func(m *dns.Msg) { m.SetEdns0(100, false); m.IsEdns0().Hdr.Ttl |= 0x2af1; m.Truncated = true })
	add(func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_NSID{Code: dns.EDNS0NSID}}
	})
	add(func(m *dns.Msg) { m.Question[0].Name = strings.ToUpper(q.Name) })
	return out
}

// sameBothWays asks both and compares what they say, to the octet.
func sameBothWays(t *testing.T, batched, chain net.Conn, packet []byte) {
	t.Helper()
	got, want := swap(t, batched, packet), swap(t, chain, packet)
	if got == nil || !bytes.Equal(got, want) {
		m := new(dns.Msg)
		_ = m.Unpack(packet)
		t.Fatalf("%v\nin batches: %x\nthe chain:  %x", m, got, want)
	}
}

// Batches change the cost of an answer, never the answer: every conformance case, put
// in several ways, has the same octets as the chain's.
func TestBatchesChangeNoAnswer(t *testing.T) {
	cases := zonetest.Cases(t)
	for _, before := range [][]string{nil, {"bufsize 1232", "minimal", "any", "nsid x", "prometheus " + httpAddr(t), "errors"}} {
		b, c := pair(t, "endpoint "+nowhere, before...)
		batched, chain := dial(t, b.addr), dial(t, c.addr)
		for i, cs := range cases {
			changes, err := zonetest.Changes(cs.Zone, int64(i+1))
			if err != nil {
				t.Fatal(err)
			}
			v, err := zone.Build(int64(i+1), nil, func(yield func(model.Change, error) bool) {
				for _, ch := range changes {
					if !yield(ch, nil) {
						return
					}
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			signpost.Show(v)
			for _, packet := range variants(t, cs.Question()) {
				sameBothWays(t, batched, chain, packet)
			}
		}
		var answered, left float64
		eventually(t, func() bool { // an answer is counted after it was sent
			answered, left = signpost.BatchPackets(b.addr)
			return answered > 0 && left > 0 && answered+left >= float64(len(cases)*len(variants(t, dns.Question{Name: "."})))
		}, func() string {
			return fmt.Sprintf("%.0f packets were answered at once and %.0f left; want some of each, and all to come in batches", answered, left)
		})
		t.Logf("answered at once: %.0f, left to the chain: %.0f", answered, left)
	}
}

// What is no question goes the other way round to the same end.
func TestBatchesLeaveWhatIsNoQuestion(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	b, c := pair(t, "endpoint "+w.etcd.Endpoint())
	b.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	c.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	batched, chain := dial(t, b.addr), dial(t, c.addr)
	question := pack(t, new(dns.Msg).SetQuestion("ns1.example.org.", dns.TypeA))
	with := func(at int, octets ...byte) []byte {
		p := bytes.Clone(question)
		copy(p[at:], octets)
		return p
	}
	for _, p := range [][]byte{
		question[:12], question[:20], append(bytes.Clone(question), 0), append(bytes.Clone(question), 1, 2, 3),
		with(2, 0x28), with(4, 0, 2), with(6, 0, 1), with(8, 0, 1), with(10, 0, 1), with(len(question)-2, 0, 3), with(len(question)-4, 0, 255),
		append(bytes.Clone(question[:12]), 0xc0, 12, 0, 1, 0, 1),
	} {
		sameBothWays(t, batched, chain, p)
	}
	// Neither answers a response or what is shorter than a header: what comes back is
	// the answer to the question after it.
	for _, p := range [][]byte{with(2, 0x80), []byte("too short")} {
		for _, conn := range []net.Conn{batched, chain} {
			if _, err := conn.Write(p); err != nil {
				t.Fatal(err)
			}
			next := with(0, 0x77, 0x77)
			if got := swap(t, conn, next); got == nil {
				t.Errorf("no answer after %x", p)
			}
		}
	}
}

// A plain question is one that both answer with the same octets, whatever was sent.
func FuzzBothWays(f *testing.F) {
	var t testing.T // start wants one; its clean-up is the process's end
	s := startUnstopped(&t, block("endpoint "+nowhere+"\nlisten batch 1"))
	c := startUnstopped(&t, block("endpoint "+nowhere))
	f.Cleanup(func() { _ = s.Stop(); _ = c.Stop() })
	changes, err := zonetest.Changes("$ORIGIN example.org.\n@ 60 SOA ns1 admin 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n*.w 60 TXT x\nc 60 CNAME w\nd 60 CNAME x.w\n", 1)
	if err != nil {
		f.Fatal(err)
	}
	signpost.Show(zone.Empty(0).Apply(1, changes))
	for _, name := range []string{"ns1.example.org.", "x.w.example.org.", "c.example.org.", "d.example.org.", "nobody.example.org.", "example.org."} {
		for _, p := range variants(f, dns.Question{Name: name, Qtype: dns.TypeA, Qclass: dns.ClassINET}) {
			f.Add(p)
		}
	}
	w := signpost.BatchWorker(s.addr)
	chain := dial(f, c.addr)
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > 512 {
			return
		}
		var reply [1232]byte
		w.Begin(1)
		n := w.Answer(packet, reply[:], netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		w.End()
		if n == 0 {
			return // the chain has the packet
		}
		if want := swap(t, chain, packet); !bytes.Equal(reply[:n], want) {
			t.Errorf("%x\nin batches: %x\nthe chain:  %x", packet, reply[:n], want)
		}
	})
}

// A question that can be answered while there is no state is one for the chain, which
// says SERVFAIL.
func TestBatchesDoNotAnswerBeforeTheState(t *testing.T) {
	b, c := pair(t, "endpoint "+nowhere)
	sameBothWays(t, dial(t, b.addr), dial(t, c.addr), pack(t, new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)))
}

// With loadbalance, answers of several addresses are the chain's to shuffle.
func TestBatchesLeaveToLoadbalanceWhatItShuffles(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.set("pool.example.org", "A 192.0.2.1", "A 192.0.2.2", "A 192.0.2.3")
	s := start(t, block("endpoint "+w.etcd.Endpoint()+"\nlisten batch", "loadbalance"))
	firsts := map[string]bool{}
	eventually(t, func() bool {
		if r := s.ask(t, "udp", "pool.example.org", "A"); len(r.Answer) == 3 {
			firsts[r.Answer[0].String()] = true
		}
		return len(firsts) == 3
	}, func() string { return fmt.Sprintf("only %v come first", firsts) })
}

// With minimal, what is said beside a CNAME is the chain's to take away.
func TestBatchesLeaveToMinimalWhatItTakesAway(t *testing.T) {
	changes, err := zonetest.Changes("$ORIGIN example.org.\n@ 60 SOA ns1 admin 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\nc 60 CNAME ns1\nd 60 CNAME nobody\n", 1)
	if err != nil {
		t.Fatal(err)
	}
	b, c := pair(t, "endpoint "+nowhere, "minimal")
	signpost.Show(zone.Empty(0).Apply(1, changes))
	batched, chain := dial(t, b.addr), dial(t, c.addr)
	for _, name := range []string{"c.example.org.", "d.example.org."} {
		sameBothWays(t, batched, chain, pack(t, new(dns.Msg).SetQuestion(name, dns.TypeAAAA)))
	}
}

// Every address of the block is read in batches, and a reply leaves from the address
// that was asked, also where the socket is bound to all of them.
func TestBatchesOnWildcardAndIPv6Addresses(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	for _, c := range []struct {
		bind string
		ask  []string
	}{
		{"127.0.0.1 127.0.0.2 ::1", []string{"127.0.0.1", "127.0.0.2", "::1"}},
		{"0.0.0.0", []string{"127.0.0.1", "127.0.0.3"}},
		{"::", []string{"127.0.0.1", "127.0.0.3", "::1"}},
		{"", []string{"127.0.0.1", "127.0.0.3", "::1"}},
	} {
		text := strings.Replace(block("endpoint "+w.etcd.Endpoint()+"\nlisten batch 2"), "bind 127.0.0.1", strings.TrimSpace("bind "+c.bind), 1)
		if c.bind == "" {
			text = strings.Replace(text, "bind\n", "", 1)
		}
		s := start(t, text)
		_, port, _ := net.SplitHostPort(s.addr)
		for _, host := range c.ask {
			conn, err := net.Dial("udp", net.JoinHostPort(host, port)) // takes replies from there only
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, qtype := range []uint16{dns.TypeA, dns.TypeNS} { // at once, and by the chain
				q := pack(t, new(dns.Msg).SetQuestion("ns1.example.org.", qtype))
				eventually(t, func() bool {
					r := new(dns.Msg)
					return r.Unpack(swap(t, conn, q)) == nil && r.Rcode == dns.RcodeSuccess
				}, func() string { return fmt.Sprintf("bind %q: no answer from %s", c.bind, host) })
			}
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		t.Logf("bind %q: asked at %v", c.bind, c.ask)
	}
}

func TestAPanicLeavesThePacketToTheChain(t *testing.T) {
	var reply [1232]byte
	q := pack(t, new(dns.Msg).SetQuestion("ns1.example.org.", dns.TypeA))
	if n := signpost.BrokenWorker().Answer(q, reply[:], netip.AddrFrom4([4]byte{127, 0, 0, 1})); n != 0 {
		t.Errorf("got %d, want the packet left", n)
	}
}
