package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

// cluster is what the README's "Production" section starts.
type cluster struct {
	dir           string
	etcds         []*proctest.Proc
	controls      []*proctest.Proc
	names         []*proctest.Proc
	controlURLs   []string
	servers       []string // of DNS
	etcdEndpoints []string
	admins        []string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir()}
	c.startEtcd(t)
	c.servers = []string{proctest.Addr(proctest.DNSPort(t)), proctest.Addr(proctest.DNSPort(t))}
	for i := range 2 {
		c.startControl(t, i)
	}
	for i := range 2 {
		c.names = append(c.names, c.startName(t, i, c.servers[i], fmt.Sprintf("replica%d.snapshot", i)))
	}
	c.startChecker(t)
	return c
}

// startChecker starts the monitor of a site and waits until its votes count.
func (c *cluster) startChecker(t *testing.T) {
	t.Helper()
	admin := proctest.Addr(proctest.Port(t))
	proctest.Start(t, c.dir, "monitor", "signpostd", "monitor", "--etcd-endpoints", strings.Join(c.etcdEndpoints, ","), "--site", "north", "--admin-listen", admin)
	proctest.Until(t, "a checker", func() error {
		if out := c.signpost(t, "checker", "list", "-o", "json"); !strings.Contains(out, `"site": "north"`) {
			return errors.New(out)
		}
		return nil
	})
}

func (c *cluster) startEtcd(t *testing.T) {
	t.Helper()
	var peers []string
	var peerURLs []string
	for i := range 3 {
		c.etcdEndpoints = append(c.etcdEndpoints, "http://"+proctest.Addr(proctest.Port(t)))
		peerURLs = append(peerURLs, "http://"+proctest.Addr(proctest.Port(t)))
		peers = append(peers, fmt.Sprintf("e%d=%s", i, peerURLs[i]))
	}
	for i := range 3 {
		name := fmt.Sprintf("e%d", i)
		c.etcds = append(c.etcds, proctest.Start(t, c.dir, name, "etcd", "--name", name, "--data-dir", name,
			"--listen-client-urls", c.etcdEndpoints[i], "--advertise-client-urls", c.etcdEndpoints[i],
			"--listen-peer-urls", peerURLs[i], "--initial-advertise-peer-urls", peerURLs[i],
			"--initial-cluster", strings.Join(peers, ","), "--log-level", "error"))
	}
}

func (c *cluster) startControl(t *testing.T, i int, more ...string) {
	t.Helper()
	listen, admin := proctest.Addr(proctest.Port(t)), proctest.Addr(proctest.Port(t))
	c.controlURLs = append(c.controlURLs, "http://"+listen)
	c.admins = append(c.admins, "http://"+admin)
	c.controls = append(c.controls, proctest.Start(t, c.dir, fmt.Sprintf("control%d", i), "signpostd", append([]string{"serve",
		"--etcd-endpoints", strings.Join(c.etcdEndpoints, ","), "--http-listen", listen, "--admin-listen", admin,
		"--name-servers", strings.Join(c.servers, ",")}, more...)...))
	proctest.Until(t, "control service ready", func() error {
		status, body, err := proctest.Get(t.Context(), "http://"+listen+"/readyz", "", "")
		if err == nil && status != 200 {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
}

func (c *cluster) startName(t *testing.T, i int, addr, snapshot string) *proctest.Proc {
	t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	file := fmt.Sprintf("Corefile%d", i)
	corefile := fmt.Sprintf(".:%s {\n bind 127.0.0.1\n errors\n signpost {\n endpoint %s\n snapshot %s\n }\n}\n",
		port, strings.Join(c.etcdEndpoints, " "), snapshot)
	if err := os.WriteFile(filepath.Join(c.dir, file), []byte(corefile), 0o644); err != nil {
		t.Fatal(err)
	}
	return proctest.Start(t, c.dir, fmt.Sprintf("name%d", i), "coredns", "-conf", file)
}

func (c *cluster) signpost(t *testing.T, args ...string) string {
	t.Helper()
	out, err := proctest.CLI(t, c.dir, c.controlURLs[0], "admin.token", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// everywhere waits until all name servers answer this.
func (c *cluster) everywhere(t *testing.T, name string, qtype uint16, want ...string) {
	t.Helper()
	for _, s := range c.servers {
		proctest.Until(t, "answer", func() error { return proctest.Answers(s, name, qtype, want...) })
	}
}

// TestProduction is the README's production section with faults: three etcd, two
// signpostd, two coredns, all of them real processes.
func TestProduction(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := startCluster(t)
	c.signpost(t, "zone", "create", "vo.example.org", "--ns", "ns1.vo.example.org=192.0.2.53", "--ns", "ns2.vo.example.org=198.51.100.53")
	secret := strings.TrimSpace(c.signpost(t, "host", "create", "www.vo.example.org", "--ip", "192.0.2.1", "--wait", "--quiet"))
	const www = "www.vo.example.org"
	for _, s := range c.servers { // no waiting here: --wait has done it
		if err := proctest.Answers(s, www, dns.TypeA, "192.0.2.1"); err != nil {
			t.Errorf("after --wait: %v", err)
		}
	}
	update := func(control int, ip string) (int, string) {
		t.Helper()
		status, body, err := proctest.Get(t.Context(), c.controlURLs[control]+"/nic/update?myip="+ip, www, secret)
		if err != nil {
			t.Fatal(err)
		}
		return status, body
	}
	if status, body := update(1, "192.0.2.2"); status != 200 || body != "good 192.0.2.2" {
		t.Fatalf("update through the second control service: %d %q", status, body)
	}
	c.everywhere(t, www, dns.TypeA, "192.0.2.2")
	c.signpost(t, "record", "set", "_acme-challenge."+www, "TXT", `"a value"`)
	c.everywhere(t, "_acme-challenge."+www, dns.TypeTXT, `"a value"`)

	t.Run("import and export", func(t *testing.T) { c.importAndExport(t) })

	t.Run("An acknowledged change is never lost: two of three etcd members die and come back", func(t *testing.T) {
		if status, body := update(0, "192.0.2.3"); status != 200 || body != "good 192.0.2.3" {
			t.Fatalf("%d %q", status, body)
		}
		c.everywhere(t, www, dns.TypeA, "192.0.2.3")
		c.etcds[0].Kill()
		c.etcds[1].Kill()
		if status, body := update(0, "192.0.2.4"); status != 503 || body != "911" {
			t.Errorf("update without a quorum: %d %q, want 503 911", status, body)
		}
		c.etcds[0].Restart()
		c.etcds[1].Restart()
		proctest.Until(t, "updates again", func() error {
			if status, body := update(0, "192.0.2.5"); status != 200 {
				return fmt.Errorf("%d %q", status, body)
			}
			return nil
		})
		c.everywhere(t, www, dns.TypeA, "192.0.2.5")
	})

	t.Run("DNS does not need etcd", func(t *testing.T) {
		if code := c.names[1].Stop(); code != 0 {
			t.Errorf("coredns exited with %d", code)
		}
		for _, e := range c.etcds {
			e.Kill()
		}
		if err := proctest.Answers(c.servers[0], www, dns.TypeA, "192.0.2.5"); err != nil {
			t.Errorf("from memory: %v", err)
		}
		c.names[1].Restart()
		c.everywhere(t, www, dns.TypeA, "192.0.2.5")
		c.everywhere(t, "mail.import.example", dns.TypeA, "192.0.2.25")
	})

	t.Run("Unknown is not NXDOMAIN: a first start without etcd and snapshot", func(t *testing.T) {
		addr := proctest.Addr(proctest.DNSPort(t))
		c.startName(t, 9, addr, "never.snapshot")
		proctest.Until(t, "an answer", func() error {
			rcode, _, err := proctest.Ask(addr, "no.vo.example.org", dns.TypeA)
			if err == nil && rcode != dns.RcodeServerFailure {
				t.Fatalf("got %s, want SERVFAIL", dns.RcodeToString[rcode])
			}
			return err
		})
	})

	t.Run("etcd comes back", func(t *testing.T) {
		for _, e := range c.etcds {
			e.Restart()
		}
		proctest.Until(t, "updates again", func() error {
			if status, body := update(1, "192.0.2.6"); status != 200 {
				return fmt.Errorf("%d %q", status, body)
			}
			return nil
		})
		c.everywhere(t, www, dns.TypeA, "192.0.2.6")
		var serials []string
		for _, s := range c.servers {
			_, data, err := proctest.Ask(s, "vo.example.org", dns.TypeSOA)
			if err != nil {
				t.Fatal(err)
			}
			serials = append(serials, strings.Join(data, ""))
		}
		if serials[0] != serials[1] {
			t.Errorf("Every replica gives the same answer: %q and %q", serials[0], serials[1])
		}
	})

	t.Run("a control service without the master key refuses to start", func(t *testing.T) {
		p := proctest.Start(t, c.dir, "keyless", "signpostd", "serve", "--etcd-endpoints", strings.Join(c.etcdEndpoints, ","),
			"--http-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--master-key-file", "none.key", "--admin-token-file", "none.token")
		proctest.Until(t, "exit", func() error {
			if !p.Exited() {
				return fmt.Errorf("it still runs")
			}
			return nil
		})
		for _, f := range []string{"none.key", "none.token"} {
			if _, err := os.Stat(filepath.Join(c.dir, f)); err == nil {
				t.Errorf("it made %s", f)
			}
		}
		log, _ := os.ReadFile(filepath.Join(c.dir, "keyless.log"))
		if !strings.Contains(string(log), "set up with master key") {
			t.Errorf("it does not say which key is wanted: %s", log)
		}
	})

	for _, p := range append(c.controls, c.names...) {
		if code := p.Stop(); code != 0 {
			t.Errorf("%s exited with %d", p.Name, code)
		}
	}
}

func (c *cluster) importAndExport(t *testing.T) {
	const zone = `$ORIGIN import.example.
$TTL 300
@ IN SOA ns1 hostmaster 7 7200 900 1209600 60
@ IN NS ns1
ns1 IN A 192.0.2.53
mail IN A 192.0.2.25
@ IN MX 10 mail
`
	if err := os.WriteFile(filepath.Join(c.dir, "import.zone"), []byte(zone), 0o644); err != nil {
		t.Fatal(err)
	}
	c.signpost(t, "zone", "import", "import.example", "import.zone")
	c.everywhere(t, "mail.import.example", dns.TypeA, "192.0.2.25")
	c.everywhere(t, "import.example", dns.TypeMX, "10 mail.import.example.")
	out := c.signpost(t, "zone", "export", "import.example")
	for _, want := range []string{"mail.import.example.", "192.0.2.25", "SOA"} {
		if !strings.Contains(out, want) {
			t.Errorf("the export lacks %q:\n%s", want, out)
		}
	}
}
