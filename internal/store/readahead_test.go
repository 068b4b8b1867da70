package store

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"signpost/internal/model"
)

// leaving ends following while the whole is being taken.
type leaving struct {
	recorder
	leave context.CancelFunc
}

func (l *leaving) Load(_ int64, _ uint64, all iter.Seq2[model.Change, error]) error {
	for _, err := range all {
		if err != nil {
			return err
		}
		l.leave()
	}
	return nil
}

// Who ends following while the whole is read is not left waiting for a page that does
// not come.
func TestFollowEndsWhileTheWholeIsRead(t *testing.T) {
	_, s := etcdAndStore(t)
	for i := range 20 {
		commit(t, s, putName(s, i))
	}
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- s.Follow(ctx, &leaving{recorder{t: t, changed: make(chan struct{})}, cancel}, FollowOptions{PageSize: 2})
		}()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("Follow returned %v", err)
			}
		case <-time.After(60 * time.Second):
			t.Fatal("Follow did not return")
		}
	}
}
