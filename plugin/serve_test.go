package signpost_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestZonesAndNamesComeAndGoWithoutAReload(t *testing.T) {
	w := newWorld(t)
	s := start(t, block("endpoint "+w.etcd.Endpoint()))
	s.says(t, "www.example.org", "A", "REFUSED") // a complete, empty state is a state
	w.zone("example.org")
	s.says(t, "www.example.org", "A", "NXDOMAIN")
	w.set("www.example.org", "A 192.0.2.1")
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
	w.set("www.example.org", "A 192.0.2.2", "TXT moved")
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.2")
	s.says(t, "www.example.org", "TXT", `NOERROR "moved"`)
	s.says(t, "www.example.org", "AAAA", "NOERROR")
	w.set("www.example.org")
	s.says(t, "www.example.org", "A", "NXDOMAIN")
	w.remove("example.org")
	s.says(t, "www.example.org", "A", "REFUSED")
}

func TestTheFrameOfAnAnswer(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.set("www.example.org", "A 192.0.2.1")
	s := start(t, block("endpoint "+w.etcd.Endpoint()))
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
	for _, network := range []string{"udp", "tcp"} {
		m := new(dns.Msg)
		m.SetQuestion("wWw.ExAmPlE.org.", dns.TypeA)
		m.SetEdns0(1400, true)
		r := s.send(t, network, m)
		switch opt := r.IsEdns0(); {
		case !r.Authoritative || r.RecursionAvailable || !r.RecursionDesired || r.Truncated:
			t.Errorf("%s: want AA, not RA, RD as asked, not TC: %v", network, r)
		case len(r.Answer) != 1 || r.Answer[0].Header().Name != "wWw.ExAmPlE.org.":
			t.Errorf("%s: the case of the question is not kept: %v", network, r)
		case opt == nil || opt.Version() != 0:
			t.Errorf("%s: no EDNS in the answer to a question with it: %v", network, r)
		}
		if r := s.ask(t, network, "nobody.example.org", "A"); r.Rcode != dns.RcodeNameError || len(r.Ns) != 1 || r.Ns[0].Header().Rrtype != dns.TypeSOA || r.IsEdns0() != nil {
			t.Errorf("%s: want NXDOMAIN with the SOA and no EDNS: %v", network, r)
		}
	}
}

func TestWhatDoesNotFitIsTruncatedOverUDPAndWholeOverTCP(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	long := `TXT "` + strings.Repeat("x", 200)
	w.set("big.example.org", long+`1"`, long+`2"`, long+`3"`, long+`4"`)
	s := start(t, block("endpoint "+w.etcd.Endpoint()))
	eventually(t, func() bool { return len(s.ask(t, "tcp", "big.example.org", "TXT").Answer) == 4 }, func() string { return "the four records do not come" })
	if r := s.ask(t, "udp", "big.example.org", "TXT"); !r.Truncated {
		t.Errorf("800 octets are not truncated for a client that takes 512: %v", r)
	}
	if r := s.ask(t, "tcp", "big.example.org", "TXT"); r.Truncated {
		t.Errorf("truncated over TCP: %v", r)
	}
	m := new(dns.Msg)
	m.SetQuestion("big.example.org.", dns.TypeTXT)
	m.SetEdns0(1232, false)
	if r := s.send(t, "udp", m); r.Truncated || len(r.Answer) != 4 {
		t.Errorf("truncated for a client that takes 1232: %v", r)
	}
}

// RFC 2181 section 9: TC is for what was asked, not for the favour of additional data.
func TestAdditionalDataThatDoesNotFitIsLeftOut(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("A 192.0.2.%d", i))
	}
	w.set("big.example.org", many...)
	w.set("mx.example.org", "MX 10 big.example.org.")
	s := start(t, block("endpoint "+w.etcd.Endpoint()))
	eventually(t, func() bool { return len(s.ask(t, "tcp", "mx.example.org", "MX").Extra) == 100 }, func() string { return "the MX does not come" })
	if r := s.ask(t, "udp", "mx.example.org", "MX"); r.Truncated || len(r.Answer) != 1 || len(r.Extra) != 0 {
		t.Errorf("truncated %v, %d answers, %d additional records; want the answer whole and alone", r.Truncated, len(r.Answer), len(r.Extra))
	}
}

func TestAQuestionGoesToTheLongestZoneAndDSAtItsApexToTheOneAbove(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.zone("child.example.org")
	w.zone("example.net")
	s := start(t, block("endpoint "+w.etcd.Endpoint()))
	s.says(t, "ns1.child.example.org", "A", "NOERROR 192.0.2.53")
	s.says(t, "ns1.example.net", "A", "NOERROR 192.0.2.53")
	for _, c := range []struct{ name, qtype, soa string }{
		{"child.example.org", "DS", "example.org."}, // NXDOMAIN or NODATA, of the zone above in any case
		{"child.example.org", "A", "child.example.org."},
		{"x.child.example.org", "DS", "child.example.org."},
		{"example.net", "DS", "example.net."},
	} {
		r := s.ask(t, "udp", c.name, c.qtype)
		if len(r.Ns) != 1 || r.Ns[0].Header().Name != c.soa {
			t.Errorf("%s %s is not answered by %s: %v", c.name, c.qtype, c.soa, r)
		}
	}
}

// CoreDNS gives DS of a server block's own zone to the block of a zone above.
func TestDSIsRoutedBetweenServerBlocks(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.zone("child.example.org")
	conf := func(zone string) string {
		return zone + ":{port} {\nbind 127.0.0.1\nsignpost {\nendpoint " + w.etcd.Endpoint() + "\n}\n}\n"
	}
	s := start(t, conf("example.org")+conf("child.example.org"))
	s.says(t, "ns1.child.example.org", "A", "NOERROR 192.0.2.53")
	if r := s.ask(t, "udp", "child.example.org", "DS"); len(r.Ns) != 1 || r.Ns[0].Header().Name != "example.org." {
		t.Errorf("DS is not answered by the zone above: %v", r)
	}
	alone := start(t, conf("child.example.org"))
	alone.says(t, "ns1.child.example.org", "A", "NOERROR 192.0.2.53")
	if r := alone.ask(t, "udp", "child.example.org", "DS"); len(r.Ns) != 1 || r.Ns[0].Header().Name != "child.example.org." {
		t.Errorf("DS is not answered by the zone itself when the one above is not in ZONES: %v", r)
	}
}

func TestZONESRestrictsWhichZonesAreServed(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.zone("dyn.example.org")
	w.zone("a.dyn.example.org")
	s := start(t, ".:{port} {\nbind 127.0.0.1\nsignpost dyn.example.org {\nendpoint "+w.etcd.Endpoint()+"\n}\n}")
	s.says(t, "ns1.a.dyn.example.org", "A", "NOERROR 192.0.2.53")
	s.says(t, "ns1.dyn.example.org", "A", "NOERROR 192.0.2.53")
	s.says(t, "ns1.example.org", "A", "REFUSED")
	w.remove("dyn.example.org")
	s.says(t, "ns1.dyn.example.org", "A", "REFUSED") // example.org contains it, and is not ours to serve
}

// behind is what the next plugin answers from.
const behind = "file testdata/behind.zone example.org example.net"

func TestANameInNoneOfOurZonesGoesToTheNextPlugin(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	s := start(t, block("endpoint "+w.etcd.Endpoint(), behind))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	s.says(t, "file.example.net", "A", "NOERROR 192.0.2.99")
	s.says(t, "file.example.org", "A", "NXDOMAIN") // ours, so nobody else is asked
	s.says(t, "file.example.com", "A", "REFUSED")
}

func TestFallthroughPassesOnNXDOMAINInOurZonesOnly(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.set("txt.example.org", "TXT here")
	s := start(t, block("endpoint "+w.etcd.Endpoint()+"\nfallthrough", behind))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	s.says(t, "file.example.org", "A", "NOERROR 192.0.2.99")
	s.says(t, "txt.example.org", "A", "NOERROR") // it exists, so it is not passed on

	some := start(t, block("endpoint "+w.etcd.Endpoint()+"\nfallthrough sub.example.org", behind))
	some.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	some.says(t, "file.example.org", "A", "NXDOMAIN")
	some.says(t, "file.sub.example.org", "A", "NOERROR 192.0.2.98")

	last := start(t, block("endpoint "+w.etcd.Endpoint()+"\nfallthrough"))
	last.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	last.says(t, "file.example.org", "A", "NXDOMAIN") // there is nobody to pass it on to
}

// Other plugins may change what we answer; the view must not notice.
func TestPluginsThatChangeMessagesDoNotChangeTheView(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.set("www.example.org", "A 192.0.2.1", "A 192.0.2.2")
	corefile := block("endpoint "+w.etcd.Endpoint(), "minimal", "loadbalance", "cache 3600", "rewrite stop {\nname exact alias.example.net www.example.org\n}", "rewrite ttl example.net 7")
	s := start(t, corefile)
	plain := start(t, block("endpoint "+w.etcd.Endpoint()))
	plain.says(t, "www.example.org", "A", "NOERROR 192.0.2.1 192.0.2.2")
	eventually(t, func() bool { return s.ask(t, "udp", "www.example.org", "A").Rcode == dns.RcodeSuccess }, func() string { return "no answer" })
	for range 20 {
		if r := s.ask(t, "udp", "alias.example.net", "A"); len(r.Answer) != 2 || r.Answer[0].Header().Name != "alias.example.net." {
			t.Fatalf("rewrite does not work: %v", r)
		}
		s.ask(t, "udp", "none.example.org", "A")
	}
	if r := plain.ask(t, "udp", "www.example.org", "A"); line(r) != "NOERROR 192.0.2.1 192.0.2.2" || r.Answer[0].Header().Name != "www.example.org." || r.Answer[0].Header().Ttl != 60 {
		t.Errorf("the view was changed: %v", r)
	}
	if r := plain.ask(t, "udp", "none.example.org", "A"); len(r.Ns) != 1 || r.Ns[0].Header().Name != "example.org." {
		t.Errorf("the view was changed: %v", r)
	}
}

// The cache plugin in our block keeps nothing of ours back.
func TestTheCachePluginIsBypassed(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.set("www.example.org", "A 192.0.2.1")
	s := start(t, block("endpoint "+w.etcd.Endpoint(), "cache 3600"))
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
	w.set("www.example.org", "A 192.0.2.2")
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.2")
}
