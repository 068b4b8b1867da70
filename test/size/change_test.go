package size

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
)

const aType = dns.TypeA

// readWhole reads etcd as a replica does at its first start.
func (w *world) readWhole() (*zone.View, reading) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), startWithin)
	defer cancel()
	before, own, begin := w.processorTime(w.etcd), processTime(), time.Now()
	var r reading
	s := &sink{}
	s.done = func() {
		r = reading{time.Since(begin), processTime() - own, w.processorTime(w.etcd) - before, w.memory(w.etcd)}
		cancel()
	}
	_ = w.store.Follow(ctx, s, store.FollowOptions{}) // it returns ctx's error only
	if s.view == nil || s.view.Names() != w.n {
		w.t.Fatalf("etcd could not be read whole: %v", s.trouble)
	}
	return s.view, r
}

// changers is how many changes are under way at once.
const changers = 32

// changedAddress is that of the i-th change.
func changedAddress(i int) netip.Addr { return address4(1<<23 + i) }

// lastChanged is the name that the last of so many changes was of.
func lastChanged(changes, n int) int { return nth(changes-1, n) }

// change has names far apart get other addresses for so long, paceAsked a second when
// the machine can, the last change after all others. It gives how many.
func (w *world) change(long time.Duration) int {
	w.t.Helper()
	z := w.zone()
	due := make(chan int)
	var running sync.WaitGroup
	var failed atomic.Pointer[error]
	for range changers {
		running.Go(func() {
			for i := range due {
				if err := w.changeOne(z, i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	begin, n := time.Now(), 0
	for ; time.Since(begin) < long; n++ {
		time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / paceAsked)))
		due <- n
	}
	close(due)
	running.Wait()
	if err := w.changeOne(z, n); err != nil {
		failed.Store(&err)
	}
	if err := failed.Load(); err != nil {
		w.t.Fatal(*err)
	}
	return n + 1
}

func (w *world) zone() (z *model.Zone) {
	w.t.Helper()
	if err := w.store.Read(w.t.Context(), func(tx *store.Tx) (err error) { z, err = tx.Zone(zoneName); return err }); err != nil {
		w.t.Fatal(err)
	}
	return z
}

// changeOne puts without a look at what is there, so that little of the machine is ours.
func (w *world) changeOne(z *model.Zone, i int) error {
	_, err := w.store.Update(w.t.Context(), func(tx *store.Tx) error {
		name := hostName(nth(i, w.n))
		if _, err := tx.Path(z, name); err != nil {
			return err
		}
		tx.PutName(z, name, &model.NameData{RRsets: []model.RRset{{Type: aType, TTL: 60, Data: [][]byte{changedAddress(i).AsSlice()}}}})
		return nil
	})
	return err
}
