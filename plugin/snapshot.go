package signpost

import (
	"context"
	"os"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// snapshotEvery is the least time between two snapshots.
const snapshotEvery = 10 * time.Second

// disk is what is known of the snapshot file. Its modification time says when its
// state was last known to be etcd's, so that its age can be told after a restart.
type disk struct {
	view    *zone.View // what it holds; nil: nothing that we know of
	at      time.Time  // its modification time
	failing bool       // the last attempt to write it failed
	left    bool       // it is no longer ours to write
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
		case <-tick.C:
		case <-ctx.Done():
			r.save()
			return
		}
		r.save()
	}
}

func (r *replica) save() {
	r.mu.Lock()
	view, at, cluster, held := r.view, r.confirmed, r.cluster, r.disk
	r.mu.Unlock()
	if held.left || view == nil || view == held.view && !at.After(held.at) {
		return
	}
	path := r.settings.snapshot
	var err error
	if view != held.view {
		err = store.WriteSnapshot(path, store.Snapshot{Prefix: r.settings.prefix, Cluster: cluster, Revision: view.Revision()}, view.All())
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
			log.Errorf("the snapshot cannot be written, a restart without etcd would have an older state or none: %v", err)
		}
	case r.disk.failing:
		log.Infof("the snapshot can be written again: %s", path)
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
