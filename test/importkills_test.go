package test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/store"
	"signpost/test/proctest"
)

var importKills = flag.Int("import-kills", 4, "how often a control service is killed in the middle of an import")

const (
	killedNames = 5000
	killsAtOnce = 8 // zones before all is looked at, so that their leases end together
)

// importTrial is imports of which the first of two control services is killed, while
// hosts of the same zones change by way of the second.
type importTrial struct {
	*trial
	dir    string
	etcd   *clientv3.Client
	store  *store.Store
	chance *rand.Rand
	hit    map[string]int
	took   time.Duration // what an import takes that is left alone
}

// zoneOf is a zone of the trial and what was acknowledged of it.
type zoneOf struct {
	name    string
	address string // of its host
	whole   string // what an export says but for the SOA and the host
}

// A control service killed in the middle of an import leaves the old zone or the new
// one, whole; its claim ends by itself; what it has loaded is swept; and no change that
// another service has acknowledged meanwhile is lost. `make chaos` does it more often.
func TestAKilledImportIsWholeOrNotAtAll(t *testing.T) {
	t.Parallel() // it waits more than it works
	tr, dir, etcd := processes(t)
	it := &importTrial{trial: tr, dir: dir, hit: map[string]int{}}
	if tr.seed = *killsSeed; tr.seed == 0 {
		tr.seed = rand.Uint64()
	}
	t.Logf("-import-kills %d -kills-seed %d", *importKills, tr.seed)
	it.chance = rand.New(rand.NewPCG(tr.seed, 0))
	tr.client = &http.Client{Timeout: proctest.Patience}
	var err error
	if it.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{etcd}}); err != nil {
		t.Fatal(err)
	}
	defer it.etcd.Close()
	if it.store, err = store.Open(store.Config{Endpoints: []string{etcd}}); err != nil {
		t.Fatal(err)
	}
	defer it.store.Close()
	most := *importKills
	for done := 0; done < most && !t.Failed(); {
		var zones []*zoneOf
		for ; len(zones) < killsAtOnce && done < most; done++ {
			zones = append(zones, it.round(done))
		}
		it.settle(zones)
		if done == most && it.hit["under the claim"] == 0 && most < 10**importKills {
			most += *importKills // where they fell, nothing was at stake
		}
	}
	t.Logf("an import takes %s; kills fell %v", it.took.Round(time.Millisecond), it.hit)
	if it.hit["under the claim"] == 0 {
		t.Error("no kill fell into the work on a generation: this trial says nothing")
	}
}

const oldAddress, newAddress = "192.0.2.1", "192.0.2.2"

// round kills the first service in the middle of an import into a zone of its own.
func (it *importTrial) round(n int) *zoneOf {
	t := it.t
	t.Helper()
	victim, other := it.victims[0], it.victims[1]
	z := &zoneOf{name: fmt.Sprintf("k%d.example.org", n), address: "10.0.0.0"}
	began := time.Now()
	it.must(other, "POST", "/v1/zones/"+z.name+":import", numberedZone(killedNames, oldAddress))
	if it.took == 0 {
		it.took = time.Since(began)
	}
	it.must(other, "POST", "/v1/hosts", fmt.Sprintf(`{"fqdn":"h.%s","addresses":[%q]}`, z.name, z.address))
	old := it.export(other, z)
	updated := strings.ReplaceAll(old, " "+oldAddress+"\n", " "+newAddress+"\n")
	if old == updated || strings.Count(old, "\n") != killedNames+1 {
		t.Fatalf("an export of %d lines", strings.Count(old, "\n"))
	}

	before, err := it.etcd.Get(t.Context(), under(claims, z))
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() { it.update(other, z, over) })
	acknowledged, when := false, it.chance.Int64N(3*int64(it.took)) // the updates make it slower
	cli, claimed := it.chance.IntN(2) == 0, n%2 == 0
	importing := make(chan struct{})
	working.Go(func() {
		defer close(importing)
		acknowledged = it.replace(victim, z, cli)
	})
	if claimed { // half of the kills fall after the beginning of the work on etcd
		it.untilClaimed(z, before.Header.Revision, importing)
		when /= 2
	}
	select {
	case <-time.After(time.Duration(when)): // where in the import the kill falls
	case <-importing:
	}
	victim.kill()
	<-importing
	close(over)
	working.Wait()
	hit := it.where(z)
	z.whole = it.export(other, z)
	switch z.whole {
	case old:
		if acknowledged {
			t.Errorf("%s: an acknowledged import is lost", z.name)
		}
	case updated:
		if hit = "after the switch"; acknowledged {
			hit = "after the answer"
		}
	default:
		t.Errorf("%s is neither the old zone nor the new one:\n%.300s", z.name, z.whole)
	}
	it.hit[hit]++
	victim.restart()
	victim.untilReady(t)
	return z
}

// update changes the zone's host until over; what it leaves was acknowledged.
func (it *importTrial) update(v *victim, z *zoneOf, over chan struct{}) {
	for n := 1; ; n++ {
		select {
		case <-over:
			return
		default:
		}
		address := fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
		deadline := time.Now().Add(proctest.Patience)
		for uncertain := false; ; {
			a, err := it.send(v, "POST", "/v1/hosts/h."+z.name+":setAddresses", it.token, fmt.Sprintf(`{"addresses":[%q]}`, address))
			if err == nil && a.Status == http.StatusOK {
				z.address = address
				break
			}
			refused := err == nil && a.Status == http.StatusConflict // for a moment the zone is closed
			if refused && !uncertain {
				break
			}
			if uncertain = true; err != nil || !refused && a.Status < 500 || time.Now().After(deadline) {
				it.t.Errorf("%s: an update by way of the service that lives: %+v, %v", z.name, a, err)
				return
			}
			it.t.Logf("%s: again, for it may have been made: %+v", z.name, a)
		}
	}
}

// replace imports the new zone and reports whether that was acknowledged.
func (it *importTrial) replace(v *victim, z *zoneOf, cli bool) bool {
	text := numberedZone(killedNames, newAddress)
	if !cli {
		a, err := it.send(v, "POST", "/v1/zones/"+z.name+":import?replace=true", it.token, text)
		return err == nil && a.Status == http.StatusOK
	}
	file := filepath.Join(it.dir, z.name+".zone")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		it.t.Error(err)
		return false
	}
	_, err := proctest.CLI(it.t, it.dir, v.url, filepath.Join(it.dir, "admin.token"), "zone", "import", z.name, file, "--replace")
	return err == nil
}

const claims, names = "/signpost/v1/ctl/import/", "/signpost/v1/dns/name/"

// under is the key of a zone of the trial, or what its names begin with.
func under(prefix string, z *zoneOf) string {
	label, _, _ := strings.Cut(z.name, ".")
	return prefix + "org.example." + label + "."
}

// untilClaimed returns when an import has claimed the zone after a revision, or is over.
func (it *importTrial) untilClaimed(z *zoneOf, after int64, over chan struct{}) {
	ctx, cancel := context.WithTimeout(it.t.Context(), proctest.Patience)
	defer cancel()
	watch := it.etcd.Watch(ctx, under(claims, z), clientv3.WithRev(after+1))
	select {
	case <-watch:
	case <-over:
	}
}

// where tells from etcd how far an import had come that is dead now.
func (it *importTrial) where(z *zoneOf) string {
	it.t.Helper()
	if len(it.keys(under(claims, z))) == 0 {
		return "before the claim"
	}
	return "under the claim"
}
