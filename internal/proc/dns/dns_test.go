package dns

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/proc/ports"
)

func corefile(t *testing.T, plugins ...string) (text, addr string) {
	t.Helper()
	port, err := ports.Pairs("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(".:%d {\nbind 127.0.0.1\n%s\n}", port, strings.Join(plugins, "\n")), fmt.Sprintf("127.0.0.1:%d", port)
}

func rcode(t *testing.T, addr string) int {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("www.example.org.", dns.TypeA)
	r, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(m, addr)
	if err != nil {
		t.Fatal(err)
	}
	return r.Rcode
}

func TestAServerStartsReloadsAndStops(t *testing.T) {
	text, addr := corefile(t, "whoami")
	s, err := Start(text)
	if err != nil {
		t.Fatal(err)
	}
	if udp, tcp := s.UDP(), s.TCP(); len(udp) != 1 || len(tcp) != 1 || udp[0].String() != addr || tcp[0].String() != addr {
		t.Errorf("it listens on %v and %v, not on %s", udp, tcp, addr)
	}
	if got := rcode(t, addr); got != dns.RcodeSuccess {
		t.Errorf("whoami is answered with %s", dns.RcodeToString[got])
	}
	if err := s.Reload(strings.Replace(text, "whoami", "acl {\nblock\n}", 1)); err != nil {
		t.Fatal(err)
	}
	if got := rcode(t, addr); got != dns.RcodeRefused {
		t.Errorf("after the reload the answer is %s", dns.RcodeToString[got])
	}
	if err := s.Reload("no Corefile {"); err == nil {
		t.Error("this was loaded")
	}
	if got := rcode(t, addr); got != dns.RcodeRefused {
		t.Errorf("after a reload that failed the answer is %s", dns.RcodeToString[got])
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again, err := Start(text) // on the same port: it was given back
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestWhatDoesNotStartReturnsAndSaysWhy(t *testing.T) {
	text, _ := corefile(t, "whoami", "file testdata/none.zone", "colour red")
	if _, err := Start(text); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("the error does not tell of the unknown directive: %v", err)
	}
}
