package monitor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/rights"
)

func TestACheckerRegistersLast(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	for i := range 30 {
		tr.host(model.Name(fmt.Sprintf("h%d.example.org.", i)), quick(f), "127.0.1.1")
	}
	m, _ := tr.monitor("north", tr.store)
	tr.until("registered", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	_, registered := tr.keys("dns/checker/north")
	votes, last := tr.keys("dns/vote/north/")
	if len(votes) != 30 || last >= registered {
		t.Errorf("%d votes up to revision %d, registered at %d", len(votes), last, registered)
	}
	tr.until("ready", func() bool { return m.Ready() == nil })
}

func TestChecksOfOneAddressAreMadeOnce(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	for i := range 20 {
		tr.host(model.Name(fmt.Sprintf("h%d.example.org.", i)), quick(f), "127.0.1.1")
	}
	m, _ := tr.monitor("north", tr.store)
	tr.until("twenty votes", func() bool { all, _ := tr.keys("dns/vote/north/"); return len(all) == 20 })
	tr.until("three attempts", func() bool { return f.came.Load() >= 3 })
	attempts := count(m.metrics.attempts.WithLabelValues("tcp", model.Fine.String()))
	if came := f.came.Load(); came > 6 || attempts > 6 {
		t.Errorf("%d connections and %v attempts for twenty endpoints of one address and check", came, attempts)
	}
}

func TestASecondMonitorStandsByAndTakesOver(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1", "127.0.1.2")
	first, stop := tr.monitor("north", tr.store)
	tr.until("ready", func() bool { return first.Ready() == nil })
	second, _ := tr.monitor("north", tr.open(store.Config{}))
	tr.until("the second stands by", func() bool { return second.Ready() == nil })
	if n := count(second.metrics.attempts.WithLabelValues("tcp", model.Fine.String())); n != 0 {
		t.Errorf("who stands by has made %v attempts", n)
	}
	before := tr.votes("north")
	stop()
	tr.until("the second checks", func() bool {
		return count(second.metrics.attempts.WithLabelValues("tcp", model.Fine.String())) > 0 && second.Ready() == nil
	})
	newFar(t, fmt.Sprintf("127.0.1.2:%d", f.port()))
	tr.untilSays("north", "b", "up, as expected")
	if after := tr.votes("north"); after["a"].Term != before["a"].Term || after["b"].Term != before["a"].Term || after["a"].ModRevision != before["a"].ModRevision {
		t.Errorf("before %v %v, after %v %v", before["a"], before["b"], after["a"], after["b"])
	}
}

func TestWithoutItsSignOfLifeItWritesNothing(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "up, as expected")
	tr.until("registered", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	// Another takes the site's sign of life, which no monitor would.
	if _, err := tr.raw.Put(t.Context(), "/signpost/v1/live/checker/north", ""); err != nil {
		t.Fatal(err)
	}
	resp, err := tr.raw.Txn(t.Context()).Then(clientv3.OpDelete("/signpost/v1/live/checker/north")).Commit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.raw.Put(t.Context(), "/signpost/v1/live/checker/north", ""); err != nil {
		t.Fatal(err)
	}
	f.Close()
	time.Sleep(3 * time.Second) // several intervals, in which it must have seen that nobody listens
	if _, last := tr.keys("dns/vote/north/"); last > resp.Header.Revision {
		t.Errorf("it voted at revision %d, when the sign of life was another's since %d", last, resp.Header.Revision)
	}
	if _, err := tr.raw.Delete(t.Context(), "/signpost/v1/live/checker/north"); err != nil {
		t.Fatal(err)
	}
	tr.untilSays("north", "a", "down, connection refused")
}

func TestItIsRegisteredAgainAfterARemoval(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "up, as expected")
	before := tr.votes("north")["a"]
	tr.update(func(tx *store.Tx) error { tx.RemoveChecker("north"); return nil })
	tr.until("registered again", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	_, registered := tr.keys("dns/checker/north")
	if after := tr.votes("north")["a"]; after == nil || after.Term == before.Term || after.ModRevision >= registered {
		t.Errorf("before %v, after %v, registered again at %d", before, after, registered)
	}
}

func TestFreezeHoldsVotesUntilTheThaw(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	m, _ := tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "up, as expected")
	tr.update(func(tx *store.Tx) error { tx.PutFreeze(&model.Freeze{Reason: "a test"}); return nil })
	tr.until("it knows", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.book.frozen })
	f.Close()
	down := func() bool { return count(m.metrics.verdicts.WithLabelValues("down")) > 0 }
	tr.until("it thinks that the endpoint is down", down)
	if got := tr.verdict("north", "a"); got != "up, as expected" {
		t.Errorf("while frozen it says %q", got)
	}
	tr.update(func(tx *store.Tx) error { tx.PutFreeze(nil); return nil })
	tr.untilSays("north", "a", "down, connection refused")
}

func TestWhatMayNotBeTriedIsSaid(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "10.1.2.3", "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "no verdict, checker may not try this address")
	tr.untilSays("north", "b", "up, as expected")
	tr.until("registered", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
}

func TestHeartbeatsAreJudgedByWhenTheyAreSeen(t *testing.T) {
	tr := newTrial(t)
	tr.host(www.Name, model.Check{Kind: model.CheckHeartbeat, Interval: time.Second, Timeout: 500 * time.Millisecond, Fall: 1, Rise: 1}, "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "down, no sign of life yet")
	beat := func() {
		t.Helper()
		if err := tr.store.Beat(t.Context(), www.Zone, www.Name, "a", tr.gen, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	tr.until("it is up", func() bool { beat(); return strings.HasPrefix(tr.verdict("north", "a"), "up") })
	tr.untilSays("north", "a", "down, last sign of life is too old")
}

// TestItDoesItsWorkWithItsNarrowRole on an etcd that asks for users. That it may do
// nothing else is shown in the room "rights".
func TestItDoesItsWorkWithItsNarrowRole(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	password := func(user string) (string, error) { return user + "'s password", nil }
	users := rights.Options{Prefix: "/signpost", Control: []string{"control"}, Monitors: map[string]string{"north": "monitor-north"}}
	if err := rights.Apply(t.Context(), tr.config(store.Config{}), users, rights.How{Password: password, EnableAuth: true, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	as := func(user string) store.Config {
		p, _ := password(user)
		return store.Config{User: user, Password: p}
	}
	tr.store, tr.raw = tr.open(as("control")), tr.dial(as("control"))
	narrow := tr.open(as("monitor-north"))
	m, stop := tr.monitor("north", narrow)
	tr.until("ready", func() bool { return m.Ready() == nil })
	tr.untilSays("north", "a", "up, as expected")
	f.Close()
	tr.untilSays("north", "a", "down, connection refused")
	tr.update(func(tx *store.Tx) error { tx.RemoveChecker("north"); return nil })
	tr.until("registered again", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	stop()
	if left, _ := tr.keys("live/checker/"); len(left) != 0 {
		t.Errorf("signs of life are left: %v", left)
	}
	other, stop := tr.monitor("south", narrow)
	time.Sleep(2 * time.Second)
	if err := other.Ready(); err == nil {
		t.Error("it is ready for a site that is not its own")
	}
	stop()
	if all, _ := tr.keys("dns/vote/"); slices.ContainsFunc(all, func(k string) bool { return strings.HasPrefix(k, "south/") }) {
		t.Error("it voted for another site")
	}
}
