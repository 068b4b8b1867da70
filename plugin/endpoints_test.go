package signpost_test

import (
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
)

// endpoints makes www.example.org a host with an endpoint on each of two sites.
func (w *world) endpoints(policy model.Policy) {
	w.t.Helper()
	n := name1(w.t, "www.example.org")
	w.update(func(tx *store.Tx) error {
		z, err := tx.Zone(name1(w.t, "example.org"))
		if err != nil {
			return err
		}
		if _, err := tx.Datas(z, n); err != nil {
			return err
		}
		if _, err := tx.Check(z, n); err != nil {
			return err
		}
		tx.PutCheck(z, n, &model.Check{Kind: model.CheckTCP, Port: 443})
		tx.PutName(z, n, &model.NameData{Host: &model.Host{
			Checked: true, Policy: policy,
			Endpoints: []model.Endpoint{
				{ID: "a", Site: "bari", Generation: 1, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Weight: 3},
				{ID: "b", Site: "nara", Generation: 1, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.2")}, Priority: 1},
			},
		}})
		return nil
	})
}

// checkers registers three; vote lets one of them say something of an endpoint.
func (w *world) checkers() (vote func(site, endpoint string, says model.Verdict)) {
	w.t.Helper()
	ctx, zone, n := context.Background(), name1(w.t, "example.org"), name1(w.t, "www.example.org")
	duties := map[string]*store.Duty{}
	for _, site := range []string{"bari", "nara", "lund"} {
		d, err := w.store.StandBy(ctx, site, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(d.Release)
		if err := d.Register(ctx, time.Now()); err != nil {
			w.t.Fatal(err)
		}
		duties[site] = d
	}
	return func(site, endpoint string, says model.Verdict) {
		w.t.Helper()
		var check *model.Check
		w.update(func(tx *store.Tx) error {
			z, err := tx.Zone(zone)
			if err == nil {
				check, err = tx.Check(z, n)
			}
			return err
		})
		ballot := store.Ballot{Zone: zone, Name: n, Endpoint: endpoint, Incarnation: 1, Check: check.ModRevision, Vote: model.Vote{Generation: 1, Verdict: says}}
		if stale, err := duties[site].Vote(ctx, []store.Ballot{ballot}); err != nil || len(stale) > 0 {
			w.t.Fatalf("%d stale, %v", len(stale), err)
		}
	}
}

// Votes and words change what two replicas answer, over etcd, and one that starts
// without etcd answers the same from its snapshot.
func TestReplicasAnswerWithWhatIsUp(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.endpoints(model.Policy{Kind: model.PolicyFailover})
	path := filepath.Join(t.TempDir(), "snapshot")
	online := block("endpoint " + w.etcd.Endpoint() + "\nsnapshot " + path)
	one, two := startUnstopped(t, online), start(t, block("endpoint "+w.etcd.Endpoint()))
	say := func(want string) {
		t.Helper()
		one.says(t, "www.example.org", "A", want)
		two.says(t, "www.example.org", "A", want)
	}
	sayWithoutEtcd := func(want string) {
		t.Helper()
		say(want)
		if err := one.Stop(); err != nil {
			t.Fatal(err)
		}
		away := startUnstopped(t, block("endpoint "+nowhere+"\nsnapshot "+path))
		away.says(t, "www.example.org", "A", want)
		if err := away.Stop(); err != nil {
			t.Fatal(err)
		}
		one = startUnstopped(t, online)
	}
	say("NOERROR 192.0.2.1")
	vote := w.checkers()
	vote("bari", "a", model.Down)
	vote("lund", "b", model.Up)
	say("NOERROR 192.0.2.1")
	before := serial(t, two)
	vote("nara", "a", model.Down)
	sayWithoutEtcd("NOERROR 192.0.2.2")
	if after := serial(t, two); after <= before {
		t.Errorf("the serial was %d and is %d after a vote that changed an answer", before, after)
	}
	word := func(site string, says model.Saying) {
		t.Helper()
		w.update(func(tx *store.Tx) error {
			if _, err := tx.SiteWord(site); err != nil {
				return err
			}
			tx.PutSiteWord(site, &model.Word{Say: says, Time: time.Now()})
			return nil
		})
	}
	word("nara", model.SayDrain)
	say("NOERROR 192.0.2.1") // fails open: the other site is drained
	word("bari", model.SayDrain)
	sayWithoutEtcd("NOERROR")
	if err := one.Stop(); err != nil {
		t.Fatal(err)
	}
}

func serial(t *testing.T, s *server) uint32 {
	t.Helper()
	return s.ask(t, "udp", "example.org", "SOA").Answer[0].(*dns.SOA).Serial
}

// Each question draws for itself, with batches and without; a transfer has all.
func TestReplicasDrawByWeight(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.endpoints(model.Policy{Kind: model.PolicyWeighted})
	batched, chain := pair(t, "endpoint "+w.etcd.Endpoint(), "transfer example.org {\nto *\n}")
	for _, s := range []*server{batched, chain} {
		s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
		counts := map[string]int{}
		for range 400 {
			counts[line(s.ask(t, "udp", "www.example.org", "A"))]++
		}
		// With a share of 3/4 of 400 that is 7 standard deviations away.
		if a, b := counts["NOERROR 192.0.2.1"], counts["NOERROR 192.0.2.2"]; a+b != 400 || a < 240 || a > 360 {
			t.Errorf("answered is %v", counts)
		}
	}
	got, _ := chain.transfer(t, func(m *dns.Msg) { m.SetAxfr("example.org.") })
	n := 0
	for rr := range got {
		if strings.HasPrefix(rr, "www.example.org.") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("transferred is %v", got)
	}
}
