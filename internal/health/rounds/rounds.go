// Package rounds answers one question: which targets are to be tried now? It keeps many
// targets on their intervals without a goroutine or a timer for each, tries what is the
// same only once, and keeps one owner's checks from taking the time of others'.
package rounds

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"signpost/internal/model"
)

// Defaults of Rounds.
const (
	DefaultAtOnce = 4096 // attempts, which is as many open connections
	DefaultBudget = 200  // attempts of one owner in a second
)

// jitter is by how much of itself an interval may be shorter each time, so that what began
// together does not stay together. It is never longer: what takes so many failures in a row
// takes no more than so many intervals.
const jitter = 0.1

// Target is something to try again and again.
type Target[ID comparable] struct {
	ID    ID
	Owner string // whose budget an attempt is from
	// Key: targets with the same one are tried once for all, with the Every, Try and
	// Owner of one of them; "": by itself.
	Key   string
	Every time.Duration // between the begins of two attempts, at most; positive
	// Try makes one attempt and returns soon after its context ends.
	Try func(context.Context) model.Attempt
}

// Rounds tries targets. Set its fields before Run.
type Rounds[ID comparable] struct {
	// Report takes the attempts, one at a time; it is called by Run, which waits for it.
	Report func(ID, model.Attempt)
	AtOnce int     // attempts at one time; 0: DefaultAtOnce
	Budget float64 // attempts of one owner in a second; what is over waits; 0: DefaultBudget
	// Float64 is chance, in [0, 1); nil: that of math/rand.
	Float64 func() float64

	mu     sync.Mutex
	orders []order[ID] // not looked at yet
	wake   chan struct{}
	once   sync.Once

	// What follows is Run's.
	due     queue[ID]
	byID    map[ID]*turn[ID]
	byKey   map[string]*turn[ID]
	budgets map[string]*budget
	ended   chan ending[ID]
	running int
	number  uint64 // of the last attempt
}

type order[ID comparable] struct {
	put  []Target[ID]
	drop []ID
}

// turn is an attempt that comes again and again, for one or several targets.
type turn[ID comparable] struct {
	Target[ID]
	ids    []ID
	at     time.Time // when it is due
	paid   bool      // from its owner's budget
	begun  time.Time // the attempt that is under way
	number uint64    // of that attempt
	flying bool
	gone   bool
	place  int           // in the queue; -1: not there
	since  map[ID]uint64 // the last number that was given before it came
}

type budget struct {
	*rate.Limiter
	turns int
}

type ending[ID comparable] struct {
	turn *turn[ID]
	of   model.Attempt
}

// Set adds targets, or replaces those of the same ID, and drops others; it is safe for
// concurrent use and does not wait. What was begun before a target was replaced is not
// reported for it. Reports for what it replaces or drops may still come until Run has
// looked at it.
func (r *Rounds[ID]) Set(put []Target[ID], drop []ID) {
	r.mu.Lock()
	r.orders = append(r.orders, order[ID]{put, drop})
	r.mu.Unlock()
	select {
	case r.woken() <- struct{}{}:
	default:
	}
}

func (r *Rounds[ID]) woken() chan struct{} {
	r.once.Do(func() { r.wake = make(chan struct{}, 1) })
	return r.wake
}

// Run tries targets until ctx ends, and returns when no attempt is under way any more. It
// reports nothing that ended after ctx did. It may be called once.
func (r *Rounds[ID]) Run(ctx context.Context) {
	if r.AtOnce == 0 {
		r.AtOnce = DefaultAtOnce
	}
	if r.Budget == 0 {
		r.Budget = DefaultBudget
	}
	if r.Float64 == nil {
		r.Float64 = rand.Float64
	}
	r.byID, r.byKey, r.budgets = map[ID]*turn[ID]{}, map[string]*turn[ID]{}, map[string]*budget{}
	r.ended = make(chan ending[ID], r.AtOnce) // nobody who ends waits for Run
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(r.begin(ctx, time.Now()))
		select {
		case <-ctx.Done():
			for ; r.running > 0; r.running-- {
				<-r.ended
			}
			return
		case <-r.woken():
			r.obey(time.Now())
		case e := <-r.ended:
			if r.running--; ctx.Err() == nil {
				r.end(e)
			}
		case <-timer.C:
		}
	}
}

// begin starts what is due and returns how long nothing else will be.
func (r *Rounds[ID]) begin(ctx context.Context, now time.Time) time.Duration {
	for len(r.due) > 0 && r.running < r.AtOnce {
		t := r.due[0]
		if wait := t.at.Sub(now); wait > 0 {
			return wait
		}
		if !t.paid {
			t.paid = true
			if wait := r.budgets[t.Owner].ReserveN(now, 1).DelayFrom(now); wait > 0 {
				t.at = now.Add(wait)
				heap.Fix(&r.due, 0)
				continue
			}
		}
		heap.Pop(&r.due)
		r.running++
		r.number++
		t.begun, t.number, t.flying = now, r.number, true
		go func() { r.ended <- ending[ID]{t, t.Try(ctx)} }()
	}
	return time.Hour // an order or an ending comes before
}

// end reports an attempt to those who were there when it began, and puts it in the queue
// again.
func (r *Rounds[ID]) end(e ending[ID]) {
	t := e.turn
	t.flying = false
	if t.gone {
		return
	}
	for _, id := range t.ids {
		if t.since[id] < t.number {
			r.Report(id, e.of)
		}
	}
	every := time.Duration(float64(t.Every) * (1 - jitter*r.Float64()))
	t.at, t.paid = t.begun.Add(every), false
	heap.Push(&r.due, t)
}

// obey does what Set was told.
func (r *Rounds[ID]) obey(now time.Time) {
	r.mu.Lock()
	orders := r.orders
	r.orders = nil
	r.mu.Unlock()
	for _, o := range orders {
		for _, id := range o.drop {
			r.drop(id)
		}
		for _, t := range o.put {
			r.drop(t.ID)
			r.put(t, now)
		}
	}
}
