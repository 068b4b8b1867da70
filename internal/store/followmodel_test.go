package store

import (
	"context"
	"errors"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"pgregory.net/rapid"

	"signpost/internal/store/localetcd"
)

// Longer with: go test -run TestWhatIsFollowed ./internal/store -rapid.checks=10000 -timeout=2h -args -model=1h
var modelFor = flag.Duration("model", 20*time.Second, "how long to try random histories of etcd")

func init() { wal.SegmentSizeBytes = 1 << 20 } // backups are copied often here

// TestWhatIsFollowedIsWhatEtcdHas: whatever becomes of etcd and of the lines to it, what
// Follow and KeepCopy show was etcd's state at its revision, comes in order, and is
// called fresh only when it is; and when the trouble is over both catch up.
func TestWhatIsFollowedIsWhatEtcdHas(t *testing.T) {
	end := time.Now().Add(*modelFor)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if time.Now().After(end) {
			return
		}
		n++
		d := startDrill(t, rt)
		defer d.close()
		d.settle(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":                      d.check,
			"change":                d.change,
			"change more":           d.change,
			"burst":                 d.burst,
			"around":                d.around,
			"elsewhere":             d.elsewhere,
			"say":                   d.say,
			"say of all":            d.sayOfAll,
			"signs of life":         d.signsOfLife,
			"checks anew":           d.checksAnew,
			"compact":               d.compact,
			"line":                  d.line,
			"settle":                d.settle,
			"follow anew":           d.followAnew,
			"copy anew":             d.copyAnew,
			"back up":               d.backUp,
			"restore":               d.restore,
			"restore while reading": d.restoreWhileReading,
			"restart etcd":          d.restartEtcd,
			"other cluster":         d.otherCluster,
			"read":                  d.read,
		})
		d.settle(rt)
	})
	t.Logf("%d histories", n)
}

// drill is an etcd that much is done to, and those who follow it.
type drill struct {
	t         *testing.T
	dir       string
	etcd      *localetcd.Server
	direct    *Store
	lines     []*proxy
	epochs    []*epoch
	compacted int64

	backup        string // where the last one is, "" when there is none
	kept          epoch  // what is in it
	keptCompacted int64
	backups       int

	sink       *watcherSink
	follows    watcherModel
	stopFollow func()

	copier   *Store
	copies   watcherModel
	stopCopy func()

	checks     *checksWatcher
	stopChecks func()
}

func startDrill(t *testing.T, rt *rapid.T) *drill {
	d := &drill{t: t}
	must := func(err error) {
		if err != nil {
			rt.Fatal(err)
		}
	}
	var err error
	d.dir, err = os.MkdirTemp("", "signpost-model-")
	must(err)
	d.etcd, err = localetcd.Start(localetcd.Options{UnsafeNoFsync: true})
	must(err)
	d.direct, err = Open(Config{Endpoints: []string{d.etcd.Endpoint()}})
	must(err)
	d.lines = []*proxy{newProxy(t, d.etcd.Addr()), newProxy(t, d.etcd.Addr())}
	d.epochs = []*epoch{{began: time.Now(), states: []state{{rev: 1, keys: map[string]string{}}}}}
	d.follows = watcherModel{epochs: &d.epochs, view: followed}
	d.copies = watcherModel{epochs: &d.epochs, view: copied}
	d.sink = &watcherSink{}
	d.startFollow()
	d.startCopy()
	d.checks = newChecksWatcher(&d.epochs)
	d.startChecks()
	return d
}

func (d *drill) endpoints() []string { return []string{d.lines[0].endpoint(), d.lines[1].endpoint()} }

func (d *drill) run(f func(context.Context, *Store) error) (s *Store, stop func()) {
	s, err := Open(Config{Endpoints: d.endpoints()})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = f(ctx, s) })
	return s, func() {
		cancel()
		running.Wait()
		s.Close()
	}
}

func (d *drill) startFollow() {
	sink := d.sink
	_, d.stopFollow = d.run(func(ctx context.Context, s *Store) error { return s.Follow(ctx, sink, quick) })
}

func (d *drill) startCopy() {
	d.copier, d.stopCopy = d.run(func(ctx context.Context, s *Store) error { return s.KeepCopy(ctx) })
}

func (d *drill) close() {
	d.stopFollow()
	d.stopCopy()
	d.stopChecks()
	for _, l := range d.lines {
		l.listener.Close()
		l.set(false, true)
	}
	d.direct.Close()
	if err := errors.Join(d.etcd.Close(), os.RemoveAll(d.dir)); err != nil {
		d.t.Error(err)
	}
}

func (d *drill) now() *epoch { return d.epochs[len(d.epochs)-1] }

// check puts what both showed before the model.
func (d *drill) check(rt *rapid.T) {
	if err := d.sink.check(&d.follows); err != nil {
		d.fail(rt, "the followed state: %v", err)
	}
	if err := d.checks.check(); err != nil {
		d.fail(rt, "what a monitor follows: %v", err)
	}
	if w := d.copier.copied(); w != nil && (w.rev != d.copies.rev || len(d.copies.possible) == 0) {
		if err := d.copies.load(w.rev, d.stateOf(w)); err != nil {
			d.fail(rt, "the copy: %v", err)
		}
	}
}

func (d *drill) stateOf(w *world) map[string]string {
	out := map[string]string{}
	from, to := d.copier.copy.Load().span()
	for _, kv := range w.list(from, to, 0) {
		out[strings.TrimPrefix(string(kv.Key), d.copier.keys.root)] = entry(kv.ModRevision, string(kv.Value))
	}
	return out
}

func (d *drill) fail(rt *rapid.T, format string, args ...any) {
	rt.Helper()
	for i, e := range d.epochs {
		rt.Logf("epoch %d:", i)
		for _, s := range e.states[max(0, len(e.states)-6):] {
			rt.Logf("  %d (marked %t): %v", s.rev, s.marked, s.keys)
		}
	}
	d.sink.mu.Lock()
	for _, line := range d.sink.troubles[max(0, len(d.sink.troubles)-20):] {
		rt.Log("  trouble ", line)
	}
	d.sink.mu.Unlock()
	rt.Fatalf(format, args...)
}

// commit makes a change and remembers it.
func (d *drill) commit(rt *rapid.T, marked bool, ops ...clientv3.Op) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	resp, err := d.direct.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		rt.Fatal(err)
	}
	e, rev := d.now(), resp.Header.Revision
	if rev == e.head().rev {
		return // it deleted what was not there
	}
	keys := maps.Clone(e.head().keys)
	for _, op := range ops {
		key := strings.TrimPrefix(string(op.KeyBytes()), d.direct.keys.root)
		if op.IsDelete() {
			delete(keys, key)
		} else {
			keys[key] = entry(rev, string(op.ValueBytes()))
		}
	}
	e.states = append(e.states, state{rev: rev, acked: time.Now(), marked: marked, keys: keys})
}

// settle mends the lines and waits until both have caught up.
func (d *drill) settle(rt *rapid.T) {
	for _, l := range d.lines {
		l.set(false, false)
	}
	begin := time.Now()
	e := d.now()
	want := followed(e.head().keys)
	for {
		d.check(rt)
		d.follows.shared()
		fresh := len(d.follows.possible) > 0 && slices.Contains(d.follows.possible, len(d.epochs)-1) && maps.Equal(d.follows.state, want)
		if fresh && d.checks.fresh() && d.copyIsFresh(rt, time.Second) {
			return
		}
		if time.Since(begin) > 60*time.Second {
			d.fail(rt, "after %v: followed up to %d of epochs %v, fresh: %t; by a monitor: %t", time.Since(begin), d.follows.rev, d.follows.possible, fresh, d.checks.fresh())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// read asks the copy for a state that is not old.
func (d *drill) read(rt *rapid.T) { d.copyIsFresh(rt, 50*time.Millisecond) }

func (d *drill) copyIsFresh(rt *rapid.T, within time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	w, err := d.copier.caughtUp(ctx)
	if err != nil || w == nil {
		return false
	}
	head := d.now().head()
	if got := d.stateOf(w); w.rev < head.rev || !maps.Equal(got, copied(head.keys)) {
		d.fail(rt, "a copy of revision %d that should be %d or later: %v", w.rev, head.rev, got)
	}
	return true
}
