package controlapi_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// nameServer answers SOA with a serial that the test moves; 0 is REFUSED.
func nameServer(t *testing.T) (string, *atomic.Uint32) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serial atomic.Uint32
	srv := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(r)
		if v := serial.Load(); v == 0 {
			m.Rcode = dns.RcodeRefused
		} else {
			hdr := dns.RR_Header{Name: r.Question[0].Name, Rrtype: dns.TypeSOA, Class: dns.ClassINET}
			m.Answer = []dns.RR{&dns.SOA{Hdr: hdr, Ns: ".", Mbox: ".", Serial: v}}
		}
		w.WriteMsg(m)
	})}
	go srv.ActivateAndServe()
	t.Cleanup(func() { srv.Shutdown() })
	return conn.LocalAddr().String(), &serial
}

func TestAChangeWaitsUntilItIsVisible(t *testing.T) {
	addr1, serial1 := nameServer(t)
	addr2, serial2 := nameServer(t)
	s := controltest.Start(t, func(c *controlapi.Config) { c.NameServers = []string{addr1, addr2} })
	z := s.Zone("vo.example.org")
	serial1.Store(z.Serial)
	serial2.Store(z.Serial + 1<<30) // ahead of whatever comes
	wait := s.Admin("wait", "visible", "wait-timeout", "2s")
	out, err := s.Hosts.CreateHost(wait, &pb.CreateHostRequest{Fqdn: "www.vo.example.org"})
	if err != nil || len(out.Change.Visibility) != 2 {
		t.Fatal(out, err)
	}
	if v := out.Change.Visibility[0]; v.Server != addr1 || v.State != "behind" || v.Seconds == 0 {
		t.Errorf("%v", v)
	}
	if v := out.Change.Visibility[1]; v.State != "visible" || v.Seconds > 5 {
		t.Errorf("%v", v)
	}
	serial2.Store(z.Serial)
	done := make(chan *pb.Change)
	go func() {
		out, err := s.Hosts.SetAddresses(s.Admin("wait", "visible"), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}})
		if err != nil {
			t.Error(err)
		}
		done <- out.GetChange()
	}()
	select {
	case c := <-done:
		t.Fatalf("it did not wait: %v", c)
	case <-time.After(50 * time.Millisecond):
	}
	serial1.Store(z.Serial + 1<<30)
	serial2.Store(z.Serial + 1<<30)
	for _, v := range (<-done).Visibility {
		if v.State != "visible" {
			t.Errorf("%v", v)
		}
	}
}

func TestAChangeThatDNSDoesNotShowIsNotWaitedFor(t *testing.T) {
	addr, _ := nameServer(t)
	s := controltest.Start(t, func(c *controlapi.Config) { c.NameServers = []string{addr} })
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	wait := s.Admin("wait", "visible", "request-id", "one")
	in := &pb.UpdateHostRequest{Fqdn: "www.vo.example.org", Comment: proto.String("new")}
	for range 2 { // repeated, too
		out, err := s.Hosts.UpdateHost(wait, in)
		if err != nil || !out.Change.Changed || len(out.Change.Visibility) != 0 {
			t.Error(out, err)
		}
	}
	if out, err := s.Zones.DeleteZone(s.Admin("wait", "visible"), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil || out.Change.Visibility[0].State != "visible" {
		t.Error("a name server that refuses the zone still serves it", out, err)
	}
}

func TestNameServersWithoutAddressesInOurDataAreNotAsked(t *testing.T) {
	s := controltest.Start(t)
	out, err := s.Zones.CreateZone(s.Admin("wait", "visible"), &pb.CreateZoneRequest{Name: "vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	if err != nil || len(out.Change.Visibility) != 1 || out.Change.Visibility[0].State != "not asked" || out.Change.Visibility[0].Server != "ns.example.net" {
		t.Error(out, err)
	}
}

func TestWhatBadWaitsGet(t *testing.T) {
	s := controltest.Start(t)
	for field, ctx := range map[string]struct{ key, value string }{"wait": {"wait", "forever"}, "wait_timeout": {"wait-timeout", "soon"}} {
		_, err := s.Zones.ListZones(s.Admin(ctx.key, ctx.value), &pb.ListZonesRequest{})
		controltest.WantErr(t, err, codes.InvalidArgument, field)
	}
	if _, err := controlapi.New(controlapi.Config{NameServers: []string{"nonsense"}}); err == nil {
		t.Error("a name server without port is accepted")
	}
}

func TestStatusTellsWhatANameHoldsAndWhoServesIt(t *testing.T) {
	addr, serial := nameServer(t)
	s := controltest.Start(t, func(c *controlapi.Config) { c.NameServers = []string{addr} })
	z := s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	serial.Store(z.Serial)
	st, err := s.Servers.GetStatus(s.Admin(), &pb.GetStatusRequest{Fqdn: "www.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if st.Version != "test" || st.Zones != 1 || st.Revision == 0 || st.ClusterId == "" || st.DatabaseBytes == 0 ||
		st.Host.GetFqdn() != "www.vo.example.org" || len(st.RecordSets) != 1 || st.NameServers[0].State != "behind" {
		t.Error(st)
	}
	who, err := s.Servers.WhoAmI(s.Admin(), &pb.WhoAmIRequest{})
	if err != nil || who.Principal != "admin/first" || who.Kind != "admin" {
		t.Error(who, err)
	}
}

// The change is made: its caller is told so, also by a service that stops.
func TestAStopEndsTheWaitAndNotTheAnswer(t *testing.T) {
	addr, serial := nameServer(t)
	s := controltest.Start(t, func(c *controlapi.Config) { c.NameServers = []string{addr} })
	serial.Store(s.Zone("vo.example.org").Serial)
	done := make(chan error, 1)
	go func() {
		out, err := s.Hosts.CreateHost(s.Admin("wait", "visible"), &pb.CreateHostRequest{Fqdn: "www.vo.example.org"})
		if err == nil && (out.Secret == "" || len(out.Change.Visibility) != 1 || out.Change.Visibility[0].State != "behind") {
			t.Errorf("%v", out)
		}
		done <- err
	}()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(time.Millisecond) { // until it is made, and so waited for
		if _, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "www.vo.example.org"}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the host is not made")
		}
	}
	stopped := time.Now()
	s.Service.EndStreams()
	if err := <-done; err != nil || time.Since(stopped) > 8*time.Second { // by itself it ends after ten
		t.Errorf("answered after %s: %v", time.Since(stopped), err)
	}
}
