package signpost

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

// replica follows one etcd into one view and hands that to all its readers. It is
// the sink of store.Follow.
type replica struct {
	settings settings
	store    *store.Store
	stop     context.CancelFunc
	running  sync.WaitGroup
	loaded   chan struct{} // a whole state has come: worth a snapshot at once

	mu        sync.Mutex
	readers   map[*reader]bool
	view      *zone.View
	confirmed time.Time // when the view was last known to be etcd's state
	cluster   uint64    // that the view came from
	disk      disk
	troubles  map[string]uint64 // how many of each kind there have been
	log       journal
}

// reader is one directive's hold on a replica.
type reader struct {
	view atomic.Pointer[zone.View] // what to answer from; nil: SERVFAIL

	maxStale     time.Duration    // 0: no limit
	zonesChanged func(*zone.View) // zones may have come or gone; called one at a time
	servers      []string         // the servers that answer from it

	// The rest belongs to the registry and the replica, under their locks.
	replica  *replica
	owner    any // the caddy instance that it belongs to
	settled  bool
	limit    *time.Timer // withdraws the view when nothing confirms it
	withheld bool        // it has
}

// troubleSnapshot is our own kind of trouble, beside those of store.Follow.
const troubleSnapshot = "snapshot"

// open starts a replica with one reader: from the snapshot if there is one, and
// following etcd from then on.
func open(s settings) (*replica, error) {
	st, err := store.Open(store.Config{
		Endpoints: s.endpoints, Prefix: s.prefix, TLS: s.tls, User: s.user, Password: s.password,
		Log: slog.New(slog.DiscardHandler), // what matters comes as Trouble
	})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background()) // the process is the server's; CoreDNS has no context for it
	r := &replica{
		settings: s, store: st, stop: stop, loaded: make(chan struct{}, 1),
		readers: map[*reader]bool{}, troubles: map[string]uint64{},
	}
	for _, what := range append([]string{troubleSnapshot}, store.Troubles...) {
		r.troubles[what] = 0 // a counter that is not there cannot be seen to rise
	}
	r.loadSnapshot()
	r.running.Go(func() { _ = st.Follow(ctx, r, store.FollowOptions{ProbeEvery: s.probe}) }) // it returns ctx's error only
	r.running.Go(func() { r.keepSnapshot(ctx) })
	return r, nil
}

// close ends following and returns when the last snapshot is on disk.
func (r *replica) close() {
	r.stop()
	r.running.Wait()
	if err := r.store.Close(); err != nil {
		log.Warningf("closing the connection to etcd: %v", err)
	}
}

// Load takes the whole state.
func (r *replica) Load(rev int64, cluster uint64, all iter.Seq2[model.Change, error]) error {
	at := time.Now()
	v, err := zone.Build(rev, r.current(), all)
	if err != nil {
		return err
	}
	r.publish(v, at, cluster, true)
	select {
	case r.loaded <- struct{}{}:
	default:
	}
	return nil
}

// Next takes one revision.
func (r *replica) Next(rev int64, changes []model.Change) {
	zones := false
	for _, c := range changes {
		zones = zones || c.Key.Kind == model.ZoneKey || c.Key.Kind == model.AcceptKey
	}
	r.publish(r.current().Apply(rev, changes), time.Time{}, 0, zones) // it may be one of many that are late: no proof of being up to date
}

// Held gives what compares the view as it is now with etcd.
func (r *replica) Held() func(iter.Seq2[model.Change, error]) (int, error) {
	return r.current().Compare
}

// Confirm learns that the view was etcd's state at that moment.
func (r *replica) Confirm(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.confirm(at)
	r.log.well(r.view)
}

// Trouble counts what went wrong and logs what is news.
func (r *replica) Trouble(what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.troubles[what]++
	r.log.trouble(what, err, r.view)
}

func (r *replica) current() *zone.View {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.view
}

// publish makes v what every reader answers from. at is zero when it is not known
// to be etcd's state by now, cluster 0 when it is as before.
func (r *replica) publish(v *zone.View, at time.Time, cluster uint64, zones bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.guard(v)
	r.view = v
	if cluster != 0 {
		r.cluster = cluster
	}
	if !at.IsZero() {
		r.log.well(v)
	}
	r.confirm(at)
	for rd := range r.readers {
		if zones {
			rd.zonesChanged(v)
		}
	}
}

// confirm is called with the lock held.
func (r *replica) confirm(at time.Time) {
	if at.After(r.confirmed) {
		r.confirmed = at
	}
	for rd := range r.readers {
		r.show(rd)
	}
}

// show gives the reader the view, or takes it away when it is too old, and sees to
// it that it will be taken away when it becomes so. It is called with the lock
// held. A timer does this so that the query path reads no clock.
func (r *replica) show(rd *reader) {
	if r.view == nil {
		return
	}
	if rd.maxStale == 0 {
		rd.view.Store(r.view)
		return
	}
	left := rd.maxStale - time.Since(r.confirmed)
	if left <= 0 {
		rd.view.Store(nil)
		if !rd.withheld {
			log.Errorf("the state is older than max_stale %s: answering SERVFAIL until etcd is back", rd.maxStale)
		}
		rd.withheld = true
		return
	}
	rd.view.Store(r.view)
	if rd.withheld {
		log.Infof("the state is no longer older than max_stale: answering from revision %d", r.view.Revision())
	}
	rd.withheld = false
	if rd.limit == nil {
		rd.limit = time.AfterFunc(left, func() { r.expire(rd) })
	} else {
		rd.limit.Reset(left)
	}
}

func (r *replica) expire(rd *reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.readers[rd] {
		r.show(rd)
	}
}

// add gives the view to one more reader.
func (r *replica) add(rd *reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rd.replica = r
	r.readers[rd] = true
	r.show(rd)
	rd.zonesChanged(r.view)
}

// remove takes a reader off and says how many are left. The reader keeps what it
// has, for the queries that are under way.
func (r *replica) remove(rd *reader) (left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.readers, rd)
	if rd.limit != nil {
		rd.limit.Stop()
	}
	return len(r.readers)
}
