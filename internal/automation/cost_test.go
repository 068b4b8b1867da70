package automation

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
)

var costHosts = flag.Int("cost", 600, "hosts with endpoints of the test of what a look costs")

const costZone = model.Name("cost.example.org.")

func costHost(i int) model.Name { return model.Name(fmt.Sprintf("h%06d.%s", i, costZone)) }

// costData is a host with an endpoint on the site north, and one on south, or, of the
// first ten, on a site of their own; each hundredth has manual fail-back.
func costData(i int) *model.NameData {
	back := "south"
	if i < 10 {
		back = "small"
	}
	h := &model.Host{Checked: true, Policy: model.Policy{Kind: model.PolicyFailover, ManualFailback: i%100 == 0}}
	for n, site := range []string{"north", back} {
		h.Endpoints = append(h.Endpoints, model.Endpoint{
			ID: site, Site: site, Priority: uint32(n), Generation: uint64(i + 1), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{byte(10 + n), byte(i >> 16), byte(i >> 8), byte(i)})},
		})
	}
	return &model.NameData{Host: h}
}

// load makes a zone of n such hosts, as an import does.
func load(ctx context.Context, t *testing.T, s *store.Store, zone model.Name, n int, data func(int) *model.NameData, name func(int) model.Name) *model.Zone {
	t.Helper()
	ns, err := model.ParseRRset(2, 3600, []string{"ns1.example.net."})
	if err != nil {
		t.Fatal(err)
	}
	claim, err := s.ClaimImport(ctx, zone, "cost", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	z := &model.Zone{
		Name: zone, Incarnation: 1, Generation: claim.Generation, Apex: []model.RRset{ns}, CreateTime: time.Now(),
		SOA: model.SOA{MName: "ns1.example.net.", RName: "hostmaster.example.org.", Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 30, TTL: 3600},
	}
	err = claim.Load(func(yield func(model.Name, *model.NameData) bool) {
		for i := range n {
			if !yield(name(i), data(i)) {
				return
			}
		}
	}, func(int) {})
	_, made := s.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Zone(zone); model.KindOf(err) != model.NotFound {
			return err
		}
		tx.PutZone(z)
		return tx.EndImport(claim)
	})
	if _, released := claim.Release(ctx); errors.Join(err, made, released) != nil {
		t.Fatal(errors.Join(err, made, released))
	}
	return z
}

// A look costs in proportion to the hosts that are concerned, not to all there are.
// Figures: go test ./internal/automation -run TestCostOfALook -v -args -cost 100000
func TestCostOfALook(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	n := *costHosts
	s := openStore(t, localetcd.New(t).Endpoint())
	z := load(ctx, t, s, costZone, n, costData, costHost)
	go s.KeepCopy(ctx)
	duty, err := s.StandBy(ctx, "north", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer duty.Release()
	if err := duty.Register(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Store: s})
	if err != nil {
		t.Fatal(err)
	}
	update := func(do func(tx *store.Tx) error) func() {
		return func() {
			t.Helper()
			if _, err := s.Update(ctx, do); err != nil {
				t.Fatal(err)
			}
		}
	}
	word := func(w *model.Word, site string) func() {
		return update(func(tx *store.Tx) error {
			_, err := tx.SiteWord(site)
			tx.PutSiteWord(site, w)
			return err
		})
	}
	for settled := 0; settled < 2; { // the copy is there, and nothing more comes
		a.looked = 0
		if err := a.Step(ctx); err != nil {
			t.Fatal(err)
		}
		if settled++; a.looked != 0 {
			settled = 0
		}
		time.Sleep(20 * time.Millisecond) // until the copy has come on
	}
	manual := (n + 99) / 100
	for _, c := range []struct {
		what   string
		change func()
		looks  int
	}{
		{"nothing", func() {}, 0},
		{"a setting of the zone", update(func(tx *store.Tx) error {
			z, err := tx.Zone(costZone)
			if err != nil {
				return err
			}
			next := *z
			next.TTL = 77
			tx.PutZone(&next)
			return nil
		}), 0},
		{"a host", update(func(tx *store.Tx) error {
			_, err := tx.Datas(z, costHost(1))
			tx.PutName(z, costHost(1), costData(2))
			return err
		}), 1},
		{"a word on a site of ten hosts", word(&model.Word{Say: model.SayDrain}, "small"), 10},
		{"that word taken back", word(nil, "small"), 10},
		{"another zone of five hosts", func() {
			load(ctx, t, s, "other.example.org.", 5, costData, func(i int) model.Name { return model.Name(fmt.Sprintf("h%d.other.example.org.", i)) })
		}, 5},
		{"the freeze switch", update(func(tx *store.Tx) error {
			_, err := tx.Freeze()
			tx.PutFreeze(&model.Freeze{})
			return err
		}), manual + 1},
		{"a word on the site of all", word(&model.Word{Say: model.SayDrain}, "north"), n + 5},
		{"everything anew", func() { a.all = true }, n + 5},
	} {
		c.change()
		a.looked = 0
		began, worked, steps := time.Now(), processTime(), 0
		for ; a.looked < c.looks || a.looked == 0 && time.Since(began) < 20*time.Millisecond; steps++ { // the copy comes to it
			if err := a.Step(ctx); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s, of %d hosts: %d looked at in %d looks and %s, %s of processor time, etcd's too", c.what, n, a.looked, steps, time.Since(began).Round(time.Millisecond), (processTime() - worked).Round(time.Millisecond))
		if a.looked != c.looks {
			t.Errorf("%s: %d hosts are looked at, want %d", c.what, a.looked, c.looks)
		}
	}
}

// processTime is user and system time of this process.
func processTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it fails for bad arguments only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
