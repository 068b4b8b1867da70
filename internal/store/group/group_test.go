package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestChangesThatWaitShareARevision(t *testing.T) {
	client := etcdClient(t)
	c, release := queued(t, clientv3.RetryKVClient(client))
	got := commitAll(t, c, release, []Change{change("?a =a ~rev/z"), change("?b =b ~rev/z"), change("?c =c ~rev/y")})
	for i, a := range got {
		if a.err != nil || !a.Made || a.Revision != got[0].Revision {
			t.Errorf("change %d: %+v, want it made at revision %d", i, a, got[0].Revision)
		}
	}
	resp, err := client.Get(t.Context(), "", clientv3.WithFromKey())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, kv := range resp.Kvs {
		keys = append(keys, string(kv.Key))
		if kv.ModRevision != got[0].Revision || kv.Version != 1 {
			t.Errorf("%s is of revision %d, version %d", kv.Key, kv.ModRevision, kv.Version)
		}
	}
	if want := []string{"a", "b", "c", "rev/y", "rev/z"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
}

// A change that is to be alone shares with nobody; the others still do.
func TestAChangeIsAloneWhenItSaysSo(t *testing.T) {
	c, release := queued(t, clientv3.RetryKVClient(etcdClient(t)))
	alone := change("?b =b")
	alone.Alone = true
	got := commitAll(t, c, release, []Change{change("?a =a"), change("?d =d"), alone, change("?c =c"), change("?e =e")})
	for i, a := range got {
		if a.err != nil || !a.Made {
			t.Errorf("change %d: %+v", i, a)
		}
	}
	for i, a := range got {
		if i != 2 && a.Revision == got[2].Revision {
			t.Errorf("change %d is of revision %d, the one alone of %d", i, a.Revision, got[2].Revision)
		}
	}
	if got[0].Revision != got[1].Revision || got[3].Revision != got[4].Revision {
		t.Errorf("the others do not share: %+v", got)
	}
}

// What all compare is compared once: when it is not so, nothing at all is put.
func TestWhatAllCompareFailsAll(t *testing.T) {
	client := etcdClient(t)
	if _, err := client.Put(t.Context(), "zone", "1"); err != nil {
		t.Fatal(err)
	}
	c, release := queued(t, clientv3.RetryKVClient(client))
	got := commitAll(t, c, release, []Change{change("?zone ?a =a ~rev/z"), change("?b ?zone =b ~rev/z")})
	for i, a := range got {
		if a.err != nil || a.Made {
			t.Errorf("change %d: %+v, want it not made", i, a)
		}
	}
	if v := values(t, client, ""); len(v) != 1 {
		t.Errorf("etcd has %v, want only the zone", v)
	}
}

// What joins is one put, under the greatest key, in the order of the changes.
func TestWhatJoinsIsPutAsOne(t *testing.T) {
	client := etcdClient(t)
	c, release := queued(t, clientv3.RetryKVClient(client))
	noting := func(key string, notes ...string) Change {
		ch := change("=" + key)
		for i, n := range notes {
			ch.Then = append(ch.Then, Write{Key: fmt.Sprintf("note/%d%d", 9-len(key), i), Value: []byte(n), Joins: true})
		}
		return ch
	}
	for i, a := range commitAll(t, c, release, []Change{noting("a", "1", "2"), noting("bb", "3"), change("=c"), noting("ddd", "4")}) {
		if a.err != nil || !a.Made {
			t.Errorf("change %d: %+v", i, a)
		}
	}
	if got, want := values(t, client, ""), (map[string]string{"a": "v", "bb": "v", "c": "v", "ddd": "v", "note/81": "1234"}); !maps.Equal(got, want) {
		t.Errorf("etcd has %v, want %v", got, want)
	}
	if joins := noting("a", "1"); len(joins.footprint(isShared).written) != 1 {
		t.Error("what joins keeps changes apart")
	}
}

// A change that fails its own compare fails alone.
func TestAChangeThatFailsItsCompareFailsAlone(t *testing.T) {
	client := etcdClient(t)
	if _, err := client.Put(t.Context(), "taken", "1"); err != nil {
		t.Fatal(err)
	}
	c, release := queued(t, clientv3.RetryKVClient(client))
	got := commitAll(t, c, release, []Change{change("?a =a"), change("?taken =b ~rev/b"), change("?c =c ~rev/c")})
	for i, made := range []bool{true, false, true} {
		if got[i].err != nil || got[i].Made != made {
			t.Errorf("change %d: %+v, want made %v", i, got[i], made)
		}
	}
	if got, want := values(t, client, ""), (map[string]string{"taken": "1", "a": "v", "c": "v", "rev/c": ""}); !maps.Equal(got, want) {
		t.Errorf("etcd has %v, want %v: a shared key of nobody's change is not put", got, want)
	}
}

// TestAfterARefusalEachIsMadeByItself: where changes are in each other's way, to make all
// at once would be tried in vain each time.
func TestAfterARefusalEachIsMadeByItself(t *testing.T) {
	g := newGate(etcdClient(t))
	close(g.open)
	c, _ := queued(t, g)
	for i := range 2 * wariness {
		release := func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.flying = 0
			c.launchLocked()
		}
		c.mu.Lock()
		c.flying = 1000
		c.mu.Unlock()
		stale := Change{If: []Compare{{Key: "stale", Mod: 1}}, Then: []Write{{Key: "b"}}}
		got := commitAll(t, c, release, []Change{change(fmt.Sprintf("?a%d =a%d", i, i)), stale})
		if got[0].err != nil || !got[0].Made || got[1].err != nil || got[1].Made {
			t.Fatalf("group %d: %+v, want only the first made", i, got)
		}
		want := 1
		if i%(wariness+1) == 0 {
			want = 2
		}
		if n := len(g.sent); n != want {
			t.Errorf("group %d took %d transactions, want %d", i, n, want)
		}
		for range len(g.sent) {
			<-g.sent
		}
	}
}

// TestMoreThanAFewAreUnderWayOnlyWhenEnoughWait: a transaction of few beside others is
// better part of a larger one.
func TestMoreThanAFewAreUnderWayOnlyWhenEnoughWait(t *testing.T) {
	g := newGate(etcdClient(t))
	c := New(g, within, isShared)
	c.patience = time.Minute
	var wg sync.WaitGroup
	commit := func(key string) {
		wg.Go(func() {
			if o, err := c.Commit(t.Context(), change("="+key)); err != nil || !o.Made {
				t.Errorf("%s: %+v, %v", key, o, err)
			}
		})
	}
	for i := range mostAtOnce {
		commit(fmt.Sprintf("first%d", i))
		<-g.sent
	}
	for i := range enough - 1 {
		commit(fmt.Sprintf("few%d", i))
	}
	untilWaiting(t, c, enough-1)
	c.mu.Lock()
	if c.flying != mostAtOnce {
		t.Errorf("%d are under way while few wait, want %d", c.flying, mostAtOnce)
	}
	c.mu.Unlock()
	commit("enough")
	<-g.sent
	close(g.open)
	wg.Wait()
}

func TestChangesOfOneKeyAreTriedInTheirOrder(t *testing.T) {
	client := etcdClient(t)
	c, release := queued(t, clientv3.RetryKVClient(client))
	put := func(v string) Change { return Change{Then: []Write{{Key: "k", Value: []byte(v)}}} }
	changes := []Change{put("1"), change("=x"), put("2"), change("=y"), put("3")}
	c.places = 1
	got := commitAll(t, c, release, changes)
	r := func(i int) int64 { return got[i].Revision }
	if r(0) != r(1) || r(0) != r(3) || r(0) >= r(2) || r(2) >= r(4) {
		t.Errorf("revisions %d %d %d %d %d, want 1, x and y together, then 2, then 3", r(0), r(1), r(2), r(3), r(4))
	}
	if v := values(t, client, "k")[""]; v != "3" {
		t.Errorf("k is %s in the end, want 3", v)
	}
}

// TestAChangeDoesNotOvertakeWhatItGetsInTheWayOf: the third could go with the first, but
// the second came before it.
func TestAChangeDoesNotOvertakeWhatItGetsInTheWayOf(t *testing.T) {
	c := New(nil, time.Second, isShared)
	first, second, third := pendingOf(change("=a")), pendingOf(change("=a =b")), pendingOf(change("=b"))
	c.waiting = []*pending{first, second, third}
	for i, want := range []*pending{first, second, third} {
		if got, _ := c.takeLocked(); len(got) != 1 || got[0] != want {
			t.Fatalf("group %d: %d changes", i, len(got))
		}
	}
}

func TestWhoGivesUpBeforeItsTurnHasChangedNothing(t *testing.T) {
	client := etcdClient(t)
	c, release := queued(t, clientv3.RetryKVClient(client))
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := c.Commit(ctx, change("=gone"))
		gone <- err
	}()
	untilWaiting(t, c, 1)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	got := commitAll(t, c, release, []Change{change("=a"), change("=b")})
	if got[0].err != nil || got[1].err != nil {
		t.Error(got)
	}
	if v := values(t, client, ""); len(v) != 2 {
		t.Errorf("etcd has %v, want a and b", v)
	}
}

func TestWhoGivesUpOnTheWayTakesNobodyAlong(t *testing.T) {
	g := newGate(etcdClient(t))
	c, release := queued(t, g)
	ctx, cancel := context.WithCancel(t.Context())
	gone, stays := make(chan error, 1), make(chan answer, 1)
	go func() {
		_, err := c.Commit(ctx, change("=gone"))
		gone <- err
	}()
	untilWaiting(t, c, 1)
	go func() {
		o, err := c.Commit(t.Context(), change("=stays"))
		stays <- answer{o, err}
	}()
	untilWaiting(t, c, 2)
	release()
	<-g.sent
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	close(g.open)
	if a := <-stays; a.err != nil || !a.Made {
		t.Errorf("the other: %+v, want it made", a)
	}
}

// TestSilenceGivesPlacesAway: a member of etcd that answers nothing must not hold up
// those who could reach another.
func TestSilenceGivesPlacesAway(t *testing.T) {
	g := newGate(etcdClient(t))
	c := New(g, within, isShared)
	const n = 3 * mostFlying
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if o, err := c.Commit(t.Context(), change(fmt.Sprintf("=k%d =same", i))); err != nil || !o.Made {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
	for range n { // they write the same key, so that each needs a place of its own
		<-g.sent
	}
	close(g.open)
	wg.Wait()
	untilIdle(t, c)
}

func TestMembersOfARefusedGroupAreTriedOneByOne(t *testing.T) {
	client := etcdClient(t)
	c, release := queued(t, clientv3.RetryKVClient(client))
	bad := Change{Then: []Write{{Value: []byte("an empty key")}}}
	got := commitAll(t, c, release, []Change{change("=a"), bad, change("=b")})
	if got[0].err != nil || !got[0].Made || got[1].err == nil || got[2].err != nil || !got[2].Made {
		t.Errorf("%+v, want all made but the second", got)
	}
}

// TestNobodyKnowsMeansNoRetry: what may have been done is not done again.
func TestNobodyKnowsMeansNoRetry(t *testing.T) {
	client := etcdClient(t)
	c, release := queued(t, lossy{clientv3.RetryKVClient(client)})
	got := commitAll(t, c, release, []Change{change("=a"), change("=b")})
	if got[0].err == nil || got[1].err == nil {
		t.Errorf("%+v, want errors", got)
	}
	resp, err := client.Get(t.Context(), "a")
	if err != nil || len(resp.Kvs) != 1 || resp.Kvs[0].Version != 1 {
		t.Errorf("a was put %v times, %v; want once", resp.Kvs, err)
	}
}
