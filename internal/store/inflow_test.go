package store

import (
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// slowSink waits at its first revision.
type slowSink struct {
	*recorder
	once    sync.Once
	waiting chan struct{}
	goOn    chan struct{}
}

func (s *slowSink) Next(rev int64, changes []model.Change) {
	s.once.Do(func() {
		close(s.waiting)
		<-s.goOn
	})
	s.recorder.Next(rev, changes)
}

// CHAOS row 21: however long a sink takes for a revision, what waits for it is bounded,
// and afterwards every revision comes, once.
func TestChangesForASlowSinkDoNotPileUp(t *testing.T) {
	_, s := etcdAndStore(t)
	o := quick
	o.Backlog, o.ProbeEvery = 20_000, 10*time.Second // a busy machine is not silent
	sink := &slowSink{recorder: &recorder{t: t, changed: make(chan struct{})}, waiting: make(chan struct{}), goOn: make(chan struct{})}
	followWith(t, s, o, sink)
	sink.awaitLoads(1)
	var want []int64
	want = append(want, commit(t, s, putName(s, 1)))
	<-sink.waiting
	for i := range 500 { // each is more than 400 octets by our count
		want = append(want, commit(t, s, putName(s, i)))
	}
	close(sink.goOn)
	sink.awaitRevision(want[len(want)-1])
	now := sink.now()
	var got []int64
	for _, n := range now.nexts {
		got = append(got, n.rev)
	}
	if !slices.Equal(got, want) || now.loads != 1 {
		t.Errorf("%d loads and %d revisions came, want 1 and %d", now.loads, len(got), len(want))
	}
	if !slices.Contains(now.troubles, TroubleWatch) {
		t.Error("all that came meanwhile was kept")
	}
	sink.sameAs(s)
}

// A response that is larger than all that may wait comes through all the same.
func TestALargeRevisionIsTaken(t *testing.T) {
	_, s := etcdAndStore(t)
	o := quick
	o.Backlog = 1
	r, _ := follow(t, s, o)
	r.awaitLoads(1)
	for i := range 3 {
		r.awaitRevision(commit(t, s, putName(s, i)))
	}
	r.sameAs(s)
}

// A watch that repeats a revision is one of another history; the sink hears nothing of it.
func TestARevisionThatComesTwiceIsNotTaken(t *testing.T) {
	_, s := etcdAndStore(t)
	r := &recorder{t: t, changed: make(chan struct{})}
	r.state, r.mods, r.bad = map[string]string{}, map[string]int64{}, map[string]error{}
	f := &follower{s: s, sink: r, o: quick, revs: []byte(s.keys.revs()), came: make([]int64, 2)}
	response := func(of int, revs ...int64) inflowing {
		out := clientv3.WatchResponse{Header: &etcdserverpb.ResponseHeader{}}
		for _, rev := range revs {
			out.Events = append(out.Events, &clientv3.Event{Kv: &mvccpb.KeyValue{Key: []byte(s.keys.rev(exampleOrg)), ModRevision: rev}})
		}
		return inflowing{out, of}
	}
	if end := f.take(response(0, 3, 3, 5)); end != nil {
		t.Fatal(end)
	}
	for _, again := range []int64{5, 4, 3} {
		if end := f.take(response(0, again)); end == nil || end.what != TroubleRestored || !end.whole {
			t.Errorf("revision %d after 5: %v", again, end)
		}
	}
	if n := len(r.now().nexts); n != 2 {
		t.Errorf("the sink was given %d revisions, want 2", n)
	}
	r.rev = 0 // of two ranges each has an order of its own
	if end := f.take(response(1, 4)); end != nil {
		t.Error(end)
	}
	if end := f.take(response(1, 4)); end == nil || end.what != TroubleRestored || !end.whole {
		t.Errorf("a revision of the other range a second time: %v", end)
	}
}
