package signpost_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	signpost "signpost/plugin"
)

// twoEtcds is an etcd with example.org, in which b.example.org is delegated, and one
// with b.example.org itself.
type twoEtcds struct {
	a, b *world
	dir  string
}

func newTwoEtcds(t *testing.T) twoEtcds {
	t.Helper()
	two := twoEtcds{newWorld(t), newWorld(t), t.TempDir()}
	two.a.zone("example.org")
	two.a.set("www.example.org", "A 192.0.2.1")
	two.a.set("alias.example.org", "CNAME www.b.example.org.")
	two.a.set("b.example.org", "NS ns1.b.example.org.", "DS 1 13 2 "+strings.Repeat("ab", 32))
	two.a.set("ns1.b.example.org", "A 192.0.2.53")
	two.a.set("gone.b.example.org", "A 192.0.2.9") // below the delegation: nobody sees it
	two.b.zone("b.example.org")
	two.b.set("www.b.example.org", "A 198.51.100.1")
	return two
}

func (two twoEtcds) directive(zones, cluster string, of *world, more string) string {
	return fmt.Sprintf("signpost %s {\ncluster %s\nendpoint %s\nsnapshot %s/%s\n%s\n}\n", zones, cluster, of.etcd.Endpoint(), two.dir, cluster, more)
}

// oneBlock has both in one server block, of which more says what else.
func (two twoEtcds) oneBlock(more string) string {
	return "example.org:{port} {\nbind 127.0.0.1\n" + more + two.directive("example.org", "a", two.a, "") + two.directive("b.example.org", "b", two.b, "") + "}\n"
}

func (two twoEtcds) twoBlocks(more string) string {
	return "example.org:{port} {\nbind 127.0.0.1\n" + more + two.directive("", "a", two.a, "") + "}\n" +
		"b.example.org:{port} {\nbind 127.0.0.1\n" + more + two.directive("", "b", two.b, "") + "}\n"
}

func TestTwoEtcdsAnswerAsOneServer(t *testing.T) {
	for name, corefile := range map[string]func(twoEtcds, string) string{"in one server block": twoEtcds.oneBlock, "in two server blocks": twoEtcds.twoBlocks} {
		t.Run(name, func(t *testing.T) {
			two := newTwoEtcds(t)
			page := httpAddr(t)
			text := corefile(two, "prometheus "+page+"\ntransfer {\nto *\n}\n")
			s := startUnstopped(t, text)
			stop := func(s *server) {
				if err := s.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
			s.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.1")
			s.says(t, "none.example.org", "A", "NXDOMAIN")
			s.says(t, "gone.b.example.org", "A", "NXDOMAIN") // the child's word, not the parent's
			s.says(t, "www.example.net", "A", "REFUSED")
			// A resolver goes on to the target, as between any two servers.
			s.says(t, "alias.example.org", "A", "NOERROR www.b.example.org.")
			if r := s.ask(t, "udp", "b.example.org", "DS"); len(r.Answer) != 1 || !r.Authoritative {
				t.Errorf("DS is not answered by the parent: %v", r)
			}
			if r := s.ask(t, "udp", "b.example.org", "SOA"); len(r.Answer) != 1 || !r.Authoritative {
				t.Errorf("the child's SOA is not answered: %v", r)
			}
			for _, zone := range []string{"example.org.", "b.example.org."} {
				if got, _ := s.transfer(t, func(m *dns.Msg) { m.SetAxfr(zone) }); len(got) == 0 || !got[zone+" NS ns1."+zone] {
					t.Errorf("%s is transferred as %v", zone, got)
				}
			}
			for cluster, names := range map[string]string{"a": "6", "b": "2"} {
				labels := fmt.Sprintf(`server="dns://%s",cluster="%s"`, s.addr, cluster)
				if got := series(t, page, "names", labels); got != names {
					t.Errorf("cluster %s has %q names, want %s", cluster, got, names)
				}
				if got := series(t, page, "ready", labels); got != "1" {
					t.Errorf("cluster %s: ready is %q", cluster, got)
				}
			}

			// One etcd down is nothing to the names of the other, nor to its own.
			two.b.etcd.Stop()
			two.a.set("www.example.org", "A 192.0.2.2")
			s.says(t, "www.example.org", "A", "NOERROR 192.0.2.2")
			s.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.1")
			stop(s)
			again := startUnstopped(t, text)
			for range 2 {
				again.says(t, "www.example.org", "A", "NOERROR 192.0.2.2")
				again.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.1")
			}
			stop(again)

			// Without a snapshot its names are not known, which is not NXDOMAIN.
			for _, f := range []string{"b", "b.1"} {
				if err := os.Remove(filepath.Join(two.dir, f)); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			page = httpAddr(t)
			bare := start(t, corefile(two, "prometheus "+page+"\n"))
			bare.says(t, "www.example.org", "A", "NOERROR 192.0.2.2")
			bare.says(t, "www.b.example.org", "A", "SERVFAIL")
			bare.says(t, "none.example.org", "A", "NXDOMAIN")
			labels := fmt.Sprintf(`server="dns://%s",cluster="b"`, bare.addr)
			if got := series(t, page, "ready", labels); got != "0" {
				t.Errorf("cluster b that has never been seen: ready is %q", got)
			}
		})
	}
}

// ZONES say who is asked first; a zone that is nowhere else is the others'.
func TestWhatOneEtcdDoesNotHaveTheOtherIsAskedFor(t *testing.T) {
	two := newTwoEtcds(t)
	ready := httpAddr(t)
	s := start(t, two.oneBlock("ready "+ready+"\n"))
	s.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.1")
	code, body := 0, ""
	eventually(t, func() bool {
		code, body = get(t, "http://"+ready+"/ready")
		return code == 200
	}, func() string { return fmt.Sprintf("ready says %d %s", code, body) })
	two.b.remove("b.example.org")
	referred := func() *dns.Msg { return s.ask(t, "udp", "www.b.example.org", "A") }
	eventually(t, func() bool { return len(referred().Ns) == 1 }, func() string { return fmt.Sprint("no referral: ", referred()) })
	if r := referred(); r.Authoritative || r.Ns[0].Header().Rrtype != dns.TypeNS {
		t.Errorf("without the child the parent does not refer: %v", r)
	}
}

// A zone moves from one etcd to the other while it is answered, and is counted on.
func TestAZoneMovesBetweenEtcds(t *testing.T) {
	two := newTwoEtcds(t)
	two.b.remove("b.example.org")
	two.a.zone("b.example.org")
	two.a.set("www.b.example.org", "A 192.0.2.3")
	page := httpAddr(t)
	s := start(t, two.oneBlock("prometheus "+page+"\n"))
	s.says(t, "www.b.example.org", "A", "NOERROR 192.0.2.3")
	two.b.zone("b.example.org")
	two.b.set("www.b.example.org", "A 198.51.100.3")
	s.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.3")
	two.a.remove("b.example.org")
	labels := fmt.Sprintf(`server="dns://%s",cluster="%%s",zone="b.example.org.",rcode="NOERROR"`, s.addr)
	eventually(t, func() bool { return series(t, page, "answers_total", fmt.Sprintf(labels, "a")) == "" }, func() string {
		return "the series of the zone that is gone is still there"
	})
	if got := series(t, page, "answers_total", fmt.Sprintf(labels, "b")); got == "" {
		t.Error("the zone's answers are not counted any more")
	}
	s.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.3")
}

// The word in ready is for all of a block: one that has never seen its etcd answers SERVFAIL.
func TestABlockIsReadyWhenAllItsEtcdsAreKnown(t *testing.T) {
	two := newTwoEtcds(t)
	two.b.etcd.Stop()
	ready := httpAddr(t)
	s := start(t, two.oneBlock("ready "+ready+"\n"))
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
	if code, body := get(t, "http://"+ready+"/ready"); code != 503 || body != "signpost" {
		t.Errorf("ready says %d %s", code, body)
	}
	for qtype, want := range map[string]string{"DS": "NOERROR 1 13 2", "NS": "SERVFAIL"} { // DS is the parent's
		if got := line(s.ask(t, "udp", "b.example.org", qtype)); !strings.HasPrefix(got, want) {
			t.Errorf("%s of a zone whose etcd was never seen is answered with %s", qtype, got)
		}
	}
}

// In batches the directive answers that has listen batch, the others in the chain.
func TestOneOfSeveralAnswersInBatches(t *testing.T) {
	two := newTwoEtcds(t)
	s := start(t, "example.org:{port} {\nbind 127.0.0.1\n"+two.directive("example.org", "a", two.a, "")+two.directive("b.example.org", "b", two.b, "listen batch 1")+"}\n")
	s.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.1")
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
	before, _ := signpost.BatchPackets(s.addr)
	s.says(t, "www.b.example.org", "A", "NOERROR 198.51.100.1")
	eventually(t, func() bool { // an answer is counted after it was sent
		after, _ := signpost.BatchPackets(s.addr)
		return after > before
	}, func() string { return "nothing was answered in batches" })
}

func TestTwoEtcdsWithOneSnapshotAreRefused(t *testing.T) {
	two := newTwoEtcds(t)
	text := two.oneBlock("")
	refused(t, strings.Replace(text, two.dir+"/b", two.dir+"/a", 1), "give each its own file")
	refused(t, strings.Replace(text, "cluster b", "cluster a", 1), "give each a name of its own")
}
