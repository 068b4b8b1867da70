package store

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/group"
	"signpost/internal/store/localetcd"
	"signpost/internal/thrift"
)

var (
	pace      = flag.Bool("pace", false, "measure changes a second, shared and plain")
	paceFor   = flag.Duration("pace-for", time.Second, "how long one round takes")
	paceWith  = flag.Int("pace-writers", 0, "how many write; 0: 1, 16, 256 and 1,024")
	paceTurns = flag.Int("pace-rounds", 5, "rounds of each kind, in turn")
)

// paceNames is many, so that a name is changed again only when the copy has long heard of
// its last change.
const paceNames = 8192

// TestPaceOfChanges measures what many writers of different names get done through
// Update, beside the same transactions sent one by one, in turn in one run: one etcd in
// this process that writes to its disk, and room for garbage as a control service has it.
func TestPaceOfChanges(t *testing.T) {
	if !*pace {
		t.Skip("it takes minutes; run it with -args -pace")
	}
	defer thrift.Room(128 << 20)()
	etcd, err := localetcd.Start(localetcd.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	s := copying(t, etcd.Endpoint())
	createZone(t, s, exampleOrg)
	names := make([]model.Name, paceNames)
	for i := range names {
		names[i] = model.Name(fmt.Sprintf("w%d.example.org.", i))
	}
	var making sync.WaitGroup
	for some := range slices.Chunk(names, 512) {
		making.Go(func() {
			for _, n := range some {
				must(t)(putHost(t.Context(), s, exampleOrg, n, "192.0.2.1"))
			}
		})
	}
	making.Wait()
	counts := []int{1, 16, 256, 1024}
	if *paceWith > 0 {
		counts = []int{*paceWith}
	}
	for _, writers := range counts {
		var plain, shared rounds
		for range *paceTurns {
			heard(t, s)
			plain = append(plain, measure(t, writers, names, func(ctx context.Context, n model.Name, addr string) (bool, error) {
				tx := s.newTx(ctx, s.copied())
				if err := setHost(tx, exampleOrg, n, addr); err != nil {
					return false, err
				}
				writes, _ := tx.ops()
				cmps, ops := clients(tx.compares(), writes)
				resp, err := s.client.Txn(ctx).If(cmps...).Then(ops...).Commit()
				return err == nil && resp.Succeeded, err
			}))
			heard(t, s)
			shared = append(shared, measure(t, writers, names, func(ctx context.Context, n model.Name, addr string) (bool, error) {
				_, err := putHost(ctx, s, exampleOrg, n, addr)
				return true, err
			}))
		}
		t.Logf("%4d writers: plain %s; shared %s; %.2f times as many a second, %.2f times as many for the processor time",
			writers, plain, shared, shared.to(plain, func(r round) float64 { return r.perSecond }), plain.to(shared, func(r round) float64 { return r.processor }))
	}
}

// heard waits until the copy has all changes: plain ones, which nobody holds back, come
// faster than it takes them, and the next round would pay for them.
func heard(t *testing.T, s *Store) {
	rev, err := s.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); s.copied() == nil || s.copied().rev < rev; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the copy has not come to revision %d", rev)
		}
	}
}

// clients is a change for etcd's own client, with no copies that it can do without.
func clients(compares []group.Compare, writes []group.Write) ([]clientv3.Cmp, []clientv3.Op) {
	cmps, ops := make([]clientv3.Cmp, len(compares)), make([]clientv3.Op, len(writes))
	for i, c := range compares {
		cmps[i] = clientv3.ModRevision(c.Key)
		p := cmps[i].GetCompare()
		p.Result, p.TargetUnion = etcdserverpb.Compare_EQUAL, &etcdserverpb.Compare_ModRevision{ModRevision: c.Mod}
	}
	for i, w := range writes {
		ops[i] = clientv3.OpPut(w.Key, "")
		ops[i].WithValueBytes(w.Value)
	}
	return cmps, ops
}

// round is what was done in one.
type round struct{ perSecond, processor float64 } // processor: µs of this process for each change

type rounds []round

func (r rounds) each(of func(round) float64) []float64 {
	out := make([]float64, len(r))
	for i := range r {
		out[i] = of(r[i])
	}
	slices.Sort(out)
	return out
}

func (r rounds) rate() float64 {
	return r.each(func(r round) float64 { return r.perSecond })[len(r)/2]
}

func (r rounds) cost() float64 {
	return r.each(func(r round) float64 { return r.processor })[len(r)/2]
}

// to is a figure of these rounds to that of others, the median of round by round: machines
// drift.
func (r rounds) to(others rounds, of func(round) float64) float64 {
	out := make([]float64, len(r))
	for i := range r {
		out[i] = of(r[i]) / of(others[i])
	}
	slices.Sort(out)
	return out[len(out)/2]
}

func (r rounds) String() string {
	return fmt.Sprintf("%.0f/s %.0f, %.0f µs", r.rate(), r.each(func(r round) float64 { return r.perSecond }), r.cost())
}

func measure(t *testing.T, writers int, names []model.Name, change func(context.Context, model.Name, string) (bool, error)) round {
	var done, next atomic.Int64
	began, used := time.Now(), processorTime()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; time.Since(began) < *paceFor; i += writers {
				v := next.Add(1)
				a := netip.AddrFrom4([4]byte{10, byte(v >> 16), byte(v >> 8), byte(v)})
				made, err := change(t.Context(), names[i%len(names)], a.String())
				if err != nil {
					t.Error(err)
					return
				}
				if made {
					done.Add(1)
				}
			}
		})
	}
	wg.Wait()
	n := float64(max(done.Load(), 1))
	return round{n / time.Since(began).Seconds(), float64((processorTime() - used).Microseconds()) / n}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
