package test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
	"signpost/test/proctest"
)

var failoverRuns = flag.Int("failover", 0, "measure so many fail-overs")

// TestFailoverTimes is the measurement of docs/benchmarks.md: how long it takes from the
// death of an instance until checkers know, until etcd has their votes, and until the last
// name server answers otherwise. Each run is a name of its own; the instances die at random
// moments of their checks.
func TestFailoverTimes(t *testing.T) {
	runs := *failoverRuns
	if runs == 0 {
		t.Skip("it takes minutes: -args -failover 50")
	}
	p := startPool(t)
	p.startMonitors(t)
	client, err := clientv3.New(clientv3.Config{Endpoints: p.etcdEndpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	votes := &record{down: map[string]time.Time{}}
	go votes.take(client.Watch(t.Context(), "/signpost/v1/dns/vote/", clientv3.WithPrefix()))
	type trial struct {
		fqdn string
		i    []*instance
	}
	var trials []trial
	for n := range runs {
		fqdn, i := p.host(t, fmt.Sprintf("run%d", n), failover, "north", "south")
		trials = append(trials, trial{fqdn, i})
	}
	for _, tr := range trials {
		p.voted(t, tr.fqdn, "up", "up")
	}
	var detect, commit, propagate, total spans
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	for _, tr := range trials {
		time.Sleep(time.Duration(chance.Int64N(int64(poolInterval)))) // so that it dies at any moment of a check
		dead := time.Now()
		tr.i[0].kill()
		answered := p.watchAnswers(t, tr.fqdn, tr.i[1].addr)
		last := answered()
		var decided time.Time
		proctest.Until(t, "votes", func() (err error) { decided, err = votes.second(tr.fqdn); return err })
		known := p.secondVerdict(t, tr.fqdn)
		detect.add(known.Sub(dead))
		commit.add(decided.Sub(known))
		propagate.add(max(0, last.Sub(decided)))
		total.add(last.Sub(dead))
	}
	t.Logf("%d fail-overs, interval %s, timeout %s, fall %d, three checkers, two name servers; ms", runs, poolInterval, poolTimeout, poolFall)
	for _, of := range []struct {
		what string
		s    spans
	}{{"detect", detect}, {"commit", commit}, {"propagate", propagate}, {"total", total}} {
		t.Logf("| %s | %s | %s | %s |", of.what, of.s.at(50), of.s.at(99), of.s.at(100))
	}
	if worst := total.greatest(); worst > failoverWithin {
		t.Errorf("one took %s, more than fall × interval + timeout + 0.5 s = %s", worst, failoverWithin)
	}
}

// spans is measured times.
type spans []time.Duration

func (s *spans) add(d time.Duration) { *s = append(*s, d) }

func (s spans) greatest() time.Duration { return slices.Max(s) }

// at is a percentile in milliseconds.
func (s spans) at(percent int) string {
	sorted := slices.Sorted(slices.Values(s))
	i := max(0, (len(sorted)*percent+99)/100-1)
	return fmt.Sprintf("%.1f", float64(sorted[i].Microseconds())/1000)
}

// record is when etcd told of each vote of "down", by its key.
type record struct {
	mu   sync.Mutex
	down map[string]time.Time
}

func (r *record) take(votes clientv3.WatchChan) {
	for resp := range votes {
		now := time.Now()
		r.mu.Lock()
		for _, e := range resp.Events {
			var v storepb.Vote
			if e.Type == clientv3.EventTypePut && proto.Unmarshal(e.Kv.Value, &v) == nil && model.Verdict(v.Verdict) == model.Down {
				r.down[string(e.Kv.Key)] = now
			}
		}
		r.mu.Unlock()
	}
}

// second is when the second vote of "down" about the front instance of a host came, with
// which more than half of three say so.
func (r *record) second(fqdn string) (at time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	label, _, _ := strings.Cut(fqdn, ".")
	var all []time.Time
	for key, when := range r.down {
		if strings.HasSuffix(key, "/"+label+"./north-0") {
			all = append(all, when)
		}
	}
	if len(all) < 2 {
		return at, fmt.Errorf("%d", len(all))
	}
	slices.SortFunc(all, time.Time.Compare)
	return all[1], nil
}

// watchAnswers asks all name servers all the time; the function that it gives waits until
// the last of them answers this, and says when that was.
func (p *pool) watchAnswers(t *testing.T, fqdn, want string) func() time.Time {
	at := make([]time.Time, len(p.servers))
	var asking sync.WaitGroup
	for n, s := range p.servers {
		asking.Go(func() {
			for end := time.Now().Add(proctest.Patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
				if proctest.Answers(s, fqdn, dns.TypeA, want) == nil {
					at[n] = time.Now()
					return
				}
			}
		})
	}
	return func() time.Time {
		t.Helper()
		asking.Wait()
		if slices.ContainsFunc(at, time.Time.IsZero) {
			t.Fatalf("%s was not repointed", fqdn)
		}
		return slices.MaxFunc(at, time.Time.Compare)
	}
}

// secondVerdict is when the second of the checkers had taken the front instance of a host
// for down, as their logs have it.
func (p *pool) secondVerdict(t *testing.T, fqdn string) time.Time {
	t.Helper()
	var at []time.Time
	proctest.Until(t, "verdicts in the logs", func() error {
		at = nil
		for _, m := range p.monitors {
			raw, err := m.Log()
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(raw)) {
				var l struct {
					Time               time.Time
					Msg, Host, Verdict string
					Endpoint           string
				}
				if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "verdict" && l.Host == fqdn && l.Endpoint == "north-0" && l.Verdict == "down" {
					at = append(at, l.Time)
				}
			}
		}
		if len(at) < 2 {
			return fmt.Errorf("%d", len(at))
		}
		return nil
	})
	slices.SortFunc(at, time.Time.Compare)
	return at[1]
}
