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
	"signpost/internal/thrift"
	"signpost/internal/zone"
)

// replica follows one etcd into one view and hands that to all its readers. It is
// the sink of store.Follow.
type replica struct {
	settings settings
	store    *store.Store
	stop     context.CancelFunc
	release  func() // of the room for garbage
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

	cluster   string           // the etcd's name in metrics and in the log; "": it has none
	maxStale  time.Duration    // 0: no limit
	zonesGone func(*zone.View) // zones may have gone, and the view has come; called one at a time
	servers   []string         // the servers that answer from it

	// The rest belongs to the registry and the replica, under their locks.
	replica  *replica
	owner    any // the caddy instance that it belongs to
	settled  bool
	limit    *time.Timer // withdraws the view when nothing confirms it
	withheld bool        // it has
}

// room is for garbage: to collect it holds up changes and answers, and changes make some
// however few names there are.
const room = 16 << 20

// troubleSnapshot is our own kind of trouble, beside those of store.Follow.
const troubleSnapshot = "snapshot"

// open starts a replica with one reader: from the snapshot if there is one, and
// following etcd from then on.
func open(s settings) (*replica, error) {
	c := store.Config{
		Endpoints: s.endpoints, Prefix: s.prefix, TLS: s.tls, User: s.user,
		Log: slog.New(slog.DiscardHandler), // what matters comes as Trouble
	}
	if s.password != nil {
		c.Password, c.PasswordNow = s.password.Get(), s.password.Get
	}
	st, err := store.Open(c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background()) // the process is the server's; CoreDNS has no context for it
	r := &replica{
		settings: s, store: st, stop: stop, release: thrift.Room(room), loaded: make(chan struct{}, 1),
		readers: map[*reader]bool{}, troubles: map[string]uint64{},
	}
	for _, what := range append([]string{troubleSnapshot}, store.Troubles...) {
		r.troubles[what] = 0 // a counter that is not there cannot be seen to rise
	}
	thrift.Do(r.loadSnapshot)
	r.giveBack()
	r.running.Go(func() { _ = st.Follow(ctx, r, store.FollowOptions{ProbeEvery: s.probe}) }) // it returns ctx's error only
	r.running.Go(func() { r.keepSnapshot(ctx) })
	return r, nil
}

// close ends following and returns when the last snapshot is on disk.
func (r *replica) close() {
	defer r.release()
	r.stop()
	r.running.Wait()
	if err := r.store.Close(); err != nil {
		log.Warningf("closing the connection to etcd: %v", err)
	}
}

// Load takes the whole state.
func (r *replica) Load(rev int64, cluster uint64, all iter.Seq2[model.Change, error]) error {
	at := time.Now()
	var v *zone.View
	var err error
	thrift.Do(func() { v, err = zone.Build(rev, r.current(), all) })
	if err != nil {
		return err
	}
	r.publish(v, at, cluster, true)
	r.giveBack()
	select {
	case r.loaded <- struct{}{}:
	default:
	}
	return nil
}

// giveBack lets the system have what building a view took and does not need any
// more: Go would do so over minutes. Nobody waits for it.
func (r *replica) giveBack() { r.running.Go(thrift.GiveBack) }

// Next takes one revision.
func (r *replica) Next(rev int64, changes []model.Change) {
	gone := false
	for _, c := range changes {
		gone = gone || c.Key.Kind == model.ZoneKey && c.Deleted || c.Key.Kind == model.AcceptKey
	}
	r.publish(r.current().Apply(rev, changes), time.Time{}, 0, gone) // it may be one of many that are late: no proof of being up to date
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
// to be etcd's state by now, cluster 0 when it is as before; gone says that zones may
// be no more.
func (r *replica) publish(v *zone.View, at time.Time, cluster uint64, gone bool) {
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
		if gone {
			rd.zonesGone(v)
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
			log.Errorf("%sthe state is older than max_stale %s: answering SERVFAIL until etcd is back", r.log.of(), rd.maxStale)
		}
		rd.withheld = true
		return
	}
	rd.view.Store(r.view)
	if rd.withheld {
		log.Infof("%sthe state is no longer older than max_stale: answering from revision %d", r.log.of(), r.view.Revision())
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
	r.log.cluster = rd.cluster
	r.readers[rd] = true
	r.show(rd)
	rd.zonesGone(r.view)
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
