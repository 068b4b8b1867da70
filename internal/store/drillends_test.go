package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"pgregory.net/rapid"

	"signpost/internal/model"
	"signpost/internal/store/localetcd"
)

// followAnew is the restart of a name server: with nothing, with what it had, or
// with a snapshot of that.
func (d *drill) followAnew(rt *rapid.T) {
	d.stopFollow()
	d.check(rt)
	s := d.sink
	switch rapid.SampledFrom([]string{"nothing", "memory", "snapshot"}).Draw(rt, "from") {
	case "nothing":
		d.sink, d.follows = &watcherSink{}, watcherModel{epochs: &d.epochs, view: followed}
	case "snapshot":
		path := filepath.Join(d.dir, "snapshot")
		keys := slices.Sorted(maps.Keys(s.held))
		err := WriteSnapshot(path, Snapshot{DefaultPrefix, s.cluster, s.rev}, func(yield func(model.Change) bool) {
			for _, k := range keys {
				if !yield(s.held[k]) {
					return
				}
			}
		})
		l, err2 := ReadSnapshot(path, DefaultPrefix)
		if err := errors.Join(err, err2); err != nil {
			rt.Fatal(err)
		}
		d.sink = &watcherSink{rev: l.Revision, cluster: l.Cluster, held: map[string]model.Change{}}
		for c, err := range l.All {
			if err != nil {
				rt.Fatal(err)
			}
			d.sink.held[snapshotKeys.of(c.Key)] = c
		}
		if got := d.sink.stateLocked(); !maps.Equal(got, s.stateLocked()) || l.Revision != s.rev {
			d.fail(rt, "a snapshot of %v came back as %v", s.stateLocked(), got)
		}
	}
	d.startFollow()
}

func (d *drill) copyAnew(rt *rapid.T) {
	d.stopCopy()
	d.startCopy()
}

func (d *drill) stopped(rt *rapid.T, do func() error) {
	d.etcd.Stop()
	if err := errors.Join(do(), d.etcd.Restart()); err != nil {
		rt.Fatal(err)
	}
}

func (d *drill) restartEtcd(rt *rapid.T) { d.stopped(rt, func() error { return nil }) }

func (d *drill) backUp(rt *rapid.T) {
	d.backups++
	d.backup = filepath.Join(d.dir, fmt.Sprint("backup", d.backups))
	d.stopped(rt, func() error { return d.etcd.Backup(d.backup) })
	d.kept, d.keptCompacted = epoch{states: slices.Clone(d.now().states), from: len(d.epochs) - 1}, d.compacted
}

// restore puts the backup in etcd's place, and lets it grow, perhaps past what was.
func (d *drill) restore(rt *rapid.T) {
	if d.backup == "" {
		rt.Skip("no backup")
	}
	d.letMarksTell(rt)
	d.replace(rt)
}

func (d *drill) replace(rt *rapid.T) {
	bump := rapid.SampledFrom([]int64{0, 0, 1_000_000}).Draw(rt, "bump")
	lost := max(0, d.now().head().rev-d.kept.head().rev)
	d.stopped(rt, func() error {
		next := &epoch{began: time.Now(), states: slices.Clone(d.kept.states), from: d.kept.from, fork: d.kept.head().rev}
		if bump > 0 {
			top := next.head()
			if top.rev > 1 {
				top.rev += bump
			} else {
				top.rev = bump // of nothing: etcd counts from the newest key
			}
			next.states = append(next.states, top)
		}
		next.base = next.head().rev
		d.epochs, d.compacted = append(d.epochs, next), d.keptCompacted
		if bump > 0 {
			d.compacted = next.head().rev
		}
		return d.etcd.Restore(d.backup, bump)
	})
	for range rapid.Int64Range(0, min(lost+2, 40)).Draw(rt, "growth") {
		d.change(rt)
	}
}

// letMarksTell makes a change as the control service does and lets it be seen, when
// what a restore would lose begins with changes that were made around it: a restore
// can be told from marks only.
func (d *drill) letMarksTell(rt *rapid.T) {
	lost := d.now().states[d.now().index(d.kept.head().rev)+1:]
	if len(lost) > 0 && !lost[0].marked {
		d.commit(rt, true, d.marked(rt)...)
		d.settle(rt)
	}
}

// restoreWhileReading is a restore that comes between two pages of the whole.
func (d *drill) restoreWhileReading(rt *rapid.T) {
	if d.backup == "" {
		rt.Skip("no backup")
	}
	d.letMarksTell(rt)
	d.stopFollow()
	d.check(rt)
	reading, goOn := make(chan struct{}), make(chan struct{})
	d.sink.onLoad = func() {
		close(reading)
		<-goOn
	}
	defer close(goOn)
	d.startFollow()
	select {
	case <-reading:
		d.replace(rt)
	case <-time.After(200 * time.Millisecond): // there is nothing, or no line
	}
}

func (d *drill) otherCluster(rt *rapid.T) {
	d.stopped(rt, func() error {
		d.epochs = append(d.epochs, &epoch{began: time.Now(), states: []state{{rev: 1, keys: map[string]string{}}}})
		d.backup, d.compacted = "", 0
		addr := d.etcd.Addr()
		if err := d.etcd.Close(); err != nil {
			return err
		}
		var err error
		d.etcd, err = localetcd.Start(localetcd.Options{ListenClient: addr, UnsafeNoFsync: true})
		if err == nil {
			d.etcd.Stop()
		}
		return err
	})
	for range rapid.IntRange(0, 5).Draw(rt, "growth") {
		d.change(rt)
	}
}
