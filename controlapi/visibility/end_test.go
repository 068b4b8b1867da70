package visibility

import (
	"context"
	"net"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// A name server that has said that it is behind, and is asked once more as the time ends,
// is not told to be silent.
func TestTheEndOfAWaitIsNoSilence(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	defer end()
	var asked atomic.Int32
	srv := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		if asked.Add(1) > 1 {
			end()
			return
		}
		m := new(dns.Msg)
		m.SetReply(r)
		m.Answer = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeSOA, Class: dns.ClassINET}, Ns: ".", Mbox: ".", Serial: 6}}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = srv.ActivateAndServe() }()
	defer func() { _ = srv.Shutdown() }()
	address := conn.LocalAddr().String()
	got := Ask(ctx, []Server{{label: address, address: address}}, Question{Zone: "vo.example.org.", Serial: 7}, true)
	if v := got[0]; v.State != Behind || v.Detail != "" || asked.Load() < 2 {
		t.Errorf("%v, asked %d times", v, asked.Load())
	}
}
