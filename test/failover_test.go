package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// failoverWithin is the time in which a name has to answer otherwise when an instance is
// dead.
const failoverWithin = poolFall*poolInterval + poolTimeout + 500*time.Millisecond

// settled is longer than any of these checkers takes to make up its mind.
const settled = failoverWithin + poolInterval

var failover = []string{"failover"}

// votesAre compares what a host's status says in JSON with a verdict for each endpoint
// from so many checkers.
func votesAre(status string, checkers int, verdicts []string) error {
	var is struct {
		Endpoints []struct {
			Votes []struct {
				Verdict string
				Counts  bool
			}
		}
	}
	if err := json.Unmarshal([]byte(status), &is); err != nil {
		return err
	}
	if len(is.Endpoints) != len(verdicts) {
		return fmt.Errorf("%d endpoints", len(is.Endpoints))
	}
	for i, e := range is.Endpoints {
		agree := 0
		for _, v := range e.Votes {
			if v.Counts && v.Verdict == verdicts[i] {
				agree++
			}
		}
		if agree != checkers {
			return fmt.Errorf("%d of %d say %s of endpoint %d: %s", agree, checkers, verdicts[i], i, status)
		}
	}
	return nil
}

// TestFailover is names that survive their instances and checkers: real monitors of three
// sites and instances on loopback addresses.
func TestFailover(t *testing.T) {
	t.Parallel() // it waits more than it works
	p := startPool(t)
	t.Run("nobody has voted yet", func(t *testing.T) {
		fqdn, i := p.host(t, "unvoted", failover, "north", "south")
		p.stays(t, 200*time.Millisecond, fqdn, i[0].addr)
	})
	p.startMonitors(t)
	t.Run("hosts", func(t *testing.T) {
		t.Run("the instance in front dies, and comes back", func(t *testing.T) { t.Parallel(); p.diesAndComesBack(t) })
		t.Run("it comes back, and an operator is wanted", func(t *testing.T) { t.Parallel(); p.comesBackByHand(t) })
		t.Run("The last answer is never taken away by a health check: all instances die", func(t *testing.T) { t.Parallel(); p.allDie(t) })
		t.Run("one of three checkers is cut off from an instance, then two are", func(t *testing.T) { t.Parallel(); p.cutOff(t) })
		t.Run("a drain for a while ends by itself, and not before", func(t *testing.T) { t.Parallel(); p.drainEnds(t) })
		t.Run("a name follows the active one through three elections", func(t *testing.T) { t.Parallel(); p.elections(t) })
	})
	t.Run("One checker's trouble is not the endpoint's: it is cut off from all", p.cutOffFromAll)
	t.Run("a site with 80 % of the endpoints is lost", p.siteLost)
	t.Run("frozen", p.frozen)
	t.Run("a checker dies", p.checkerDies)
	t.Run("a new checker registers", p.newChecker)
}

func (p *pool) diesAndComesBack(t *testing.T) {
	fqdn, i := p.host(t, "auto", failover, "north", "south")
	port := i[0].port()
	inTime(t, failoverWithin, "fall × interval + timeout + 0.5 s", func() time.Duration {
		p.voted(t, fqdn, "up", "up")
		dead := time.Now()
		i[0].kill()
		took := p.switches(t, dead, fqdn, i[1].addr)
		i[0].start(t, port)
		p.everywhere(t, fqdn, dns.TypeA, i[0].addr)
		return took
	})
}

// inTime tries up to three times whether a switch takes no longer than a bound: that is
// ours, and not that of a busy machine.
func inTime(t *testing.T, bound time.Duration, which string, switches func() time.Duration) {
	t.Helper()
	for try := 1; ; try++ {
		took := switches()
		t.Logf("switched on all name servers after %s", took)
		if took <= bound {
			return
		}
		if try == 3 {
			t.Fatalf("it took %s, more than %s = %s", took, which, bound)
		}
	}
}

func (p *pool) comesBackByHand(t *testing.T) {
	fqdn, i := p.host(t, "manual", []string{"failover", "--failback", "manual"}, "north", "south")
	p.voted(t, fqdn, "up", "up")
	port := i[0].port()
	i[0].kill()
	p.everywhere(t, fqdn, dns.TypeA, i[1].addr)
	p.voted(t, fqdn, "down", "up")
	i[0].start(t, port)
	p.voted(t, fqdn, "up", "up")
	p.stays(t, poolInterval, fqdn, i[1].addr)
	p.signpost(t, "endpoint", "admin", fqdn, "north-0", "auto")
	p.everywhere(t, fqdn, dns.TypeA, i[0].addr)
}

// drainEnds counts from when the drain was acknowledged, which its time begins before: it
// is over after etcd's lease for it, looked for every second or so.
func (p *pool) drainEnds(t *testing.T) {
	const span = 10 * time.Second
	fqdn, i := p.host(t, "drained", failover, "north", "south")
	p.voted(t, fqdn, "up", "up")
	began := time.Now()
	p.signpost(t, "endpoint", "admin", fqdn, "north-0", "drain", "--for", span.String())
	p.everywhere(t, fqdn, dns.TypeA, i[1].addr)
	if took := p.switches(t, began, fqdn, i[0].addr); took < span {
		t.Errorf("a drain for %s was over after %s", span, took)
	}
}

func (p *pool) allDie(t *testing.T) {
	fqdn, i := p.host(t, "dead", []string{"all"}, "north")
	p.voted(t, fqdn, "up")
	i[0].kill()
	p.voted(t, fqdn, "down")
	p.stays(t, poolInterval, fqdn, i[0].addr)
}

func (p *pool) cutOff(t *testing.T) {
	fqdn, i := p.host(t, "cut", failover, "north", "south")
	p.voted(t, fqdn, "up", "up")
	i[0].deafTo(p.monitors["east"])
	p.stays(t, settled, fqdn, i[0].addr)
	i[0].deafTo(p.monitors["east"], p.monitors["south"])
	p.everywhere(t, fqdn, dns.TypeA, i[1].addr)
}

func (p *pool) elections(t *testing.T) {
	fqdn, i := p.host(t, "vault", failover, "north", "south", "east")
	for n := range i {
		p.signpost(t, "endpoint", "set", fqdn, fmt.Sprintf("%s-%d", poolSites[n], n), "--priority", "0")
	}
	for _, active := range []int{1, 2, 0} {
		for n := range i {
			status := http.StatusTooManyRequests
			if n == active {
				status = http.StatusOK
			}
			i[n].says(status)
		}
		p.everywhere(t, fqdn, dns.TypeA, i[active].addr)
		verdicts := []string{"", "", ""}
		for at, n := range []int{2, 0, 1} { // east, north, south
			verdicts[at] = "down"
			if n == active {
				verdicts[at] = "up"
			}
		}
		p.voted(t, fqdn, verdicts...)
	}
}

func (p *pool) cutOffFromAll(t *testing.T) {
	fqdn, i := p.host(t, "all", failover, "north", "south", "east")
	p.voted(t, fqdn, "up", "up", "up")
	for _, each := range p.all {
		each.deafTo(p.monitors["east"])
	}
	p.stays(t, settled, fqdn, i[0].addr)
	p.until(t, "east", "signpost_monitor_doubt 2")
	for _, each := range p.all {
		each.deafTo()
	}
	p.until(t, "east", "signpost_monitor_doubt 0")
	p.voted(t, fqdn, "up", "up", "up")
}

func (p *pool) siteLost(t *testing.T) {
	var lost []*instance
	var names, others []string
	for n := range 8 {
		sites := []string{"north"}
		if n < 2 {
			sites = append(sites, poolSites[1+n])
		}
		fqdn, i := p.host(t, fmt.Sprintf("lost%d", n), failover, sites...)
		lost = append(lost, i[0])
		if n < 2 {
			names, others = append(names, fqdn), append(others, i[1].addr)
			p.voted(t, fqdn, "up", "up")
		} else {
			p.voted(t, fqdn, "up")
		}
	}
	dead := time.Now()
	for _, i := range lost {
		i.kill()
	}
	for n, fqdn := range names {
		took := p.switches(t, dead, fqdn, others[n])
		t.Logf("%s switched after %s", fqdn, took)
	}
}

func (p *pool) frozen(t *testing.T) {
	fqdn, i := p.host(t, "frozen", failover, "north", "south")
	p.voted(t, fqdn, "up", "up")
	p.signpost(t, "freeze", "on", "--reason", "a test")
	defer p.signpost(t, "freeze", "off")
	i[0].kill()
	p.stays(t, settled, fqdn, i[0].addr)
	p.signpost(t, "freeze", "off")
	p.everywhere(t, fqdn, dns.TypeA, i[1].addr)
}

// checkerDies: its vote stands, the others are more than half, and one that stands by
// takes over with the same term.
func (p *pool) checkerDies(t *testing.T) {
	fqdn, i := p.host(t, "checker", failover, "north", "south")
	p.voted(t, fqdn, "up", "up")
	p.startMonitor(t, "east", "east2")
	p.until(t, "east2", "signpost_monitor_standby 1")
	before := p.read(t, "/v1/checkers")
	p.monitors["east"].Kill()
	p.stays(t, settled, fqdn, i[0].addr)
	p.until(t, "east2", "signpost_monitor_standby 0")
	i[0].kill()
	p.everywhere(t, fqdn, dns.TypeA, i[1].addr)
	p.voted(t, fqdn, "down", "up")
	if after := p.read(t, "/v1/checkers"); terms(t, after) != terms(t, before) {
		t.Errorf("terms before %s and after %s", before, after)
	}
}

func terms(t *testing.T, list string) string {
	t.Helper()
	var all struct {
		Checkers []struct{ Site, Term string }
	}
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, c := range all.Checkers {
		fmt.Fprintln(&b, c.Site, c.Term)
	}
	return b.String()
}

func (p *pool) newChecker(t *testing.T) {
	fqdn, i := p.host(t, "new", failover, "north", "south")
	p.voted(t, fqdn, "up", "up")
	i[0].kill()
	p.everywhere(t, fqdn, dns.TypeA, i[1].addr)
	p.startMonitor(t, "west", "west")
	p.until(t, "west", "signpost_monitor_registered 1")
	p.stays(t, poolInterval, fqdn, i[1].addr)
}
