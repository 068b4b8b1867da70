package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

// beatenWithin is the time in which a name has to answer otherwise when an agent is dead:
// its last sign of life may be as old as an interval and be fine.
const beatenWithin = failoverWithin + poolInterval

// TestHeartbeatsOfAgents is a host whose machines tell by their agents that they are alive,
// and the monitors of three sites that judge by it.
func TestHeartbeatsOfAgents(t *testing.T) {
	t.Parallel() // it waits more than it works
	p := startPool(t)
	p.startMonitors(t)
	fqdn := "beat." + poolZone
	addrs := []string{"127.0.3.1", "127.0.3.2"}
	p.signpost(t, "host", "create", fqdn, "--quiet")
	p.signpost(t, "policy", "set", fqdn, "failover")
	for n, addr := range addrs {
		p.signpost(t, "endpoint", "set", fqdn, beatID(n), "--site", poolSites[n], "--ip", addr, "--priority", fmt.Sprint(n))
		secret := p.signpost(t, "endpoint", "rotate-secret", fqdn, beatID(n), "--quiet")
		if err := os.WriteFile(filepath.Join(p.dir, beatID(n)+".secret"), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.signpost(t, "check", "set", fqdn, "heartbeat", "--interval", poolInterval.String(),
		"--fall", fmt.Sprint(poolFall), "--rise", fmt.Sprint(poolRise))

	// The check is there before the agents: nobody is alive, which is no doubt, and the
	// name answers.
	p.voted(t, fqdn, "down", "down")
	p.everywhere(t, fqdn, dns.TypeA, addrs...)

	agents := []*proctest.Proc{p.agent(t, fqdn, 0, addrs[0]), p.agent(t, fqdn, 1, addrs[1])}
	p.voted(t, fqdn, "up", "up")
	p.everywhere(t, fqdn, dns.TypeA, addrs[0])

	inTime(t, beatenWithin, "(fall + 1) × interval + timeout + 0.5 s", func() time.Duration {
		dead := time.Now()
		agents[0].Kill()
		took := p.switches(t, dead, fqdn, addrs[1])
		p.voted(t, fqdn, "down", "up")
		agents[0].Restart()
		p.everywhere(t, fqdn, dns.TypeA, addrs[0])
		p.voted(t, fqdn, "up", "up")
		return took
	})

	// With the control service the heartbeats of all stop: that is nobody's death.
	p.controls[0].Pause()
	for _, site := range poolSites {
		p.until(t, site, "signpost_monitor_doubt 1")
	}
	p.stays(t, settled, fqdn, addrs[0])
	p.controls[0].Resume()
	for _, site := range poolSites {
		p.until(t, site, "signpost_monitor_doubt 0")
	}
	p.voted(t, fqdn, "up", "up")
	p.stays(t, poolInterval, fqdn, addrs[0])

	// One that knows that its service is unwell is silent.
	if err := os.WriteFile(filepath.Join(p.dir, beatID(0)+".unwell"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p.everywhere(t, fqdn, dns.TypeA, addrs[1])
	if h := p.read(t, "/v1/hosts/"+fqdn+"/health"); !strings.Contains(h, "last sign of life is too old") {
		t.Errorf("the status does not say why: %s", h)
	}
}

func beatID(n int) string { return poolSites[n] }

// agent starts the agent of an endpoint, which is well until there is a file.
func (p *pool) agent(t *testing.T, fqdn string, n int, addr string) *proctest.Proc {
	t.Helper()
	id := beatID(n)
	return proctest.Start(t, p.dir, "agent-"+id, "signpost", "agent", "--server", p.controlURLs[0], "--host", fqdn, "--endpoint", id,
		"--secret-file", id+".secret", "--address-command", "echo "+addr, "--health-command", "! test -e "+id+".unwell", "--health-interval", "1s", "--health-count", "1")
}
