package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// Each sign of life is seen: it has a revision of its own, though many share a
// transaction and a lease.
func TestEachSignOfLifeIsSeen(t *testing.T) {
	s := freshStore(t)
	before := revision(t, s)
	var all sync.WaitGroup
	for i := range 250 {
		all.Go(func() {
			if err := s.Beat(t.Context(), exampleOrg, model.Name(fmt.Sprintf("h%d.example.org.", i%125)), fmt.Sprint(i/125), uint64(i), time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	get := func() *clientv3.GetResponse {
		t.Helper()
		resp, err := s.client.Get(t.Context(), s.keys.beats(), clientv3.WithPrefix())
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	first := get()
	if len(first.Kvs) != 250 || first.Header.Revision-before > 50 {
		t.Errorf("%d signs of life in %d revisions", len(first.Kvs), first.Header.Revision-before)
	}
	leases := map[int64]bool{}
	for _, kv := range first.Kvs {
		leases[kv.Lease] = true
	}
	if len(leases) != 1 || leases[0] {
		t.Errorf("leases: %v", leases)
	}
	if err := s.Beat(t.Context(), exampleOrg, "h7.example.org.", "0", 8, time.Second); err != nil {
		t.Fatal(err)
	}
	again := get()
	for i, kv := range again.Kvs {
		key, _, err := s.keys.parse(string(kv.Key))
		if err != nil {
			t.Fatal(err)
		}
		if renewed := key.Name == "h7.example.org." && key.Endpoint == "0"; (kv.ModRevision > first.Kvs[i].ModRevision) != renewed {
			t.Errorf("%s is of revision %d, was %d", kv.Key, kv.ModRevision, first.Kvs[i].ModRevision)
		} else if b, err := decodeBeat(kv.Value, kv.ModRevision); renewed && (err != nil || b.Generation != 8) {
			t.Errorf("%+v, %v", b, err)
		}
	}
}

// The leases of signs of life are few, are long enough for each, and are made anew
// before they are too short.
func TestSignsOfLifeShareLeases(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		0: time.Minute, time.Minute: time.Minute, time.Minute + 1: 2 * time.Minute, 2 * time.Minute: 2 * time.Minute,
		3 * time.Minute: 4 * time.Minute, 15 * time.Minute: 16 * time.Minute,
	} {
		if got := beatTTL(ttl); got != want {
			t.Errorf("%v is kept as %v, want %v", ttl, got, want)
		}
	}
	s := freshStore(t)
	lease := func(ttl time.Duration) clientv3.LeaseID {
		t.Helper()
		id, err := s.beating.lease(t.Context(), s, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := lease(time.Minute)
	if lease(time.Minute) != first || lease(2*time.Minute) == first {
		t.Error("leases are not shared, or by those of other times")
	}
	if l, err := s.client.TimeToLive(t.Context(), first); err != nil || l.GrantedTTL != 120 {
		t.Errorf("%+v, %v", l, err)
	}
	old := s.beating.leases[time.Minute]
	s.beating.leases[time.Minute] = beatLease{old.id, time.Now()} // half of its time is over
	if lease(time.Minute) == first {
		t.Error("a lease is used though it is too short")
	}
}

// What could not be put is no sign of life when etcd is back.
func TestNoSignOfLifeComesLate(t *testing.T) {
	e, direct := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	s := openOn(t, line.endpoint())
	beat := func(i int) error {
		return s.Beat(t.Context(), exampleOrg, model.Name(fmt.Sprintf("h%d.example.org.", i)), "a", 1, 0)
	}
	if err := beat(0); err != nil {
		t.Fatal(err)
	}
	before := revision(t, direct)
	line.set(true, false)
	var all sync.WaitGroup
	begin := time.Now()
	for i := range 1000 {
		all.Go(func() {
			if err := beat(i); model.KindOf(err) != model.Unavailable || err == nil {
				t.Errorf("%v", err)
			}
		})
	}
	all.Wait()
	if d := time.Since(begin); d > 4*callTimeout {
		t.Errorf("they waited for %v", d)
	}
	line.set(false, true)
	line.set(false, false)
	for deadline := time.Now().Add(60 * time.Second); beat(2000) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("none comes through any more")
		}
	}
	if n := revision(t, direct) - before; n > 3 {
		t.Errorf("%d revisions of signs of life, want one", n)
	}
}
