package signpost_test

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
	signpost "signpost/plugin"
)

// Every case through real sockets says what BIND, NSD, Knot and PowerDNS say. The
// view of each case is put into the running server as a new state.
func TestConformanceThroughSockets(t *testing.T) {
	cases := zonetest.Cases(t)
	s := start(t, block("endpoint "+nowhere))
	conns := map[string]*dns.Conn{}
	for _, network := range []string{"udp", "tcp"} {
		c, err := net.Dial(network, s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[network] = &dns.Conn{Conn: c, UDPSize: dns.MaxMsgSize}
	}
	failed := 0
	for i, c := range cases {
		rev := int64(i + 1)
		changes, err := zonetest.Changes(c.Zone, rev)
		if err != nil {
			t.Fatal(err)
		}
		v, err := zone.Build(rev, nil, func(yield func(model.Change, error) bool) {
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
		for network, conn := range conns {
			m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id()}, Question: []dns.Question{c.Question()}}
			if network == "udp" {
				m.SetEdns0(4096, false) // what is truncated is another test's
			}
			r := converse(t, conn, m)
			if why := c.Compare(r.Rcode, r.Authoritative, r.Answer, r.Ns); why != "" {
				if failed++; failed < 10 {
					t.Errorf("over %s: %s", network, why)
				}
			}
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d answers differ", failed, 2*len(cases))
	}
}

func converse(t *testing.T, conn *dns.Conn, m *dns.Msg) *dns.Msg {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMsg(m); err != nil {
		t.Fatal(err)
	}
	r, err := conn.ReadMsg()
	if err != nil {
		t.Fatalf("%v: %v", m.Question, err)
	}
	if r.Id != m.Id {
		t.Fatalf("%v: the answer is to another question: %v", m.Question, r)
	}
	return r
}
