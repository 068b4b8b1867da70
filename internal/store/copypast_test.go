package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"signpost/internal/model"
)

// What was at each revision is in memory as etcd has it, and only while it is wanted.
func TestWhatWasIsReadFromMemoryAsEtcdHasIt(t *testing.T) {
	_, s := etcdAndStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.KeepCopy(ctx) }()
	defer func() { cancel(); <-ended }()
	createZone(t, s, exampleOrg)
	for s.copied() == nil {
		time.Sleep(time.Millisecond)
	}
	ttlAt := func(rev int64) (ttl uint32, there bool) {
		t.Helper()
		look := func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err == nil {
				ttl = z.TTL
			}
			return err
		}
		there, err := s.ReadPast(t.Context(), rev, look)
		if err != nil {
			t.Fatal(err)
		}
		remembered := ttl
		if err := s.ReadAt(t.Context(), rev, look); err != nil {
			t.Fatal(err)
		}
		tx := s.newTx(t.Context(), nil)
		tx.looks, tx.rev = true, rev
		if z, err := tx.Zone(exampleOrg); err != nil || z.TTL != ttl || there && z.TTL != remembered {
			t.Fatalf("revision %d: etcd has %v (%v), read at %d, remembered %d", rev, z, err, ttl, remembered)
		}
		return ttl, there
	}
	change := func(ttl uint32) int64 {
		t.Helper()
		res, err := s.Update(t.Context(), func(tx *Tx) error {
			z, err := tx.Zone(exampleOrg)
			if err == nil {
				now := *z
				now.TTL = ttl
				tx.PutZone(&now)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return res.Revision
	}
	old := change(100)
	if _, err := s.copy.Load().reach(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	s.KeepPast()
	var revs []int64
	for ttl := range uint32(20) {
		revs = append(revs, change(200+ttl))
	}
	for i, rev := range revs {
		if ttl, there := ttlAt(rev); !there || ttl != 200+uint32(i) {
			t.Errorf("revision %d: %d, remembered: %v", rev, ttl, there)
		}
		if ttl, there := ttlAt(rev - 1); i > 0 && (!there || ttl != 199+uint32(i)) {
			t.Errorf("before revision %d: %d, remembered: %v", rev, ttl, there)
		}
	}
	if _, there := ttlAt(old - 1); there {
		t.Error("what was before anybody asked is remembered")
	}
	for ttl := range uint32(2 * mostPast) {
		change(300 + ttl)
	}
	if _, there := ttlAt(revs[0]); there {
		t.Error("more is remembered than is said")
	}
	k := s.copy.Load()
	k.past.mu.Lock()
	k.past.asked = time.Now().Add(-pastWanted)
	k.past.mu.Unlock()
	last := change(999)
	if _, there := ttlAt(last); there || len(k.past.worlds) > 0 {
		t.Error("it is remembered though nobody asks")
	}
}

// Votes, checkers and records come by revision, whichever watch brings them.
func TestNewsComeInOrderWhateverTheyAreOf(t *testing.T) {
	_, s := etcdAndStore(t)
	z := createZone(t, s, exampleOrg)
	setEndpoints(t, s, "www.example.org.", "a")
	start, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := standBy(t, s, "north")
	check := checkOf(t, s, z, "www.example.org.")
	if err := d.Register(t.Context(), time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 30 {
		audited(t, s, time.Unix(1e9, 0), "host.create", "www.example.org.")
		v := model.Down
		if i%2 == 1 {
			v = model.Up
		}
		if _, err := d.Vote(t.Context(), []Ballot{ballot(z, "www.example.org.", "a", check, v)}); err != nil {
			t.Fatal(err)
		}
		want = append(want, "record", "vote")
	}
	var got []string
	registered, last := false, int64(0)
	at := NewsPosition{Revision: start}
	err = s.FollowNews(t.Context(), &at, 10*time.Millisecond, func(n News) error {
		if len(n.Records)+len(n.Said) > 0 && n.Revision <= last {
			t.Errorf("revision %d after %d", n.Revision, last)
		}
		last = n.Revision
		for range n.Records {
			got = append(got, "record")
		}
		for _, k := range n.Said {
			switch k.Kind {
			case model.CheckerKey:
				registered = k.Site == "north" && len(got) == 0
			case model.VoteKey:
				got = append(got, "vote")
			}
		}
		if len(got) >= len(want) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !registered || len(got) != len(want) {
		t.Fatalf("%v: registered: %v, %q", err, registered, got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}
