package signpost

import (
	"context"
	"os"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/thrift"
	"signpost/internal/zone"
)

const (
	// snapshotEvery is the least time between two snapshots.
	snapshotEvery = 10 * time.Second
	// snapshotShare is how many times as long as writing one took there is none: a large
	// state that changes all the time would be written all the time.
	snapshotShare = 30
	// snapshotWithin is the most that this may come to, for a disk may be slow once.
	snapshotWithin = 5 * time.Minute
)

// restAfter is how long there is no snapshot after one that took so long to write.
func restAfter(took time.Duration) time.Duration {
	return min(snapshotShare*took, snapshotWithin)
}

// disk is what is known of the snapshot file. Its modification time says when its
// state was last known to be etcd's, so that its age can be told after a restart.
type disk struct {
	view    *zone.View // what it holds; nil: nothing that we know of
	at      time.Time  // its modification time
	failing bool       // the last attempt to write it failed
	left    bool       // it is no longer ours to write
	next    time.Time  // before this it is not written again
}

// loadSnapshot makes the view from the snapshot, if there is one, before there are
// readers. It is for answering only: etcd's state is read whole when it can be.
func (r *replica) loadSnapshot() {
	path := r.settings.snapshot
	if path == "" {
		return
	}
	v, cluster, at, err := readSnapshot(path, r.settings.prefix)
	switch {
	case model.KindOf(err) == model.NotFound:
		log.Infof("there is no snapshot at %s yet", path)
	case err != nil:
		r.troubles[troubleSnapshot]++
		log.Errorf("the snapshot cannot be used, waiting for etcd: %v", err)
	default:
		if now := time.Now(); at.After(now) {
			// A clock was wrong: it cannot be told how old the state is, only that from now
			// on it gets older. Left as it is, max_stale would not count until that time.
			log.Warningf("snapshot %s is dated %s, which is yet to come; its age is counted from now", path, at.UTC().Format(time.RFC3339))
			at = now
		}
		r.view, r.cluster, r.confirmed = v, cluster, at
		r.disk.view, r.disk.at = v, at
		log.Infof("answering from snapshot %s: revision %d, %d names, %s old", path, v.Revision(), v.Names(), time.Since(at).Round(time.Second))
	}
}

func readSnapshot(path, prefix string) (v *zone.View, cluster uint64, at time.Time, err error) {
	l, err := store.ReadSnapshot(path, prefix)
	if err != nil {
		return nil, 0, at, err
	}
	if l.Skipped != nil {
		log.Warningf("using the snapshot before: %v", l.Skipped)
		path += ".1"
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, at, err
	}
	v, err = zone.Build(l.Revision, nil, l.All)
	return v, l.Cluster, info.ModTime(), err
}

// keepSnapshot writes the snapshot when the view has changed and says in its
// modification time that it is still true when it has not, until ctx ends, and
// then once more.
func (r *replica) keepSnapshot(ctx context.Context) {
	if r.settings.snapshot == "" {
		return
	}
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.loaded:
			r.save(time.Time{})
		case at := <-tick.C:
			r.save(at)
		case <-ctx.Done():
			r.save(time.Time{})
			return
		}
	}
}

// save writes what has changed, unless it is not yet time to; at the zero time it always
// is.
func (r *replica) save(now time.Time) {
	r.mu.Lock()
	view, at, cluster, held := r.view, r.confirmed, r.cluster, r.disk
	r.mu.Unlock()
	if held.left || view == nil || view == held.view && !at.After(held.at) {
		return
	}
	if view != held.view && !now.IsZero() && now.Before(held.next) {
		return
	}
	path := r.settings.snapshot
	begin := time.Now()
	var err error
	if view != held.view {
		h := store.Snapshot{Prefix: r.settings.prefix, Cluster: cluster, Revision: view.Revision()}
		thrift.Do(func() { err = store.WriteSnapshot(path, h, view.All()) })
	}
	if err == nil {
		err = os.Chtimes(path, at, at)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.troubles[troubleSnapshot]++
		if !r.disk.failing {
			log.Errorf("%sthe snapshot cannot be written, a restart without etcd would have an older state or none: %v", r.log.of(), err)
		}
	case r.disk.failing:
		log.Infof("%sthe snapshot can be written again: %s", r.log.of(), path)
	}
	if ended := time.Now(); view != held.view {
		r.disk.next = ended.Add(restAfter(ended.Sub(begin)))
	}
	r.disk.failing = err != nil
	if err == nil {
		r.disk.view, r.disk.at = view, at
	}
}

// leaveSnapshot keeps the replica from writing the file again.
func (r *replica) leaveSnapshot() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disk.left = true
}
