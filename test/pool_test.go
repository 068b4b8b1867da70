package test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

// What the checks of these tests say.
const (
	poolZone     = "pool.example.org"
	poolInterval = time.Second
	poolTimeout  = 500 * time.Millisecond
	poolFall     = 3
	poolRise     = 2
)

var poolSites = []string{"north", "south", "east"}

// pool is an etcd, a control service, two name servers, the monitors of three sites, and
// what they check.
type pool struct {
	*cluster
	t        *testing.T                // of the whole
	monitors map[string]*proctest.Proc // by site
	ready    map[string]string         // where each says whether it is ready
	nets     nets
	mu       sync.Mutex
	all      []*instance
}

// nets is on which networks a pool is.
type nets struct {
	etcd      string                            // etcd's address
	allow     string                            // where checks may go
	instances func(site string, n int) string   // the address of the n-th instance
	monitor   func(site string) (admin string)  // where a monitor listens
	within    func(site string) (line []string) // what a monitor is started with
}

var onLoopback = nets{
	"127.0.0.1", "127.0.0.0/8", func(_ string, n int) string { return fmt.Sprintf("127.0.1.%d", n) },
	func(string) string { return "127.0.0.1" }, func(string) []string { return nil },
}

func startPool(t *testing.T) *pool {
	t.Helper()
	return startPoolOn(t, onLoopback)
}

func startPoolOn(t *testing.T, nets nets) *pool {
	t.Helper()
	c := newPartAt(t, proctest.Addr(proctest.DNSPort(t)), nets.etcd)
	c.servers = append(c.servers, proctest.Addr(proctest.DNSPort(t)))
	for i, s := range c.servers {
		c.names = append(c.names, c.startName(t, i, s, fmt.Sprintf("replica%d.snapshot", i)))
	}
	p := &pool{cluster: c, t: t, nets: nets, monitors: map[string]*proctest.Proc{}, ready: map[string]string{}}
	c.signpost(t, "zone", "create", poolZone, "--ns", "ns1."+poolZone+"=127.0.0.1", "--local-addresses=on")
	c.everywhere(t, "ns1."+poolZone, dns.TypeA, "127.0.0.1")
	return p
}

// startMonitor starts the monitor of a site; who differs for one that stands by.
func (p *pool) startMonitor(t *testing.T, site, who string) *proctest.Proc {
	t.Helper()
	file, admin := "monitor-"+who+".yaml", net.JoinHostPort(p.nets.monitor(site), fmt.Sprint(proctest.Port(t)))
	text := "allow: [" + poolZone + "=" + p.nets.allow + "]\nsite: " + site + "\nadmin-listen: " + admin + "\nlog-level: debug\netcd-endpoints: [" + p.etcdEndpoints[0] + "]\n"
	if err := os.WriteFile(filepath.Join(p.dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.ready[who] = "http://" + admin
	line := append(p.nets.within(site), proctest.Bin(t, "signpostd"), "monitor", "--config", file)
	return proctest.Run(p.t, p.dir, "monitor-"+who, line[0], line[1:]...)
}

// startMonitors starts those of all sites and waits until they are registered.
func (p *pool) startMonitors(t *testing.T) {
	t.Helper()
	for _, site := range poolSites {
		if p.monitors[site] == nil {
			p.monitors[site] = p.startMonitor(t, site, site)
		}
	}
	for _, site := range poolSites {
		p.until(t, site, "signpost_monitor_registered 1")
	}
}

// until waits until a monitor's metrics have a line.
func (p *pool) until(t *testing.T, who, line string) {
	t.Helper()
	proctest.Until(t, who+": "+line, func() error {
		_, body, err := proctest.Get(t.Context(), p.ready[who]+"/metrics", "", "")
		if err == nil && !strings.Contains(body, line+"\n") {
			err = fmt.Errorf("it is not there")
		}
		return err
	})
}

// instance is one instance of a service, on an address of its own.
type instance struct {
	addr   string
	l      net.Listener
	server *http.Server
	mu     sync.Mutex
	status int
	deaf   []*proctest.Proc // to these it does not answer
}

// instance starts one on an address that no other has; all have one port.
func (p *pool) instance(t *testing.T, site string, port int) *instance {
	t.Helper()
	p.mu.Lock()
	i := &instance{addr: p.nets.instances(site, len(p.all)+1), status: http.StatusOK}
	p.all = append(p.all, i)
	p.mu.Unlock()
	i.start(t, port)
	p.t.Cleanup(func() { i.server.Close() }) // not before: those that all fail at once are another case
	return i
}

func (i *instance) start(t *testing.T, port int) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(i.addr, fmt.Sprint(port)))
	if err != nil {
		t.Fatal(err)
	}
	i.l = l
	i.server = &http.Server{Handler: http.HandlerFunc(i.answer)}
	go i.server.Serve(l)
}

// kill ends it as a crash of its process would: nobody listens any more.
func (i *instance) kill() { i.server.Close() }

func (i *instance) port() int { return i.l.Addr().(*net.TCPAddr).Port }

// says is what it answers to health checks from now on.
func (i *instance) says(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// deafTo has it answer these no more: as if their packets were lost.
func (i *instance) deafTo(these ...*proctest.Proc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.deaf = these
}

func (i *instance) answer(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	status, deaf := i.status, slices.Clone(i.deaf)
	i.mu.Unlock()
	for _, p := range deaf {
		if holds(p, r.RemoteAddr, i.l.Addr().String()) {
			<-r.Context().Done() // until its time is over
			return
		}
	}
	w.WriteHeader(status)
}

// holds reports whether a program has the socket of a connection, from and to addresses
// of this machine.
func holds(p *proctest.Proc, from, to string) bool {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false
	}
	inode := ""
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[1] == inTable(from) && f[2] == inTable(to) {
			inode = f[9]
		}
	}
	dir := fmt.Sprintf("/proc/%d/fd", p.PID())
	files, _ := os.ReadDir(dir)
	return slices.ContainsFunc(files, func(e os.DirEntry) bool {
		is, err := os.Readlink(filepath.Join(dir, e.Name()))
		return err == nil && is == "socket:["+inode+"]"
	})
}

// inTable is an IPv4 address and port as /proc/net/tcp has them on this machine.
func inTable(addr string) string {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return ""
	}
	ip := a.IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port)
}

// host makes a host with an endpoint on each of some sites, the first preferred, checked
// by HTTP, and waits until it answers with the first.
func (p *pool) host(t *testing.T, label string, policy []string, sites ...string) (fqdn string, instances []*instance) {
	t.Helper()
	fqdn = label + "." + poolZone
	port := proctest.Port(t)
	p.signpost(t, "host", "create", fqdn, "--quiet")
	p.signpost(t, append([]string{"policy", "set", fqdn}, policy...)...)
	for n, site := range sites {
		i := p.instance(t, site, port)
		instances = append(instances, i)
		p.signpost(t, "endpoint", "set", fqdn, fmt.Sprintf("%s-%d", site, n), "--site", site, "--ip", i.addr, "--priority", fmt.Sprint(n))
	}
	p.check(t, fqdn, port, "200")
	p.everywhere(t, fqdn, dns.TypeA, instances[0].addr)
	return fqdn, instances
}

func (p *pool) check(t *testing.T, fqdn string, port int, expect string) {
	t.Helper()
	p.signpost(t, "check", "set", fqdn, "http", "--port", fmt.Sprint(port), "--path", "/v1/sys/health", "--expect", expect,
		"--interval", poolInterval.String(), "--timeout", poolTimeout.String(), "--fall", fmt.Sprint(poolFall), "--rise", fmt.Sprint(poolRise))
}

// voted waits until every checker has voted on every endpoint of a host with these
// verdicts, in the order of the endpoints' ids.
func (p *pool) voted(t *testing.T, fqdn string, verdicts ...string) {
	t.Helper()
	proctest.Until(t, "votes on "+fqdn, func() error {
		return votesAre(p.read(t, "/v1/hosts/"+fqdn+"/health"), len(poolSites), verdicts)
	})
}

// read gives what the API answers to a GET, as the admin.
func (p *pool) read(t *testing.T, path string) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(p.dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.controlURLs[0]+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %s %v", path, resp.Status, body, err)
	}
	return string(body)
}

// stays fails when any name server answers otherwise than so within a time.
func (p *pool) stays(t *testing.T, during time.Duration, fqdn string, want ...string) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); {
		for _, s := range p.servers {
			if err := proctest.Answers(s, fqdn, dns.TypeA, want...); err != nil {
				t.Fatalf("it must not change: %v", err)
			}
		}
		time.Sleep(20 * time.Millisecond) // between questions
	}
}

// switches waits until all name servers answer this, and gives how long the last took.
func (p *pool) switches(t *testing.T, since time.Time, fqdn string, want ...string) time.Duration {
	t.Helper()
	p.everywhere(t, fqdn, dns.TypeA, want...)
	return time.Since(since)
}
