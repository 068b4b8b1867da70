package store

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"pgregory.net/rapid"

	"signpost/internal/model"
)

// checksWatcher is the sink of a monitor, which keeps what it is told of each range
// apart: of each by itself it must be true, and the whole of all of them together.
type checksWatcher struct {
	epochs *[]*epoch
	ranges []checksRange
}

type checksRange struct {
	prefix string
	sink   *watcherSink
	model  *watcherModel
}

func newChecksWatcher(epochs *[]*epoch) *checksWatcher {
	w := &checksWatcher{epochs: epochs}
	for _, prefix := range []string{"dns/", "check/", "live/checker/", "beat/"} {
		view := func(all map[string]string) map[string]string {
			out := map[string]string{}
			for k, v := range all {
				if strings.HasPrefix(k, prefix) && known(k) {
					out[k] = v
				}
			}
			return out
		}
		w.ranges = append(w.ranges, checksRange{prefix, &watcherSink{}, &watcherModel{epochs: epochs, view: view}})
	}
	return w
}

func (w *checksWatcher) of(k model.Key) int {
	return slices.IndexFunc(w.ranges, func(r checksRange) bool { return strings.HasPrefix(snapshotKeys.of(k), r.prefix) })
}

func (w *checksWatcher) Load(rev int64, cluster uint64, all iter.Seq2[model.Change, error]) error {
	parts := make([][]model.Change, len(w.ranges))
	for c, err := range all {
		if err != nil {
			return err
		}
		i := w.of(c.Key)
		parts[i] = append(parts[i], c)
	}
	for i, r := range w.ranges {
		if err := r.sink.Load(rev, cluster, func(yield func(model.Change, error) bool) {
			for _, c := range parts[i] {
				if !yield(c, nil) {
					return
				}
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

func (w *checksWatcher) Next(rev int64, changes []model.Change) {
	w.ranges[w.of(changes[0].Key)].sink.Next(rev, changes)
}

// Confirm is about what marks tell of.
func (w *checksWatcher) Confirm(at time.Time) { w.ranges[0].sink.Confirm(at) }

func (w *checksWatcher) Trouble(what string, err error) { w.ranges[0].sink.Trouble(what, err) }

func (w *checksWatcher) check() error {
	for _, r := range w.ranges {
		if err := r.sink.check(r.model); err != nil {
			return fmt.Errorf("%s: %w", r.prefix, err)
		}
	}
	return nil
}

func (w *checksWatcher) fresh() bool {
	last := len(*w.epochs) - 1
	for _, r := range w.ranges {
		r.model.shared()
		if !slices.Contains(r.model.possible, last) || !maps.Equal(r.model.state, r.model.view((*w.epochs)[last].head().keys)) {
			return false
		}
	}
	return true
}

func (d *drill) startChecks() {
	sink := d.checks
	_, d.stopChecks = d.run(func(ctx context.Context, s *Store) error { return s.FollowChecks(ctx, sink, quick) })
}

func (d *drill) checksAnew(rt *rapid.T) {
	d.stopChecks()
	d.check(rt)
	if rapid.Bool().Draw(rt, "with nothing") {
		d.checks = newChecksWatcher(&d.epochs)
	}
	d.startChecks()
}

// saying is the state that something is put in: absent, one of two, or unreadable.
func saying(rt *rapid.T, key string, one, other []byte) clientv3.Op {
	switch rapid.IntRange(0, 4).Draw(rt, "what") {
	case 0:
		return clientv3.OpDelete(key)
	case 1:
		return clientv3.OpPut(key, "garbage")
	case 2:
		return opPut(key, other)
	}
	return opPut(key, one)
}

// say is what is said of one host: votes, words and marks, with a mark of its zone.
func (d *drill) say(rt *rapid.T) {
	k := d.direct.keys
	z := rapid.SampledFrom(zones).Draw(rt, "zone")
	host := model.Name(rapid.SampledFrom([]string{"h0.", "h1."}).Draw(rt, "host")) + z
	site, id := rapid.SampledFrom([]string{"amsterdam", "bologna"}).Draw(rt, "site"), rapid.SampledFrom([]string{"a", "main"}).Draw(rt, "endpoint")
	var op clientv3.Op
	switch rapid.IntRange(0, 3).Draw(rt, "about") {
	case 0:
		op = saying(rt, k.vote(site, z, host, id), encodeVote(&model.Vote{Generation: 1, Verdict: model.Down}), encodeVote(&model.Vote{Generation: 1, Verdict: model.Up}))
	case 1:
		op = saying(rt, k.endpointWord(z, host, id), encodeWord(&model.Word{Say: model.SayUp}), encodeWord(&model.Word{Say: model.SayDrain}))
	case 2:
		op = saying(rt, k.hostWord(z, host), encodeWord(&model.Word{Say: model.SayUp}), encodeWord(&model.Word{Say: model.SayDown}))
	default:
		op = saying(rt, k.over(z, host, id), encodeOver(&model.Over{Generation: 1}), encodeOver(&model.Over{Generation: 2}))
	}
	d.commit(rt, true, op, clientv3.OpPut(k.rev(z), newMark()))
}

// sayOfAll is what is said of all zones.
func (d *drill) sayOfAll(rt *rapid.T) {
	k := d.direct.keys
	site := rapid.SampledFrom([]string{"amsterdam", "bologna"}).Draw(rt, "site")
	var op clientv3.Op
	switch rapid.IntRange(0, 2).Draw(rt, "about") {
	case 0:
		op = saying(rt, k.checker(site), encodeChecker(&model.Checker{Term: 1}), encodeChecker(&model.Checker{Term: 2}))
	case 1:
		op = saying(rt, k.siteWord(site), encodeWord(&model.Word{Say: model.SayDrain}), encodeWord(&model.Word{Say: model.SayDown}))
	default:
		op = saying(rt, k.freeze(), encodeFreeze(&model.Freeze{}), encodeFreeze(&model.Freeze{Reason: "tests"}))
	}
	d.commit(rt, true, op, clientv3.OpPut(k.revAll(), newMark()))
}

// signsOfLife are not marked, nor is what there is to check.
func (d *drill) signsOfLife(rt *rapid.T) {
	k := d.direct.keys
	host := model.Name(rapid.SampledFrom([]string{"h0.", "h1."}).Draw(rt, "host")) + exampleOrg
	ops := []clientv3.Op{
		saying(rt, k.check(exampleOrg, 1, host), encodeCheck(&model.Check{Port: 80}), encodeCheck(&model.Check{Port: 81})),
		saying(rt, k.beat(exampleOrg, host, "a"), encodeBeat(1), encodeBeat(2)),
		saying(rt, k.life("amsterdam"), encodeLife(&model.CheckerLife{}), encodeLife(&model.CheckerLife{Doubt: true})),
	}
	d.commit(rt, false, ops[rapid.IntRange(0, 1).Draw(rt, "from"):rapid.IntRange(2, 3).Draw(rt, "to")]...)
}
