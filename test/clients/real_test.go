package clients

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/proc/control"
	"signpost/internal/proc/dev"
	"signpost/internal/store/localetcd"
	"signpost/test/bench/peer"
	"signpost/test/proctest"
)

var interop = flag.Bool("interop", false, "install and run ddclient, inadyn, curl and dig")

// client is a program as its distribution packages it.
type client struct {
	t     *testing.T
	dev   *dev.Dev
	url   string // of the service
	token string // the file with an admin's
	host  string
	dir   string
	runs  int
}

func newClient(t *testing.T, program, packages string) *client {
	t.Helper()
	need(t, program, packages)
	need(t, "dig", "bind9-dnsutils")
	d, _, _ := start(t)
	return &client{t: t, dev: d, url: d.Addresses.HTTP, token: d.Addresses.AdminTokenFile, host: "router.fedcloud.test", dir: t.TempDir()}
}

// withoutEtcd is a client of a service that has just lost its etcd, and gives a way to
// bring that back.
func withoutEtcd(t *testing.T, program, packages string) (c *client, secret string, back func()) {
	t.Helper()
	need(t, program, packages)
	etcd, dir := localetcd.New(t), t.TempDir()
	token := filepath.Join(dir, "admin.token")
	s, err := control.Start(t.Context(), control.Config{
		EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		MasterKeyFile: filepath.Join(dir, "master.key"), AdminTokenFile: token,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c = &client{t: t, url: s.URL(), token: token, host: "router.fedcloud.test", dir: t.TempDir()}
	if out, err := proctest.CLI(t, c.dir, c.url, c.token, "zone", "create", "fedcloud.test", "--ns", "ns.example.net"); err != nil {
		t.Fatal(out, err)
	}
	secret = c.create(c.host)
	etcd.Stop()
	return c, secret, func() {
		if err := etcd.Restart(); err != nil {
			t.Fatal(err)
		}
		proctest.Until(t, "etcd to be back", func() error {
			code, body, err := proctest.Get(t.Context(), c.url+"/readyz", "", "")
			if err == nil && code != http.StatusOK {
				err = errors.New(body)
			}
			return err
		})
	}
}

// need installs what is missing; where that cannot be, the test is skipped and says why.
func need(t *testing.T, program, packages string) {
	t.Helper()
	if !*interop {
		t.Skip("it installs packages: make interop")
	}
	why := (&peer.Site{Install: true}).Need(packages, func() bool {
		_, err := exec.LookPath(program)
		return err == nil
	})
	if why != "" {
		t.Skip(program, ": ", why)
	}
}

func (c *client) create(fqdn string) (secret string) {
	c.t.Helper()
	out, err := proctest.CLI(c.t, c.dir, c.url, c.token, "host", "create", fqdn, "--quiet")
	if err != nil {
		c.t.Fatal(out, err)
	}
	return strings.TrimSpace(out)
}

// file writes a configuration of the manual, made one for this server.
func (c *client) file(text, secret string, change ...string) string {
	c.t.Helper()
	at, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	text = strings.NewReplacer(append(change, "https://dns.example.org", c.url, "dns.example.org", at.Host, "www.vo.example.org", c.host, "SECRET", secret)...).Replace(text)
	c.runs++
	file := filepath.Join(c.dir, "conf"+string(rune('0'+c.runs)))
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return file
}

// run gives what a program prints, which is to have some words in it.
func (c *client) run(words []string, program string, args ...string) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), program, args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "no_proxy=*")
	out, err := cmd.CombinedOutput()
	for _, w := range words {
		if !strings.Contains(string(out), w) {
			c.t.Errorf("%s %v: %v, without %q:\n%s", program, args, err, w, out)
		}
	}
}

// answers waits until dig is told just this by every replica.
func (c *client) answers(name string, qtype uint16, want ...string) {
	c.t.Helper()
	for _, server := range c.dev.Addresses.DNS {
		host, port, _ := strings.Cut(server, ":")
		proctest.Until(c.t, name, func() error {
			args := []string{"+short", "+tries=1", "+time=2", "@" + host, "-p", port, name, dns.TypeToString[qtype]}
			out, err := exec.CommandContext(c.t.Context(), "dig", args...).CombinedOutput()
			got := strings.Fields(string(out))
			slices.Sort(got)
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("dig %v says %v, want %v", args, got, want)
			}
			return err
		})
	}
}

func (c *client) ddclient(file, cache string, words ...string) {
	c.t.Helper()
	c.run(words, "ddclient", "-daemon=0", "-foreground", "-verbose", "-noquiet", "-file", file, "-cache", filepath.Join(c.dir, cache), "-pid", filepath.Join(c.dir, "pid"))
}

// ddclientHas is what makes the manual's configuration one for an address.
func ddclientHas(address string) []string {
	return []string{"ssl=yes", "ssl=no", "use=web, web=https://dns.example.org/myip", "use=cmd, cmd='/bin/echo " + address + "'"}
}

// Our side cannot commit: nothing is taken for done, and tried again it is.
func TestDdclientTriesAgain(t *testing.T) {
	c, secret, back := withoutEtcd(t, "ddclient", "ddclient libio-socket-ssl-perl")
	block := manual(t, "# /etc/ddclient.conf")[0]
	soon := append(ddclientHas("192.0.2.41"), "protocol=", "min-error-interval=0\nprotocol=") // by default it waits for five minutes
	c.ddclient(c.file(block, secret, soon...), "a", "503 Service Unavailable")
	back()
	c.ddclient(c.file(block, secret, soon...), "a", "good: IP address set to 192.0.2.41")
}

func TestInadynTriesAgain(t *testing.T) {
	c, secret, back := withoutEtcd(t, "inadyn", "inadyn")
	program, args := c.inadynArgs("192.0.2.42", secret, "a")
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, program, args...) // it waits to try again, for minutes
	cmd.Dir = c.dir
	said, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	text := ""
	for lines := bufio.NewScanner(said); !strings.Contains(text, "911") && lines.Scan(); {
		text += lines.Text() + "\n"
	}
	stop()
	_ = cmd.Wait() // it was ended
	if !strings.Contains(text, "503 Service Unavailable") || strings.Contains(text, "Successful alias table update") {
		t.Errorf("inadyn says\n%s", text)
	}
	back()
	c.inadyn("192.0.2.42", secret, "a", "good 192.0.2.42")
}

func TestDdclient(t *testing.T) {
	c := newClient(t, "ddclient", "ddclient libio-socket-ssl-perl")
	secret := c.create(c.host)
	block := manual(t, "# /etc/ddclient.conf")[0]
	run, given := c.ddclient, ddclientHas
	run(c.file(block, secret, given("192.0.2.21")...), "a", "good: IP address set to 192.0.2.21")
	c.answers(c.host, dns.TypeA, "192.0.2.21")
	run(c.file(block, secret, given("192.0.2.21")...), "b", "nochg") // with another cache it asks again
	run(c.file(block, secret, "ssl=yes", "ssl=no"), "c", "good: IP address set to 127.0.0.1")
	c.answers(c.host, dns.TypeA, "127.0.0.1")
	run(c.file(block, "wrong", given("192.0.2.22")...), "d", "FAILED", "badauth")
	run(c.file(block, secret, given("2001:db8::21")...), "e", "good: IP address set to 2001:db8::21")
	c.answers(c.host, dns.TypeA, "127.0.0.1")
	c.answers(c.host, dns.TypeAAAA, "2001:db8::21")

	other := "second.fedcloud.test"
	c.create(other)
	token, err := os.ReadFile(c.token)
	if err != nil {
		t.Fatal(err)
	}
	two := strings.TrimSuffix(block, "www.vo.example.org") + "www.vo.example.org," + other
	run(c.file(two, strings.TrimSpace(string(token)), given("192.0.2.23")...), "f", "updating "+c.host+": good: IP address set to 192.0.2.23", "updating "+other+": good: IP address set to 192.0.2.23")
	c.answers(c.host, dns.TypeA, "192.0.2.23")
	c.answers(other, dns.TypeA, "192.0.2.23")
}

// inadyn runs with the manual's configuration; another cache makes it ask again.
func (c *client) inadyn(address, secret, cache string, words ...string) {
	c.t.Helper()
	program, args := c.inadynArgs(address, secret, cache)
	c.run(words, program, args...)
}

func (c *client) inadynArgs(address, secret, cache string, change ...string) (program string, args []string) {
	c.t.Helper()
	block := strings.NewReplacer(change...).Replace(manual(c.t, "# /etc/inadyn.conf")[0])
	file := c.file(block, secret, "ssl            = true", "ssl = false",
		"checkip-server = dns.example.org", `checkip-command = "/bin/echo `+address+`"`, "    checkip-path   = /myip\n", "")
	cache = filepath.Join(c.dir, cache)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		c.t.Fatal(err)
	}
	return "inadyn", []string{"-1", "-n", "-l", "debug", "-f", file, "--cache-dir=" + cache, "-P", filepath.Join(c.dir, "pid")}
}

func TestInadyn(t *testing.T) {
	c := newClient(t, "inadyn", "inadyn")
	secret := c.create(c.host)
	run := c.inadyn
	run("192.0.2.33", secret, "a", "good 192.0.2.33")
	c.answers(c.host, dns.TypeA, "192.0.2.33")
	run("192.0.2.33", secret, "b", "nochg 192.0.2.33")
	run("2001:db8::33", secret, "c", "good 2001:db8::33")
	c.answers(c.host, dns.TypeAAAA, "2001:db8::33")
	c.answers(c.host, dns.TypeA, "192.0.2.33")
	run("192.0.2.34", "wrong", "d", "badauth")
	c.answers(c.host, dns.TypeA, "192.0.2.33")

	other := "second.fedcloud.test"
	c.create(other)
	token, err := os.ReadFile(c.token)
	if err != nil {
		t.Fatal(err)
	}
	program, args := c.inadynArgs("192.0.2.35", strings.TrimSpace(string(token)), "e", "{ www.vo.example.org }", "{ www.vo.example.org, "+other+" }")
	c.run([]string{"good 192.0.2.35", "Successful alias table update for " + c.host, "Successful alias table update for " + other}, program, args...)
	c.answers(c.host, dns.TypeA, "192.0.2.35")
	c.answers(other, dns.TypeA, "192.0.2.35")
}
