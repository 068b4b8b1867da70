// Package spread answers one question: when an update has been acknowledged, how long
// is it until every replica answers with it? All systems are measured in the same
// way: updates of different names are offered at a steady rate, and for some of them
// each replica is asked from the reply on until it gives the new address.
package spread

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"signpost/internal/thrift"
	"signpost/test/bench/peer"
	"signpost/test/bench/question"
	"signpost/test/bench/report"
)

// System is a set of replicas with a way to change them.
type System struct {
	Name, Note string
	// most is how many updates a second it is offered at most: what it is known to
	// take, where that is far from what others take. 0: no bound.
	most    int
	missing func(*peer.Site) string
	version func(context.Context, *peer.Site) (string, error)
	start   func(context.Context, *peer.Site, *running) error
}

// All is every system.
func All() []System { return []System{ours, bindTuned, bindDefault, powerDNS} }

// Choose is the systems with these names, all when there are none.
func Choose(names string) ([]System, error) {
	if names == "" {
		return All(), nil
	}
	var out []System
	for n := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(All(), func(s System) bool { return s.Name == n })
		if i < 0 {
			return nil, fmt.Errorf("there is no system %q to measure the propagation of", n)
		}
		out = append(out, All()[i])
	}
	return out, nil
}

// running is a system that serves the zone, each replica with all names.
type running struct {
	replicas []netip.AddrPort
	// update gives the i-th name this address and returns when that is acknowledged.
	// Each worker calls it one after the other.
	update func(ctx context.Context, worker, i int, a netip.Addr) error
	stops  []func() error
}

func (r *running) stop() error {
	var errs []error
	for _, stop := range slices.Backward(r.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// Options says how to measure. The zone has at least one name for each update.
type Options struct {
	Rate     int // updates offered in a second
	Duration time.Duration
	Watched  int // of about so many updates the answers are looked for
	Patience time.Duration
}

func (o Options) total() int { return max(1, int(float64(o.Rate)*o.Duration.Seconds())) }

// every is how many updates there are for one that is watched.
func (o Options) every() int { return max(1, o.total()/o.Watched) }

// workers is how many updates are on their way at most.
const workers = 64

// newAddress is what the i-th update sets; no name had it before.
func newAddress(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 172<<24|16<<16+uint32(i))
	return netip.AddrFrom4(b)
}

// Measure runs one system.
func (s System) Measure(ctx context.Context, site *peer.Site, o Options) report.Propagation {
	if s.most > 0 {
		o.Rate = min(o.Rate, s.most)
	}
	p := report.Propagation{Name: s.Name, Note: s.Note, Target: o.Rate}
	if p.Skipped = s.missing(site); p.Skipped != "" {
		return p
	}
	if err := s.measure(ctx, site, o, &p); err != nil {
		p.Failure = err.Error()
	}
	return p
}

func (s System) measure(ctx context.Context, site *peer.Site, o Options, p *report.Propagation) (err error) {
	if p.Version, err = s.version(ctx, site); err != nil {
		return err
	}
	r := &running{}
	defer func() { err = errors.Join(err, r.stop()) }()
	if err := s.start(ctx, site, r); err != nil {
		return err
	}
	if err := r.everywhere(ctx, site.Names); err != nil {
		return err
	}
	return r.run(ctx, o, p)
}

// everywhere waits until all replicas have the zone as it is before the updates.
func (r *running) everywhere(ctx context.Context, names int) error {
	w := watch{name: names - 1, want: question.A(names - 1), since: time.Now()}
	for _, addr := range r.replicas {
		var d []time.Duration
		pl, err := newPoller(addr, 2*time.Minute)
		if err != nil {
			return err
		}
		in := make(chan watch, 1)
		in <- w
		close(in)
		if d, err = pl.run(ctx, in); err != nil {
			return err
		}
		if d[0] == missed {
			return fmt.Errorf("the replica at %s does not get the zone", addr)
		}
	}
	return nil
}

// run offers the updates and watches some of them. Who watches must not be late for
// garbage of who offers.
func (r *running) run(ctx context.Context, o Options, p *report.Propagation) error {
	defer thrift.Room(256 << 20)()
	ins := make([]chan watch, len(r.replicas))
	delays := make([][]time.Duration, len(r.replicas))
	errs := make([]error, len(r.replicas))
	var watching sync.WaitGroup
	for i, addr := range r.replicas {
		pl, err := newPoller(addr, o.Patience)
		if err != nil {
			return err
		}
		ins[i] = make(chan watch, o.total())
		watching.Go(func() { delays[i], errs[i] = pl.run(ctx, ins[i]) })
	}
	took, elapsed, refused := r.offer(ctx, o, func(w watch) {
		for _, in := range ins {
			in <- w // there is room for all
		}
	})
	for _, in := range ins {
		close(in)
	}
	watching.Wait()
	if err := errors.Join(errors.Join(errs...), ctx.Err()); err != nil {
		return err
	}
	if len(took) == 0 {
		return fmt.Errorf("none of %d updates was taken: %w", o.total(), refused.first)
	}
	p.Updates, p.Refused = len(took), refused.n
	p.PerSecond = float64(len(took)) / elapsed.Seconds()
	slices.Sort(took)
	p.CallP50, p.CallP99 = millis(at(took, 0.5)), millis(at(took, 0.99))
	judge(delays, p)
	return nil
}

type refusals struct {
	n     int
	first error
}

// offer makes the updates at their times, or as soon after as a worker is free.
func (r *running) offer(ctx context.Context, o Options, done func(watch)) ([]time.Duration, time.Duration, refusals) {
	var (
		mu      sync.Mutex
		took    []time.Duration
		refused refusals
		wg      sync.WaitGroup
		jobs    = make(chan int)
		start   = time.Now()
		end     = start.Add(2 * o.Duration) // a system that is slower is not waited for
	)
	for n := range workers {
		wg.Go(func() {
			for i := range jobs {
				a, began := newAddress(i), time.Now()
				err := r.update(ctx, n, i, a)
				now := time.Now()
				mu.Lock()
				if err != nil {
					if refused.n++; refused.first == nil {
						refused.first = err
					}
				} else {
					took = append(took, now.Sub(began))
					if i%o.every() == 0 {
						done(watch{name: i, want: a, since: now}) // in one order for all replicas
					}
				}
				mu.Unlock()
			}
		})
	}
	for i := 0; i < o.total() && ctx.Err() == nil && time.Now().Before(end); i++ {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(o.Rate))))
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	return took, time.Since(start), refused
}

// judge makes the figures of what each replica showed, watch by watch.
func judge(delays [][]time.Duration, p *report.Propagation) {
	p.Watched = len(delays[0])
	last := make([]time.Duration, 0, p.Watched)
	within := 0
	for n := range p.Watched {
		worst := time.Duration(0)
		for _, d := range delays {
			worst = max(worst, d[n])
		}
		if worst == missed {
			p.Missed++
			continue
		}
		if worst <= 5*time.Millisecond {
			within++
		}
		last = append(last, worst)
	}
	for _, d := range delays {
		p.Replicas = append(p.Replicas, figures(slices.DeleteFunc(d, func(t time.Duration) bool { return t == missed })))
	}
	p.Last = figures(last)
	if p.Watched > 0 {
		p.Within5 = float64(within) / float64(p.Watched)
	}
}

func figures(d []time.Duration) report.Delays {
	if len(d) == 0 {
		return report.Delays{}
	}
	slices.Sort(d)
	return report.Delays{P50: millis(at(d, 0.5)), P90: millis(at(d, 0.9)), P99: millis(at(d, 0.99)), Max: millis(d[len(d)-1])}
}

func at(sorted []time.Duration, p float64) time.Duration {
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
