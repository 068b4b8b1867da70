package store

import (
	"context"
	"errors"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// What comes of one span before the others are open, or before the watch is believed, is
// kept: etcd may have been restored. An error is not.
func TestNothingIsTakenOfAWatchBeforeItIsBelieved(t *testing.T) {
	d := door{spans: 2}
	bring := func(span int, r clientv3.WatchResponse, want int) {
		t.Helper()
		if got := d.take(inflowing{r, span}); len(got) != want {
			t.Errorf("of span %d %d may be taken, want %d", span, len(got), want)
		}
	}
	event := clientv3.WatchResponse{Events: []*clientv3.Event{{}}}
	created := clientv3.WatchResponse{Created: true}
	bring(0, created, 0)
	bring(0, event, 0)
	bring(0, clientv3.WatchResponse{Canceled: true, CompactRevision: 7}, 1)
	if d.opened() {
		t.Error("it is open with one of two spans")
	}
	bring(1, created, 0)
	bring(1, event, 0)
	if !d.opened() || d.believed {
		t.Errorf("open %t, believed %t", d.opened(), d.believed)
	}
	if early := d.believe(); len(early) != 2 || early[0].span != 0 || early[1].span != 1 {
		t.Errorf("kept was %v, want one of each span in order", early)
	}
	bring(0, event, 1)
	if len(d.believe()) != 0 {
		t.Error("what was kept comes a second time")
	}
}

// A client may give on what a stream that was opened again brings; ctx has ended by then.
func TestNothingIsTakenOfAStreamThatWasOpenedAgain(t *testing.T) {
	again := errors.New("opened again")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(again)
	in := &inflow{out: make(chan inflowing, 1), limit: 1 << 20}
	watch := make(chan clientv3.WatchResponse, 1)
	watch <- clientv3.WatchResponse{Events: []*clientv3.Event{}}
	close(watch)
	if err := in.hand(ctx, 0, watch); !errors.Is(err, context.Canceled) || len(in.out) != 0 {
		t.Errorf("%d are given on, error %v", len(in.out), err)
	}
}
