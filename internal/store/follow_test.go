package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"

	"signpost/internal/model"
)

func TestOneRevisionIsOneNext(t *testing.T) {
	_, s := etcdAndStore(t)
	commit(t, s, putName(s, 1), putName(s, 2), putName(s, 3), putName(s, 4))
	r, _ := follow(t, s, FollowOptions{PageSize: 3})
	r.awaitLoads(1)
	if len(r.now().state) != 5 {
		t.Fatalf("the whole state is %q", r.now().state)
	}
	var revs []int64
	revs = append(revs, commit(t, s, putName(s, 5), deleteName(s, 1)))
	revs = append(revs, commit(t, s, putName(s, 5)))
	revs = append(revs, commit(t, s, deleteName(s, 5), deleteName(s, 2)))
	r.awaitRevision(revs[2])
	if len(r.now().nexts) != 3 {
		t.Fatalf("%d calls of Next, want one for each of 3 revisions: %v", len(r.now().nexts), r.now().nexts)
	}
	for i, want := range []int{3, 2, 3} {
		if n := r.now().nexts[i]; n.rev != revs[i] || len(n.keys) != want {
			t.Errorf("Next %d is %v, want %d keys of revision %d", i, n, want, revs[i])
		}
	}
	r.sameAs(s)
	if r.now().loads != 1 || len(r.now().troubles) != 0 {
		t.Errorf("%d loads, troubles %v; want one load and no trouble", r.now().loads, r.now().troubles)
	}
}

func TestEveryNumberOfKeysComesWholeInPages(t *testing.T) {
	_, base := etcdAndStore(t)
	for n := range 11 {
		s, err := Open(Config{Endpoints: base.client.Endpoints(), Prefix: fmt.Sprintf("/pages/%d", n)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for i := range n {
			if _, err := s.client.Do(t.Context(), putName(s, i)); err != nil {
				t.Fatal(err)
			}
		}
		r, stop := follow(t, s, quick)
		r.awaitLoads(1)
		if len(r.now().state) != n {
			t.Errorf("%d keys came, want %d", len(r.now().state), n)
		}
		r.sameAs(s)
		stop()
	}
}

func TestOtherPrefixesAreNotFollowed(t *testing.T) {
	_, s := etcdAndStore(t)
	other, err := Open(Config{Endpoints: s.client.Endpoints(), Prefix: "/signpost2"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	commit(t, other, putName(other, 1))
	r, _ := follow(t, s, quick)
	r.awaitLoads(1)
	for _, key := range []string{other.keys.rev(exampleOrg), s.keys.masterKey(), s.keys.root + "dns0/zone/org.example."} {
		if _, err := s.client.Put(t.Context(), key, ""); err != nil {
			t.Fatal(err)
		}
	}
	r.awaitRevision(commit(t, s, putName(s, 2)))
	if len(r.now().nexts) != 1 || len(r.now().state) != 2 {
		t.Errorf("got %v, %v", r.now().nexts, r.now().state)
	}
}

func TestValueThatCannotBeReadKeepsItsKey(t *testing.T) {
	_, s := etcdAndStore(t)
	zone, name := s.keys.zone(exampleOrg), nameKey(s, 1)
	commit(t, s, clientv3.OpPut(zone, "\xff\xff"), putName(s, 1))
	r, _ := follow(t, s, FollowOptions{ProbeEvery: time.Second})
	r.awaitLoads(1)
	rel := func(key string) string { return strings.TrimPrefix(key, s.keys.root) }
	if r.now().bad[rel(zone)] == nil || r.now().bad[rel(name)] != nil || r.now().state[rel(zone)] != "\xff\xff" {
		t.Errorf("loaded %q, bad %v", r.now().state, r.now().bad)
	}
	r.awaitRevision(commit(t, s, clientv3.OpPut(name, "garbage"),
		clientv3.OpPut(s.keys.dns()+"zone/not a name", "x"), // no key of ours: nobody to tell but the log
		clientv3.OpPut(s.keys.dns()+"rev/neither", ""),
		clientv3.OpPut(s.keys.dns()+"vote/of/a/later/version", "x")))
	if r.now().bad[rel(name)] == nil || len(r.now().nexts[0].keys) != 2 {
		t.Errorf("after garbage: %v, bad %v", r.now().nexts, r.now().bad)
	}
	r.awaitTrouble(TroubleValue)
	begin := time.Now()
	r.await("a confirmation", func() bool { return r.confirmed().After(begin) })
	if r.now().loads != 1 || slices.Contains(r.now().troubles, TroubleWatch) {
		t.Errorf("%d loads, troubles %v", r.now().loads, r.now().troubles)
	}
}

func TestRevisionWithNothingKnownIsLeftOut(t *testing.T) {
	_, s := etcdAndStore(t)
	r, _ := follow(t, s, quick)
	r.awaitLoads(1)
	if _, err := s.client.Put(t.Context(), s.keys.dns()+"later/x", ""); err != nil {
		t.Fatal(err)
	}
	r.awaitRevision(commit(t, s))
	if len(r.now().nexts) != 1 {
		t.Errorf("got %v", r.now().nexts)
	}
}

func TestStateOfANewerSchemaIsNotTaken(t *testing.T) {
	_, s := etcdAndStore(t)
	schema := func(v string) clientv3.Op { return clientv3.OpPut(s.keys.schema(), v) }
	commit(t, s, putName(s, 1), schema(strconv.Itoa(Schema+1)))
	r, _ := follow(t, s, quick)
	r.awaitTrouble(TroubleSchema)
	if r.now().loads != 0 {
		t.Fatal("it was loaded")
	}
	commit(t, s, schema("1"))
	r.awaitLoads(1)
	held := commit(t, s, putName(s, 2))
	r.awaitRevision(held)

	r.mu.Lock()
	r.troubles = nil
	r.mu.Unlock()
	commit(t, s, deleteName(s, 1), schema("99"))
	r.awaitTrouble(TroubleSchema)
	commit(t, s, putName(s, 3))
	r.await("a second look at the schema", func() bool { return len(r.troubles) > 1 })
	if r.now().rev != held || len(r.now().state) != 3 {
		t.Fatalf("at %d, want the view of %d kept: %q", r.now().rev, held, r.now().state)
	}
	if _, err := s.client.Delete(t.Context(), s.keys.schema()); err != nil {
		t.Fatal(err)
	}
	r.awaitLoads(2)
	r.sameAs(s)
}

func TestTheWholeIsReadAgainFromTimeToTime(t *testing.T) {
	_, s := etcdAndStore(t)
	commit(t, s, putName(s, 1))
	r := &recorder{t: t, changed: make(chan struct{})}
	followWith(t, s, FollowOptions{RereadEvery: 20 * time.Millisecond}, struct{ Sink }{r}) // no Comparer
	r.awaitLoads(4)
	r.awaitRevision(commit(t, s, putName(s, 2)))
	r.sameAs(s)
	if len(r.now().troubles) != 0 {
		t.Errorf("troubles %v", r.now().troubles)
	}
}

// A sink that knows what it holds is given the whole only when that is something else
// than etcd has.
func TestTheWholeIsComparedFromTimeToTime(t *testing.T) {
	_, s := etcdAndStore(t)
	commit(t, s, putName(s, 1), putName(s, 2), clientv3.OpPut(nameKey(s, 3), "garbage"))
	r, _ := follow(t, s, FollowOptions{RereadEvery: 20 * time.Millisecond, PageSize: 2})
	r.awaitLoads(1)
	for i := range 20 { // changes come while it compares
		r.awaitRevision(commit(t, s, putName(s, i)))
	}
	n := r.now().compared
	r.await("more looks", func() bool { return r.compared > n+2 })
	if now := r.now(); now.loads != 1 || slices.Contains(now.troubles, TroubleDiffers) {
		t.Fatalf("%d loads, troubles %v; nothing differed", now.loads, now.troubles)
	}
	lost := strings.TrimPrefix(nameKey(s, 2), s.keys.root)
	for i, harm := range []func(){
		func() { delete(r.state, lost); delete(r.mods, lost) }, // an event that never came
		func() { r.mods["dns/rev/com.example."] = 1 },          // a deletion that never came
		func() { r.mods[lost]-- },                              // an older value
	} {
		r.mu.Lock()
		r.troubles = nil
		harm()
		r.mu.Unlock()
		r.awaitTrouble(TroubleDiffers)
		r.awaitLoads(i + 2)
		r.sameAs(s)
	}
}

// What Confirm says must hold: all that was acknowledged before that moment is there.
func TestConfirmedIsFresh(t *testing.T) {
	_, s := etcdAndStore(t)
	o := quick
	o.ProbeEvery = 20 * time.Millisecond
	r, _ := follow(t, s, o)
	r.awaitLoads(1)
	type ack struct {
		rev  int64
		when time.Time
	}
	var acks []ack
	for i, checked := 0, 1; checked < 20; i++ {
		rev := commit(t, s, putName(s, i))
		acks = append(acks, ack{rev, time.Now()})
		r.mu.Lock()
		if n := len(r.confirms); n > checked {
			checked = n
			for _, a := range acks {
				if a.rev > r.rev && a.when.Before(r.confirms[n-1]) {
					t.Errorf("confirmed for %v at revision %d, but %d was acknowledged at %v", r.confirms[n-1], r.rev, a.rev, a.when)
				}
			}
		}
		r.mu.Unlock()
	}
}

func TestFollowLeavesNothingRunning(t *testing.T) {
	_, s := etcdAndStore(t)
	once := func() {
		r, stop := follow(t, s, quick)
		r.awaitLoads(1)
		n := len(r.now().confirms)
		r.awaitRevision(commit(t, s, putName(s, 1)))
		r.await("a probe", func() bool { return len(r.confirms) > n+1 })
		stop()
	}
	once() // the client's connection stays
	before := goleak.IgnoreCurrent()
	once()
	goleak.VerifyNone(t, before)
}

func TestBurstComesWholeAndInOrder(t *testing.T) {
	_, s := etcdAndStore(t)
	r, _ := follow(t, s, FollowOptions{})
	r.awaitLoads(1)
	const writers, each = 8, 50
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				commit(t, s, putName(s, w), putName(s, 100+w), putName(s, 200+i%7))
			}
		})
	}
	writing.Wait()
	r.awaitRevision(commit(t, s, deleteName(s, 0)))
	if len(r.now().nexts) != writers*each+1 {
		t.Errorf("%d calls of Next, want %d", len(r.now().nexts), writers*each+1)
	}
	for _, n := range r.now().nexts[:writers*each] {
		if len(n.keys) != 4 {
			t.Fatalf("revision %d came with %d of 4 keys", n.rev, len(n.keys))
		}
	}
	r.sameAs(s)
}

// A catch-up of many large revisions is more than etcd puts into one message.
func TestRevisionIsNeverSplit(t *testing.T) {
	e, direct := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	s := openOn(t, line.endpoint())
	r, _ := follow(t, s, FollowOptions{ProbeEvery: time.Minute}) // so much takes its time
	r.awaitLoads(1)
	line.set(false, true)
	text := "\xff" + strings.Repeat("x", 255)
	big := string(encodeName(&model.NameData{RRsets: []model.RRset{{Type: dns.TypeTXT, Data: [][]byte{[]byte(strings.Repeat(text, 100))}}}}))
	var last int64
	for range 12 {
		var ops []clientv3.Op
		for i := range 40 {
			ops = append(ops, clientv3.OpPut(nameKey(direct, i), big))
		}
		last = commit(t, direct, ops...)
	}
	line.set(false, false)
	r.awaitRevision(last)
	if len(r.now().nexts) != 12 || r.now().loads != 1 {
		t.Fatalf("%d revisions, %d loads; want 12 revisions and no second load", len(r.now().nexts), r.now().loads)
	}
	for _, n := range r.now().nexts {
		if len(n.keys) != 41 {
			t.Errorf("revision %d came with %d of 41 keys", n.rev, len(n.keys))
		}
	}
}

func TestOptionsAreUsableWhenZero(t *testing.T) {
	want := FollowOptions{2 * time.Second, time.Hour, time.Second, 30 * time.Second, 0, 64 << 20}
	if got := (FollowOptions{}).withDefaults(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	f := follower{o: want}
	for i := range 20 {
		d := f.backoff()
		if d < time.Second/2 || d > 30*time.Second || i > 5 && d < 15*time.Second {
			t.Errorf("wait %d is %v", i, d)
		}
	}
}
