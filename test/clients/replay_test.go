package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/proc/control"
	procdns "signpost/internal/proc/dns"
	"signpost/internal/store/localetcd"
	"signpost/test/proctest"
)

// service is a control service that takes the tokens of an identity provider, with a zone in
// which everybody registers names, and a name server.
type service struct {
	t        *testing.T
	url      string
	dns      string
	etcd     *localetcd.Server
	provider *oidctest.Provider
	admin    string // the file of the admin token
}

func serve(t *testing.T) *service {
	t.Helper()
	dir, s := t.TempDir(), &service{t: t, etcd: localetcd.New(t), provider: oidctest.New(t)}
	s.admin = filepath.Join(dir, "admin.token")
	c, err := control.Start(t.Context(), control.Config{
		EtcdEndpoints: []string{s.etcd.Endpoint()}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		MasterKeyFile: filepath.Join(dir, "master.key"), AdminTokenFile: s.admin, TrustedProxies: []string{"127.0.0.1/32"},
		Issuers: []oidc.Issuer{{Name: "egi", URL: s.provider.URL, AuthorizedParties: []string{oidctest.PublicClient}}},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s.url = c.URL()
	for _, line := range [][]string{
		{"zone", "create", "fedcloud.test", "--ns", "ns.example.net"},
		{"zone", "set", "fedcloud.test", "--register", "everyone"},
	} {
		if out, err := proctest.CLI(t, dir, s.url, s.admin, line...); err != nil {
			t.Fatal(out, err)
		}
	}
	s.dns = proctest.Addr(proctest.DNSPort(t))
	host, port, _ := strings.Cut(s.dns, ":")
	server, err := procdns.Start(fmt.Sprintf(".:%s {\n bind %s\n signpost fedcloud.test {\n  endpoint %s\n }\n}\n", port, host, s.etcd.Endpoint()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// answers waits until the name server answers just this; nothing: that there is no such name.
func (s *service) answers(name string, qtype uint16, want ...string) {
	s.t.Helper()
	proctest.Until(s.t, name, func() error {
		if len(want) > 0 {
			return proctest.Answers(s.dns, name, qtype, want...)
		}
		rcode, got, err := proctest.Ask(s.dns, name, qtype)
		if err == nil && (rcode != dns.RcodeNameError || len(got) > 0) {
			err = fmt.Errorf("%s: %s %v", name, dns.RcodeToString[rcode], got)
		}
		return err
	})
}

// caller is a program with its own patience and way of asking.
type caller struct {
	t       *testing.T
	service *service
	http    http.Client
	agent   string
	bearer  string
	from    string // its address, as a proxy tells
}

// get asks for a path, with user and password in the URL if there are any, as these programs
// write it.
func (c *caller) get(path, user, password string) (status int, body string, err error) {
	c.t.Helper()
	u, err := url.Parse(c.service.url + path)
	if err != nil {
		c.t.Fatal(err)
	}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("User-Agent", c.agent)
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	if c.from != "" {
		req.Header.Set("X-Forwarded-For", c.from)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(raw), errors.Join(err, resp.Body.Close())
}

// says asks and wants just this, with 200.
func (c *caller) says(path, user, password, want string) {
	c.t.Helper()
	if status, body, err := c.get(path, user, password); err != nil || status != http.StatusOK || body != want {
		c.t.Errorf("%s: %d %q, %v; want %q", path, status, body, err, want)
	}
}

// ---- The Infrastructure Manager

type manager struct{ caller }

func (s *service) manager() *manager {
	return &manager{caller{t: s.t, service: s, http: http.Client{Timeout: 10 * time.Second}, agent: "python-requests/2.32.3", bearer: s.provider.Token(nil)}}
}

// ok asks, and takes a 200 with status "ok" for done.
func (m *manager) ok(path string, into any) error {
	status, body, err := m.get(path, "", "")
	if err != nil {
		return err
	}
	var said struct{ Status string }
	if err := json.Unmarshal([]byte(body), &said); err != nil || status != http.StatusOK || said.Status != "ok" {
		return fmt.Errorf("%s: %d %s", path, status, body)
	}
	return json.Unmarshal([]byte(body), into)
}

type managedHost struct {
	Name   string
	IPv4   *string
	Secret string `json:"update_secret"`
}

// add gives a machine a name, as the releases of now do; asked is the paths that were asked for.
func (m *manager) add(host, domain, ip, more string) (made managedHost, asked []string, err error) {
	ok := func(path string, into any) error {
		asked = append(asked, strings.Split(path, "?")[0])
		return m.ok(path, into)
	}
	var domains struct {
		Private, Public []struct {
			Name      string
			Available bool
		}
	}
	if err := ok("/nic/domains", &domains); err != nil {
		return made, asked, err
	}
	found := false
	for _, d := range append(domains.Private, domains.Public...) {
		found = found || d.Name == domain && d.Available
	}
	if !found {
		return made, asked, fmt.Errorf("the domain %s is not available: %v", domain, domains)
	}
	var hosts struct{ Hosts []managedHost }
	if err := ok("/nic/hosts?domain="+domain, &hosts); err != nil {
		return made, asked, err
	}
	there := false
	for _, h := range hosts.Hosts {
		if h.Name != host {
			continue
		}
		if there = true; h.IPv4 != nil && *h.IPv4 == ip {
			return made, asked, nil
		}
	}
	if !there {
		var out struct{ Host managedHost }
		if err := ok("/nic/register?fqdn="+host+"."+domain+"&comment=IM%20created%20DNS%20entry"+more, &out); err != nil {
			return made, asked, err
		}
		made = out.Host
	}
	path := "/nic/update?hostname=" + host + "." + domain + "&myip=" + ip
	asked = append(asked, "/nic/update")
	if status, body, err := m.get(path, "", ""); err != nil || status != http.StatusOK || body != "good "+ip {
		return made, asked, fmt.Errorf("%s: %d %q, %w", path, status, body, err)
	}
	return made, asked, nil
}

func TestReplayInfrastructureManager(t *testing.T) {
	s := serve(t)
	m := s.manager()
	want := func(asked []string, err error, paths string) {
		t.Helper()
		if err != nil || strings.Join(asked, " ") != paths {
			t.Errorf("asked for %v, %v; want %s", asked, err, paths)
		}
	}
	_, asked, err := m.add("front", "fedcloud.test", "192.0.2.7", "")
	want(asked, err, "/nic/domains /nic/hosts /nic/register /nic/update")
	s.answers("front.fedcloud.test", dns.TypeA, "192.0.2.7")
	_, asked, err = m.add("front", "fedcloud.test", "192.0.2.7", "")
	want(asked, err, "/nic/domains /nic/hosts") // that address is set
	_, asked, err = m.add("front", "fedcloud.test", "192.0.2.8", "")
	want(asked, err, "/nic/domains /nic/hosts /nic/update")
	s.answers("front.fedcloud.test", dns.TypeA, "192.0.2.8")
	_, asked, err = m.add("any", "fedcloud.test", "192.0.2.9", "&wildcard=true")
	want(asked, err, "/nic/domains /nic/hosts /nic/register /nic/update")
	s.answers("deep.below.any.fedcloud.test", dns.TypeA, "192.0.2.9")
	if _, _, err := m.add("front", "example.org", "192.0.2.7", ""); err == nil {
		t.Error("a name in a domain that is not ours")
	}
	for _, host := range []string{"front", "any"} {
		var out struct{ Host managedHost }
		if err := m.ok("/nic/unregister?fqdn="+host+".fedcloud.test", &out); err != nil {
			t.Error(err)
		}
		s.answers(host+".fedcloud.test", dns.TypeA)
	}
	// One name for several machines at once: as many requests as it sends in its ten seconds.
	for i := range 10 {
		if _, _, err := m.add(fmt.Sprintf("wn%d", i), "fedcloud.test", fmt.Sprintf("192.0.2.%d", 100+i), ""); err != nil {
			t.Error(err)
		}
	}
}

// Older releases read the secret and update with it, as Basic.
func TestReplayOlderInfrastructureManager(t *testing.T) {
	s := serve(t)
	m := s.manager()
	made, _, err := m.add("old", "fedcloud.test", "192.0.2.7", "")
	if err != nil || made.Secret == "" {
		t.Fatal(made, err)
	}
	m.bearer = ""
	m.says("/nic/update?hostname=old.fedcloud.test&myip=192.0.2.8", "old.fedcloud.test", made.Secret, "good 192.0.2.8")
	m.says("/nic/update?hostname=old.fedcloud.test&myip=192.0.2.8", "old.fedcloud.test", made.Secret, "nochg 192.0.2.8")
	s.answers("old.fedcloud.test", dns.TypeA, "192.0.2.8")
}

// ---- Those with a host's secret

func (s *service) machine(fqdn, agent string, patience time.Duration) (*caller, string) {
	s.t.Helper()
	out, err := proctest.CLI(s.t, s.t.TempDir(), s.url, s.admin, "host", "create", fqdn, "--quiet")
	if err != nil {
		s.t.Fatal(out, err)
	}
	return &caller{t: s.t, service: s, http: http.Client{Timeout: patience}, agent: agent}, strings.TrimSpace(out)
}

// Any 200 within 4 s is success to it, every minute: so there must be none when it is not done.
func TestReplayFailOverScript(t *testing.T) {
	s := serve(t)
	const name = "ha.fedcloud.test"
	c, secret := s.machine(name, "Python-urllib/3.11", 4*time.Second)
	at := func(ip string) string { return "/nic/update?hostname=" + name + "&myip=" + ip }
	c.says(at("192.0.2.1"), name, secret, "good 192.0.2.1")
	for range 3 {
		c.says(at("192.0.2.1"), name, secret, "nochg 192.0.2.1")
	}
	c.says(at("192.0.2.2"), name, secret, "good 192.0.2.2")
	s.answers(name, dns.TypeA, "192.0.2.2")
	s.etcd.Stop()
	for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		began := time.Now()
		status, body, err := c.get(at(ip), name, secret)
		if err != nil || status != http.StatusServiceUnavailable || body != "911" {
			t.Errorf("without etcd, after %s: %d %q, %v", time.Since(began), status, body, err)
		}
	}
	s.answers(name, dns.TypeA, "192.0.2.2") // as before
	if err := s.etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	proctest.Until(t, "etcd to be back", func() error {
		status, body, err := c.get(at("192.0.2.1"), name, secret)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
	s.answers(name, dns.TypeA, "192.0.2.1")
}

// What it is told begins with good, nochg or badauth, or there is an alarm.
func TestReplayMonitoringProbe(t *testing.T) {
	s := serve(t)
	const name = "probe.fedcloud.test"
	c, secret := s.machine(name, "curl/7.88.1", 10*time.Second)
	c.from = "198.51.100.3"
	for _, tt := range []struct{ user, secret, want string }{
		{name, secret, "good 198.51.100.3"}, {name, secret, "nochg 198.51.100.3"}, {name, "wrong", "badauth"}, {"none.fedcloud.test", secret, "badauth"},
		{name, secret, "nochg 198.51.100.3"},
	} {
		if _, body, err := c.get("/nic/update", tt.user, tt.secret); err != nil || body != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.user, body, err, tt.want)
		}
	}
}

// "changed" is whether there is a good in the answer; the default address is often private.
func TestReplayAnsibleTask(t *testing.T) {
	s := serve(t)
	const name = "node.fedcloud.test"
	c, secret := s.machine(name, "ansible-httpget", 10*time.Second)
	for i, tt := range []struct {
		ip      string
		changed bool
	}{{"10.0.0.5", true}, {"10.0.0.5", false}, {"192.168.7.9", true}, {"192.168.7.9", false}} {
		status, body, err := c.get("/nic/update?myip="+tt.ip, name, secret)
		if err != nil || status != http.StatusOK || strings.Contains(body, "good") != tt.changed {
			t.Errorf("task %d: %d %q, %v; changed: %v", i, status, body, err, tt.changed)
		}
	}
	s.answers(name, dns.TypeA, "192.168.7.9")
}

// At every boot, with the address that the request comes from; with another one after the
// machine was moved.
func TestReplayCloudInit(t *testing.T) {
	s := serve(t)
	const name = "vm.fedcloud.test"
	c, secret := s.machine(name, "curl/7.88.1", 0)
	for _, tt := range []struct{ from, want string }{
		{"198.51.100.4", "good 198.51.100.4"}, {"198.51.100.4", "nochg 198.51.100.4"}, {"198.51.100.4", "nochg 198.51.100.4"},
		{"203.0.113.4", "good 203.0.113.4"}, {"2001:db8::4", "good 2001:db8::4"}, {"2001:db8::4", "nochg 2001:db8::4"},
	} {
		c.from = tt.from
		c.says("/nic/update", name, secret, tt.want)
	}
	s.answers(name, dns.TypeA, "203.0.113.4")
	s.answers(name, dns.TypeAAAA, "2001:db8::4")
}
