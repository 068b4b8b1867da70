package store

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// freshStore is a Store on an etcd of its own.
func freshStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(Config{Endpoints: []string{localetcd.New(t).Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

const exampleOrg model.Name = "example.org."

func nsSet(t *testing.T) model.RRset {
	t.Helper()
	set, err := model.ParseRRset(dns.TypeNS, 3600, []string{"ns1.example.net."})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func createZone(t *testing.T, s *Store, name model.Name) *model.Zone {
	t.Helper()
	var z *model.Zone
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.Zone(name); model.KindOf(err) != model.NotFound {
			return fmt.Errorf("zone %s: want none, got %v", name, err)
		}
		n, err := tx.NewNumber()
		z = &model.Zone{
			Name: name, Incarnation: n, Generation: n, Apex: []model.RRset{nsSet(t)},
			SOA: model.SOA{MName: "ns1.example.net.", RName: "hostmaster.example.org.", Minimum: 30},
		}
		tx.PutZone(z)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func addressed(a string, gen uint64) *model.NameData {
	return &model.NameData{Host: &model.Host{Endpoints: []model.Endpoint{
		{ID: model.MainEndpoint, Addresses: []netip.Addr{netip.MustParseAddr(a)}, Generation: gen},
	}}}
}

// putHost makes or changes a host.
func putHost(ctx context.Context, s *Store, zone, name model.Name, addr string) (Result, error) {
	return s.Update(ctx, func(tx *Tx) error { return setHost(tx, zone, name, addr) })
}

func setHost(tx *Tx, zone, name model.Name, addr string) error {
	z, err := tx.Zone(zone)
	if err != nil {
		return err
	}
	path, err := tx.Path(z, name)
	if err != nil {
		return err
	}
	tx.PutName(z, name, addressed(addr, 1))
	if path[0].Host == nil {
		tx.PutHost(z, name, nil, &model.HostControl{Owner: "admin/x"})
	}
	tx.Audit(model.AuditRecord{Time: time.UnixMilli(1), Action: "host.set", Zone: zone, Name: name, After: addr})
	return nil
}

func TestOneChangeIsOneRevision(t *testing.T) {
	s := freshStore(t)
	z := createZone(t, s, exampleOrg)
	res, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
	if err != nil || !res.Changed {
		t.Fatalf("put host: %v, changed %v", err, res.Changed)
	}
	got, err := s.client.Get(t.Context(), s.keys.root, clientv3.WithPrefix(), clientv3.WithMinModRev(res.Revision))
	if err != nil {
		t.Fatal(err)
	}
	var at []string
	for _, kv := range got.Kvs {
		if kv.ModRevision != res.Revision {
			t.Errorf("%s has revision %d, want all at %d", kv.Key, kv.ModRevision, res.Revision)
		}
		at = append(at, strings.Split(strings.TrimPrefix(string(kv.Key), s.keys.root), "/")[0]+"/"+strings.Split(string(kv.Key), "/")[4])
	}
	want := []string{at[0], "ctl/host", "dns/name", "dns/rev"}
	if diff := cmp.Diff(want, at); diff != "" || !strings.HasPrefix(at[0], "audit/") {
		t.Errorf("keys of the change: %s", diff)
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		rev, err := tx.ZoneRevision(exampleOrg)
		if rev != res.Revision {
			t.Errorf("zone revision %d, want %d: the serial must move with the answers", rev, res.Revision)
		}
		hosts, err2 := tx.Hosts(z, "", 10)
		if len(hosts) != 1 || hosts[0].Name != "www.example.org." || hosts[0].Host.Owner != "admin/x" || hosts[0].Data == nil {
			t.Errorf("hosts: %+v", hosts)
		}
		if err == nil {
			err = err2
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWritingWhatIsThereWritesNothing(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	first, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	again, err := putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
	if err != nil || again.Changed || again.Revision != first.Revision {
		t.Errorf("again: %+v, %v; want nothing changed, revision %d", again, err, first.Revision)
	}
}

// TestNothingIsLostBetweenWriters is promise 1 at the store: of concurrent changes
// of one value each that was acknowledged has had its effect.
func TestNothingIsLostBetweenWriters(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := s.Update(t.Context(), func(tx *Tx) error {
					z, err := tx.Zone(exampleOrg)
					if err != nil {
						return err
					}
					path, err := tx.Path(z, "n.example.org.")
					if err != nil {
						return err
					}
					var data model.NameData
					if path[0].Data != nil {
						data = *path[0].Data
					}
					var texts []string
					if old, ok := model.FindRRset(data.RRsets, dns.TypeTXT); ok {
						texts = old.Text()
					}
					set, err := model.ParseRRset(dns.TypeTXT, 60, append(texts, fmt.Sprintf("w%d-%d", w, i)))
					data.RRsets = model.WithRRset(data.RRsets, set)
					tx.PutName(z, "n.example.org.", &data)
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	err := s.Read(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		names, err := tx.Names(z, "", 0)
		if err != nil {
			return err
		}
		set, _ := model.FindRRset(names[0].Data.RRsets, dns.TypeTXT)
		if len(set.Data) != writers*each {
			t.Errorf("%d texts, want %d", len(set.Data), writers*each)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// meanwhile runs other once, between the decision and the commit of an Update.
func meanwhile(t *testing.T, s *Store, decide func(*Tx) error, other func()) (decisions int) {
	t.Helper()
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		decisions++
		if err := decide(tx); err != nil {
			return err
		}
		if decisions == 1 {
			other()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return decisions
}

func TestWhatWasReadIsCompared(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	tests := []struct {
		name  string
		read  func(tx *Tx, z *model.Zone) error
		other func()
		want  int
	}{
		{"nothing happened", func(*Tx, *model.Zone) error { return nil }, func() {}, 1},
		{"a name that was absent appeared", func(tx *Tx, z *model.Zone) error {
			_, err := tx.Path(z, "a.example.org.")
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "a.example.org.", "192.0.2.1")) }, 2},
		{"a name appeared below", func(tx *Tx, z *model.Zone) error {
			_, err := tx.Below(z, "b.example.org.", 5)
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "x.b.example.org.", "192.0.2.1")) }, 2},
		{"a sibling with the same beginning appeared", func(tx *Tx, z *model.Zone) error {
			_, err := tx.Below(z, "c.example.org.", 5)
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "cc.example.org.", "192.0.2.1")) }, 1},
		{"answers of the zone changed", func(tx *Tx, _ *model.Zone) error {
			_, err := tx.ZoneRevision(exampleOrg)
			return err
		}, func() { must(t)(putHost(t.Context(), s, exampleOrg, "d.example.org.", "192.0.2.1")) }, 2},
		{"a zone appeared between", func(tx *Tx, _ *model.Zone) error {
			_, err := tx.ZoneAbove("h.sub.example.org.")
			return err
		}, func() { createZone(t, s, "sub.example.org.") }, 2},
		{"a name of a zone below changed, read with others under one comparison", readBelow,
			func() { must(t)(putHost(t.Context(), s, "sub.example.org.", "ns.sub.example.org.", "192.0.2.1")) }, 2},
		{"a zone below went, likewise", readBelow, func() {
			must(t)(s.Update(t.Context(), func(tx *Tx) error {
				z, err := tx.Zone("sub.example.org.")
				if err == nil {
					tx.DeleteZone(z)
				}
				return err
			}))
		}, 2},
		{"a zone below appeared, likewise", readBelow, func() { createZone(t, s, "x.sub.example.org.") }, 2},
		{"a zone beside appeared, likewise", readBelow, func() { createZone(t, s, "example.orga.") }, 1},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := model.Name(fmt.Sprintf("target%d.example.org.", i))
			got := meanwhile(t, s, func(tx *Tx) error {
				z, err := tx.Zone(exampleOrg)
				if err != nil {
					return err
				}
				if err := tt.read(tx, z); err != nil {
					return err
				}
				if _, err := tx.Path(z, target); err != nil {
					return err
				}
				tx.PutName(z, target, addressed("192.0.2.9", 1))
				return nil
			}, tt.other)
			if got != tt.want {
				t.Errorf("decided %d times, want %d", got, tt.want)
			}
		})
	}
}

func readBelow(tx *Tx, _ *model.Zone) error {
	return tx.OfZonesBelow(exampleOrg, func() error {
		zones, err := tx.ZonesBelow(exampleOrg)
		if err != nil || len(zones) == 0 {
			return err
		}
		z, err := tx.Zone(zones[0])
		if err != nil {
			return err
		}
		_, err = tx.Path(z, "ns.sub.example.org.")
		return err
	})
}

func must(t *testing.T) func(Result, error) {
	return func(_ Result, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
}

func TestAnErrorOfDecideWritesNothing(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	before := revision(t, s)
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		tx.DeleteZone(z)
		return model.E(model.Denied, "delete zone", "example.org")
	})
	if model.KindOf(err) != model.Denied || revision(t, s) != before {
		t.Errorf("got %v and revision %d, want Denied and %d", err, revision(t, s), before)
	}
}

func TestAZoneThatCannotBeServedIsNotWritten(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	before := revision(t, s)
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		z.Apex = nil // no NS
		tx.PutZone(z)
		return nil
	})
	if model.KindOf(err) != model.Invalid || revision(t, s) != before {
		t.Errorf("got %v, want Invalid and nothing written", err)
	}
}

func revision(t *testing.T, s *Store) (rev int64) {
	t.Helper()
	if err := s.Read(t.Context(), func(tx *Tx) (err error) {
		rev, err = tx.Revision()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return rev
}

func TestTooLargeAChangeIsRefusedWhole(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	before := revision(t, s)
	_, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		for i := range 200 {
			n := model.Name(fmt.Sprintf("n%d.example.org.", i))
			if _, err := tx.Path(z, n); err != nil {
				return err
			}
			tx.PutName(z, n, addressed("192.0.2.1", 1))
		}
		return err
	})
	if model.KindOf(err) != model.Exhausted || revision(t, s) != before {
		t.Errorf("got %v, want Exhausted and nothing written", err)
	}
}

func TestNoQuorumIsUnavailableInTime(t *testing.T) {
	etcd := localetcd.New(t)
	s, err := Open(Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	createZone(t, s, exampleOrg)
	etcd.Stop()
	soonest := time.Hour
	for try := 0; try < 3 && soonest > 2*callTimeout; try++ { // the bound is ours, not a busy machine's
		start := time.Now()
		_, err = putHost(t.Context(), s, exampleOrg, "www.example.org.", "192.0.2.1")
		if model.KindOf(err) != model.Unavailable {
			t.Errorf("got %v, want Unavailable", err)
		}
		soonest = min(soonest, time.Since(start))
	}
	if soonest > 2*callTimeout {
		t.Errorf("it took %s to say so", soonest)
	}
}

func TestResultOfACallIsKeptWithItsEffect(t *testing.T) {
	s := freshStore(t)
	if err := initialize(t, s, NewMasterKey()); err != nil {
		t.Fatal(err)
	}
	createZone(t, s, exampleOrg)
	now := time.Unix(1_800_000_000, 0)
	call := Call{Principal: "admin/x", ID: "once", Method: "CreateHost", Digest: []byte("d")}
	do := func(c Call, at time.Time) (saved *Saved, err error) {
		_, err = s.Update(t.Context(), func(tx *Tx) error {
			saved, err = tx.Result(c, at)
			if err != nil || saved != nil {
				return err
			}
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			if _, err := tx.Path(z, "h.example.org."); err != nil {
				return err
			}
			tx.PutName(z, "h.example.org.", addressed("192.0.2.1", uint64(at.Unix())))
			return tx.SaveResult(c, Saved{Response: []byte("r"), Secret: "sph_very-secret"}, at)
		})
		return saved, err
	}
	if saved, err := do(call, now); saved != nil || err != nil {
		t.Fatalf("first: %v, %v", saved, err)
	}
	rev := revision(t, s)
	saved, err := do(call, now.Add(time.Minute))
	if err != nil || saved == nil || saved.Secret != "sph_very-secret" || string(saved.Response) != "r" || saved.Revision != rev {
		t.Errorf("again: %+v, %v", saved, err)
	}
	if saved, err := do(call, now.Add(11*time.Minute)); err != nil || saved == nil || saved.Secret != "" {
		t.Errorf("after 11 minutes: %+v, %v; want the result without its secret", saved, err)
	}
	other := call
	other.Digest = []byte("e")
	if _, err := do(other, now); model.KindOf(err) != model.Precondition {
		t.Errorf("another call with the id: %v, want Precondition", err)
	}
	if got := revision(t, s); got != rev {
		t.Errorf("repeats wrote something: revision %d, want %d", got, rev)
	}
	// Promise 9: what is stored reveals no secret.
	all, err := s.client.Get(t.Context(), s.keys.root, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range all.Kvs {
		if bytes.Contains(kv.Value, []byte("very-secret")) {
			t.Errorf("%s holds the secret", kv.Key)
		}
	}
	if _, err := s.Sweep(t.Context(), now.Add(11*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if saved, err := do(call, now.Add(12*time.Minute)); err != nil || saved == nil || saved.Revision != rev {
		t.Errorf("after the secret was swept: %+v, %v; want revision %d as at first", saved, err, rev)
	}
	if n, err := s.Sweep(t.Context(), now.Add(25*time.Hour)); err != nil || n != 1 {
		t.Errorf("sweep after 25 h: %d, %v; want the result gone", n, err)
	}
	if saved, err := do(call, now.Add(25*time.Hour)); saved != nil || err != nil {
		t.Errorf("after 25 hours: %+v, %v; want a new call", saved, err)
	}
}

func initialize(t *testing.T, s *Store, key *MasterKey) error {
	t.Helper()
	if won, err := s.Initialize(t.Context(), key, "first", []byte("sum"), time.Unix(1, 0)); err != nil || !won {
		return fmt.Errorf("initialize: %v, %v", won, err)
	}
	return s.UseMasterKeys(t.Context(), key)
}

func TestMasterKeyOfTheFirstStartIsWanted(t *testing.T) {
	s := freshStore(t)
	key, other := NewMasterKey(), NewMasterKey()
	if id, err := s.MasterKeyID(t.Context()); id != "" || err != nil {
		t.Fatalf("fresh: %q, %v", id, err)
	}
	if err := s.UseMasterKeys(t.Context(), key); model.KindOf(err) != model.Precondition {
		t.Errorf("before the first start: %v", err)
	}
	if err := initialize(t, s, key); err != nil {
		t.Fatal(err)
	}
	if won, err := s.Initialize(t.Context(), other, "second", []byte("sum2"), time.Unix(1, 0)); won || err != nil {
		t.Errorf("a second first start: %v, %v", won, err)
	}
	if err := s.UseMasterKeys(t.Context(), other); model.KindOf(err) != model.Precondition || !strings.Contains(err.Error(), key.ID()) {
		t.Errorf("another key: %v, want the id %s named", err, key.ID())
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		tok, err := tx.Token([]byte("sum"))
		if err == nil && (tok == nil || !tok.Admin) {
			t.Errorf("token: %+v", tok)
		}
		tok, err2 := tx.Token([]byte("sum2"))
		if tok != nil {
			t.Errorf("the loser's token is there: %+v", tok)
		}
		if err == nil {
			err = err2
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// switchTo ends an import well.
func switchTo(t *testing.T, s *Store, c *Claim) {
	t.Helper()
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(c.zone)
		if err != nil {
			return err
		}
		z.Generation = c.Generation
		tx.PutZone(z)
		return tx.EndImport(c)
	}))
}

func TestSweepRemovesOnlyTheDead(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	names := func(yield func(model.Name, *model.NameData) bool) {
		for i := range 250 {
			if !yield(model.Name(fmt.Sprintf("n%d.example.org.", i)), addressed("192.0.2.1", 1)) {
				return
			}
		}
	}
	load := func() *Claim {
		t.Helper()
		c, err := s.ClaimImport(t.Context(), exampleOrg, "somebody", time.Unix(1, 0))
		if err == nil {
			err = c.Load(names, func(int) {})
		}
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	count := func(want int) {
		t.Helper()
		resp, err := s.client.Get(t.Context(), s.keys.anyName(), clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || int(resp.Count) != want {
			t.Errorf("%d names, %v; want %d", resp.Count, err, want)
		}
	}
	sweep := func(want int) {
		t.Helper()
		if n, err := s.Sweep(t.Context(), time.Unix(1, 0)); n != want || err != nil {
			t.Errorf("swept %d, %v; want %d", n, err, want)
		}
	}
	switchTo(t, s, load())
	if n, err := s.Sweep(t.Context(), time.Unix(1, 0)); n != 0 || err != nil { // the first was empty
		t.Errorf("swept %d, %v", n, err)
	}
	coming := load()
	sweep(0) // one is served, one is being loaded
	before := revision(t, s)
	if _, err := s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err != nil {
			return err
		}
		z.Generation = coming.Generation
		tx.PutZone(z)
		return tx.EndImport(coming)
	}); err != nil {
		t.Fatal(err)
	}
	sweep(250)
	gone := load() // younger than the one in use, and abandoned
	if _, err := s.client.Revoke(t.Context(), gone.lease); err != nil {
		t.Fatal(err)
	}
	sweep(250)
	count(250)
	if err := s.Read(t.Context(), func(tx *Tx) error {
		if rev, err := tx.ZoneRevision(exampleOrg); err != nil || rev != before+1 {
			t.Errorf("zone revision %d, %v; want %d: sweeping changes no answer", rev, err, before+1)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	must(t)(putHost(t.Context(), s, exampleOrg, "h.example.org.", "192.0.2.1"))
	must(t)(s.Update(t.Context(), func(tx *Tx) error {
		z, err := tx.Zone(exampleOrg)
		if err == nil {
			tx.DeleteZone(z)
		}
		return err
	}))
	sweep(252) // 251 names and the host's control value
	count(0)
}

func TestAuditIsReadNewestFirst(t *testing.T) {
	s := freshStore(t)
	createZone(t, s, exampleOrg)
	for i := range 5 {
		must(t)(s.Update(t.Context(), func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err != nil {
				return err
			}
			z.TTL = uint32(100 + i)
			tx.PutZone(z)
			tx.Audit(model.AuditRecord{Time: time.UnixMilli(int64(1000 + i)), Action: "zone.set", Zone: exampleOrg, After: fmt.Sprint(i)})
			return nil
		}))
	}
	var got []string
	before := ""
	for range 3 {
		if err := s.Read(t.Context(), func(tx *Tx) error {
			recs, more, err := tx.AuditRecords(before, time.Time{}, 2, func(*model.AuditRecord) bool { return true })
			for _, r := range recs {
				if r.Revision == 0 {
					t.Errorf("record without revision: %+v", r)
				}
				got = append(got, r.After)
			}
			before = more
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"4", "3", "2", "1", "0"}, got); diff != "" || before != "" {
		t.Errorf("records: %s, more %q", diff, before)
	}
}
