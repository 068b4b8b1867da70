package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

// newPart is an etcd of one member with a control service of its own, for zones that
// the shared server also serves.
func newPart(t *testing.T, server string) *cluster {
	t.Helper()
	return newPartAt(t, server, "127.0.0.1")
}

// newPartAt is newPart with etcd at another address of this machine.
func newPartAt(t *testing.T, server, etcd string) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir(), servers: []string{server}}
	client, peer := fmt.Sprintf("http://%s:%d", etcd, proctest.Port(t)), "http://"+proctest.Addr(proctest.Port(t))
	c.etcdEndpoints = []string{client}
	c.etcds = []*proctest.Proc{proctest.Start(t, c.dir, "etcd", "etcd", "--data-dir", "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error")}
	c.startControl(t, 0)
	return c
}

// TestTwoEtcdsBehindOneServer is docs/capacity.md's section on several etcds, with real
// processes: two etcds, a control service for each, one name server.
func TestTwoEtcdsBehindOneServer(t *testing.T) {
	t.Parallel() // it waits more than it works
	server := proctest.Addr(proctest.DNSPort(t))
	a, b := newPart(t, server), newPart(t, server)
	dir := t.TempDir()
	_, port, _ := strings.Cut(server, ":")
	directive := func(zones, name string, of *cluster) string {
		return fmt.Sprintf("signpost %s {\ncluster %s\nendpoint %s\nsnapshot %s.snapshot\n}\n", zones, name, of.etcdEndpoints[0], name)
	}
	corefile := ".:" + port + " {\nbind 127.0.0.1\nerrors\n" + directive(".", "a", a) + directive("b.example.org moved.example.org", "b", b) + "}\n"
	if err := os.WriteFile(filepath.Join(dir, "Corefile"), []byte(corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	names := proctest.Start(t, dir, "coredns", "coredns", "-conf", "Corefile")

	a.signpost(t, "zone", "create", "example.org", "--ns", "ns1.example.org=192.0.2.53")
	b.signpost(t, "zone", "create", "b.example.org", "--ns", "ns1.b.example.org=198.51.100.53")
	a.signpost(t, "record", "set", "b.example.org", "NS", "ns1.b.example.org")
	a.signpost(t, "record", "set", "ns1.b.example.org", "A", "198.51.100.53")
	a.signpost(t, "host", "create", "www.example.org", "--ip", "192.0.2.1", "--wait", "--quiet")
	b.signpost(t, "host", "create", "www.b.example.org", "--ip", "198.51.100.1", "--wait", "--quiet")
	check := func(name string, want ...string) { // no waiting: --wait has done it
		t.Helper()
		if err := proctest.Answers(server, name, dns.TypeA, want...); err != nil {
			t.Error(err)
		}
	}
	check("www.example.org", "192.0.2.1")
	check("www.b.example.org", "198.51.100.1")
	if _, err := proctest.CLI(t, b.dir, b.controlURLs[0], "admin.token", "host", "show", "www.example.org"); err == nil {
		t.Error("a control service knows a host that is in the other's etcd")
	}

	moveZone(t, server, a, b)

	b.etcds[0].Kill()
	a.signpost(t, "record", "set", "more.example.org", "A", "192.0.2.2", "--wait")
	check("more.example.org", "192.0.2.2")
	check("www.b.example.org", "198.51.100.1")
	if code := names.Stop(); code != 0 {
		t.Errorf("coredns exited with %d", code)
	}
	names.Restart()
	for name, want := range map[string]string{"www.example.org": "192.0.2.1", "www.b.example.org": "198.51.100.1"} {
		proctest.Until(t, "answer", func() error { return proctest.Answers(server, name, dns.TypeA, want) })
	}
	b.etcds[0].Restart()
	proctest.Until(t, "changes of the other again", func() error {
		_, err := proctest.CLI(t, b.dir, b.controlURLs[0], "admin.token", "record", "set", "more.b.example.org", "A", "198.51.100.2", "--wait")
		return err
	})
	check("more.b.example.org", "198.51.100.2")
	log, err := names.Log()
	if err != nil || !strings.Contains(string(log), "cluster b: ") {
		t.Errorf("the log does not say which etcd was away (%v):\n%s", err, log)
	}
}

// moveZone is docs/capacity.md's way to move a zone, where the ZONES say already that it
// is the other's: until that has it, it is answered from where it was.
func moveZone(t *testing.T, server string, a, b *cluster) {
	t.Helper()
	const zone = "moved.example.org"
	serial := func() uint32 {
		t.Helper()
		_, data, err := proctest.Ask(server, zone, dns.TypeSOA)
		if err != nil || len(data) != 1 {
			t.Fatalf("SOA of %s: %v, %v", zone, data, err)
		}
		n, err := strconv.ParseUint(strings.Fields(data[0])[2], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(n)
	}
	a.signpost(t, "zone", "create", zone, "--ns", "ns1."+zone+"=192.0.2.53")
	a.signpost(t, "host", "create", "www."+zone, "--ip", "192.0.2.3", "--wait", "--quiet")
	before := serial()
	file := filepath.Join(b.dir, "moved.zone")
	if err := os.WriteFile(file, []byte(a.signpost(t, "zone", "export", zone)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.signpost(t, "zone", "import", zone, file, "--wait")
	if after := serial(); int32(after-before) <= 0 { // RFC 1982
		t.Errorf("the serial was %d and is %d", before, after)
	}
	a.signpost(t, "zone", "delete", zone, "--force")
	if err := proctest.Answers(server, "www."+zone, dns.TypeA, "192.0.2.3"); err != nil {
		t.Error(err)
	}
}
