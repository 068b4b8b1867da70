package test

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

var (
	inNamespaces = flag.Bool("netns", false, "run the test that cuts monitors off in network namespaces of its own (root, Linux)")
	inside       = flag.Bool("netns-inside", false, "this is the process in the middle one of them")
)

// TestMonitorsAreCutOff is three monitors, each in a network namespace of its own, with a
// link to etcd and one to the instances of each site; links go down as they do when a
// network fails. All else is in one more namespace. They end with their processes, and
// nothing is changed outside of them.
func TestMonitorsAreCutOff(t *testing.T) {
	switch {
	case !*inNamespaces:
		t.Skip("it makes network namespaces; make chaos runs it")
	case runtime.GOOS != "linux" || os.Geteuid() != 0:
		t.Skip("only root may make network namespaces")
	}
	for _, tool := range []string{"ip", "nsenter", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	if *inside {
		cutOff(t)
		return
	}
	before := interfaces(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-netns", "-netns-inside")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is of the thread
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	if after := interfaces(t); !slices.Equal(before, after) {
		t.Errorf("interfaces before %v and after %v", before, after)
	}
}

func interfaces(t *testing.T) (names []string) {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

// apart is the namespaces of the monitors, and the links between them and the middle.
type apart struct {
	t       *testing.T
	holders map[string]*proctest.Proc // a process that keeps each there
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// within runs ip in the namespace of a monitor.
func (a *apart) within(site string, args ...string) {
	a.t.Helper()
	line := append(a.enter(site), append([]string{"ip"}, args...)...)
	if out, err := exec.CommandContext(a.t.Context(), line[0], line[1:]...).CombinedOutput(); err != nil {
		a.t.Fatalf("%s: %v: %s", strings.Join(line, " "), err, out)
	}
}

func (a *apart) enter(site string) []string {
	return []string{"nsenter", "-t", fmt.Sprint(a.holders[site].PID()), "-n"}
}

// The addresses: etcd 10.77.0.1; the monitor of site n 10.77.n.2; instances on site n 10.88.n.x.
func siteNumber(site string) int { return slices.Index(poolSites, site) + 1 }

// separate makes the namespaces of the monitors in this one, which has nothing yet.
func separate(t *testing.T) *apart {
	t.Helper()
	a := &apart{t: t, holders: map[string]*proctest.Proc{}}
	ip(t, "link", "set", "lo", "up")
	ip(t, "addr", "add", "10.77.0.1/32", "dev", "lo")
	for n := range poolSites {
		ip(t, "addr", "add", fmt.Sprintf("10.88.%d.1/24", n+1), "dev", "lo") // all of it is here
	}
	dir := t.TempDir()
	here, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, site := range poolSites {
		a.holders[site] = proctest.Run(t, dir, "namespace-"+site, "unshare", "--net", "sleep", "infinity")
		proctest.Until(t, "a namespace for "+site, func() error {
			ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", a.holders[site].PID()))
			if err == nil && ns == here {
				err = fmt.Errorf("it is in %s still", ns)
			}
			return err
		})
		a.within(site, "link", "set", "lo", "up")
		n := siteNumber(site)
		a.link(site, fmt.Sprintf("etcd-%d", n), fmt.Sprintf("10.77.%d", n), "10.77.0.1/32")
		for _, of := range poolSites {
			to := siteNumber(of)
			a.link(site, linkName(site, of), fmt.Sprintf("10.66.%d%d", n, to), fmt.Sprintf("10.88.%d.0/24", to))
		}
	}
	return a
}

// linkName is of the link between a site's monitor and the instances on another.
func linkName(site, of string) string {
	return fmt.Sprintf("m%d-i%d", siteNumber(site), siteNumber(of))
}

// link makes a link to a monitor, over which it reaches what route says.
func (a *apart) link(site, name, net, route string) {
	a.t.Helper()
	ip(a.t, "link", "add", name, "type", "veth", "peer", "name", name, "netns", fmt.Sprint(a.holders[site].PID()))
	ip(a.t, "addr", "add", net+".1/30", "dev", name)
	ip(a.t, "link", "set", name, "up")
	a.within(site, "addr", "add", net+".2/30", "dev", name)
	a.within(site, "link", "set", name, "up")
	a.within(site, "route", "add", route, "via", net+".1")
}

// set has the links between a monitor and the instances on some sites go down, or up.
func (a *apart) set(how, site string, of ...string) {
	a.t.Helper()
	for _, to := range of {
		ip(a.t, "link", "set", linkName(site, to), how)
	}
}

func cutOff(t *testing.T) {
	a := separate(t)
	p := startPoolOn(t, nets{
		etcd: "10.77.0.1", allow: "10.88.0.0/16",
		instances: func(site string, n int) string { return fmt.Sprintf("10.88.%d.%d", siteNumber(site), n+1) },
		monitor:   func(site string) string { return fmt.Sprintf("10.77.%d.2", siteNumber(site)) },
		within:    a.enter,
	})
	p.startMonitors(t)
	var names, others []string
	for n := range 8 { // ten endpoints, eight of them on north
		sites := []string{"north"}
		if n < 2 {
			sites = append(sites, poolSites[1+n])
		}
		fqdn, i := p.host(t, fmt.Sprintf("lost%d", n), failover, sites...)
		if n < 2 {
			names, others = append(names, fqdn), append(others, i[1].addr)
			p.voted(t, fqdn, "up", "up")
		} else {
			p.voted(t, fqdn, "up")
		}
	}
	front := p.all[0].addr
	t.Run("One checker's trouble is not the endpoint's: it loses all instances", func(t *testing.T) {
		a.set("down", "east", poolSites...)
		p.until(t, "east", "signpost_monitor_doubt 2")
		p.stays(t, settled, names[0], front)
		a.set("up", "east", poolSites...)
		p.until(t, "east", "signpost_monitor_doubt 0")
		p.voted(t, names[0], "up", "up")
		log, err := p.monitors["east"].Log()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, `"verdict":"down"`) {
				t.Errorf("it said that something is down: %s", line)
			}
		}
	})
	t.Run("it loses one site, and is outvoted", func(t *testing.T) {
		a.set("down", "east", "north")
		p.stays(t, settled, names[0], front)
		a.set("up", "east", "north")
	})
	t.Run("a site with 80 % of the endpoints is lost to two of three", func(t *testing.T) {
		cut := time.Now()
		a.set("down", "east", "north")
		a.set("down", "south", "north")
		for n, fqdn := range names {
			t.Logf("%s switched after %s", fqdn, p.switches(t, cut, fqdn, others[n]))
		}
		a.set("up", "east", "north")
		a.set("up", "south", "north")
		p.everywhere(t, names[0], dns.TypeA, front)
	})
}
