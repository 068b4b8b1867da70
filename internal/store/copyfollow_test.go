package store

import (
	"bytes"
	"errors"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// The copy uses what it has read only when the watch has shown to be alive since.
func TestACopyIsOfOneHistory(t *testing.T) {
	_, s := etcdAndStore(t)
	createZone(t, s, exampleOrg)
	k := &kept{s: s, backlog: copyBacklog, moved: make(chan struct{})}
	now, err := s.client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	created := clientv3.WatchResponse{Header: now.Header, Created: true}
	alive := clientv3.WatchResponse{Header: now.Header}
	// begin tells again and again how far the watch is, as etcd does when it is asked.
	begin := func(alive clientv3.WatchResponse) (*world, error) {
		events, over := make(chan clientv3.WatchResponse), make(chan struct{})
		defer close(over)
		go func() {
			for r := created; ; r = alive {
				select {
				case events <- r:
				case <-over:
					return
				}
			}
		}()
		return k.begin(t.Context(), events)
	}
	ended := make(chan clientv3.WatchResponse, 1)
	ended <- created
	close(ended)
	if w, err := k.begin(t.Context(), ended); !errors.Is(err, errClosed) {
		t.Errorf("the watch ended while the whole was read: %v, %v", w, err)
	}
	if w, err := begin(alive); err != nil || w.rev != now.Header.Revision || w.keys.tree.Len() == 0 {
		t.Errorf("the watch is alive: %v, %v", w, err)
	}
	other := alive
	other.Header = &etcdserverpb.ResponseHeader{ClusterId: 1, Revision: now.Header.Revision}
	if w, err := begin(other); !errors.Is(err, errHistory) {
		t.Errorf("the watch is of another cluster: %v, %v", w, err)
	}
}

// What came on the watch while the whole was read is in it, or comes on top.
func TestACopyTakesNoStepBack(t *testing.T) {
	_, s := etcdAndStore(t)
	k := &kept{s: s}
	w := newWorld(newKeys(DefaultPrefix), 10, 0)
	key := s.keys.zone(exampleOrg)
	event := func(rev int64, value string) *clientv3.Event {
		return &clientv3.Event{Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte(value), ModRevision: rev}}
	}
	take := func(events ...*clientv3.Event) {
		w = k.after(w, clientv3.WatchResponse{Header: &etcdserverpb.ResponseHeader{Revision: 99}, Events: events})
	}
	take(event(10, "new"))
	take(event(9, "old"))
	if w.rev != 10 || w.find(key).there() {
		t.Errorf("at %d: %v", w.rev, w.find(key))
	}
	take(event(10, "old"), event(11, "newer"))
	take(event(9, "old"))
	if w.rev != 11 || string(w.find(key).value) != "newer" {
		t.Errorf("at %d: %v", w.rev, w.find(key))
	}
}

// What comes while the whole is read is bounded: when it is too much, all begins anew,
// and nothing is missing afterwards.
func TestChangesDuringTheReadingOfTheWholeDoNotPileUp(t *testing.T) {
	e, direct := etcdAndStore(t)
	createZone(t, direct, exampleOrg)
	line := newProxy(t, e.Addr())
	k := &kept{s: openOn(t, line.endpoint()), backlog: 20_000, moved: make(chan struct{})}
	from, to := k.span()
	// The watch goes another way, so that only the reading can be held up.
	begin := func() (*world, error) {
		watcher := clientv3.NewWatcher(direct.client)
		defer watcher.Close()
		ctx := t.Context()
		events := watcher.Watch(ctx, from, clientv3.WithRange(to), clientv3.WithCreatedNotify(), clientv3.WithProgressNotify())
		k.attend(watching{watcher: watcher, ctx: ctx, end: func(error) {}})
		return k.begin(ctx, events)
	}
	line.set(true, false)
	type begun struct {
		w   *world
		err error
	}
	done := make(chan begun)
	go func() {
		w, err := begin()
		done <- begun{w, err}
	}()
	var got begun
	changes := 0
	for ended := false; !ended; changes++ { // each is some 400 octets by our count
		commit(t, direct, putName(direct, changes%50))
		select {
		case got = <-done:
			ended = true
		default:
		}
	}
	if !errors.Is(got.err, errFlooded) {
		t.Fatalf("after %d changes: %v, %v", changes, got.w, got.err)
	}
	line.set(false, false)
	w, err := begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(changes, 50) {
		have, err := direct.client.Get(t.Context(), nameKey(direct, i))
		if err != nil {
			t.Fatal(err)
		}
		if h := w.find(nameKey(direct, i)); !bytes.Equal(h.value, have.Kvs[0].Value) || h.mod != have.Kvs[0].ModRevision {
			t.Errorf("name %d is %v, want %v", i, h, have.Kvs[0])
		}
	}
}

// What comes while the whole is read, and fits, is on top of it.
func TestChangesDuringTheReadingOfTheWholeAreTaken(t *testing.T) {
	_, s := etcdAndStore(t)
	createZone(t, s, exampleOrg)
	k := &kept{s: s, backlog: copyBacklog, moved: make(chan struct{})}
	now, err := s.client.Get(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	// None of it is in etcd, so that what has it has it from the watch.
	key := nameKey(s, 1)
	event := func(rev int64) clientv3.WatchResponse {
		return clientv3.WatchResponse{Header: now.Header, Events: []*clientv3.Event{{Kv: &mvccpb.KeyValue{Key: []byte(key), Value: []byte("new"), ModRevision: rev}}}}
	}
	events := make(chan clientv3.WatchResponse)
	over := make(chan struct{})
	defer close(over)
	go func() {
		told := []clientv3.WatchResponse{{Header: now.Header, Created: true}, event(now.Header.Revision + 1), event(now.Header.Revision + 2)}
		for i := 0; ; i++ {
			r := clientv3.WatchResponse{Header: now.Header}
			if i < len(told) {
				r = told[i]
			}
			select {
			case events <- r:
			case <-over:
				return
			}
		}
	}()
	w, err := k.begin(t.Context(), events)
	if err != nil || w.rev != now.Header.Revision+2 {
		t.Fatalf("%+v, %v", w, err)
	}
	if h := w.find(key); h.mod != w.rev {
		t.Errorf("found %v", h)
	}
}
