package call

import (
	"context"
	"sync"
	"time"

	"signpost/internal/store"
)

// noteEvery is how often uses of credentials are written, at most store.MostUses of them
// in one transaction; the others wait.
const noteEvery = time.Minute

// mostNoted bounds what is remembered. A use that finds no room is not noted; the
// credential will be used again.
const mostNoted = 200_000

// uses is the uses of credentials that are to be written, and those that were, so that no
// call waits for it and etcd is written to at a bounded rate.
type uses struct {
	mu      sync.Mutex
	due     map[store.Use]time.Time
	written map[store.Use]time.Time
}

// note takes note of a use, at most once a day of each credential.
func (u *uses) note(of store.Use, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, ok := u.written[of]; ok && now.Sub(at) < 24*time.Hour {
		return
	}
	if _, ok := u.due[of]; ok || len(u.due) >= mostNoted {
		return
	}
	if u.due == nil {
		u.due = map[store.Use]time.Time{}
	}
	u.due[of] = now
}

// take is some of what is to be written.
func (u *uses) take() map[store.Use]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	some := map[store.Use]time.Time{}
	for of, at := range u.due {
		if len(some) == store.MostUses {
			break
		}
		some[of] = at
	}
	return some
}

func (u *uses) wrote(some map[store.Use]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.written == nil || len(u.written) >= mostNoted {
		u.written = map[store.Use]time.Time{}
	}
	for of, at := range some {
		delete(u.due, of)
		u.written[of] = at
	}
}

// NoteUses writes when credentials were last used, until ctx ends, and then once more.
// What it cannot write it tries again.
func (d *Desk) NoteUses(ctx context.Context) {
	for tick := time.NewTicker(noteEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			d.noteUses(last)
			return
		case <-tick.C:
			d.noteUses(ctx)
		}
	}
}

// noteUses writes once.
func (d *Desk) noteUses(ctx context.Context) {
	some := d.uses.take()
	if len(some) == 0 {
		return
	}
	if err := d.Store.SaveUses(ctx, some); err != nil {
		d.Log.Debug("when credentials were last used is not written", "error", err)
		return
	}
	d.uses.wrote(some)
}
