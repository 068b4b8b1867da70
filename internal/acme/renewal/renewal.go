// Package renewal answers one question: may an authority be asked now when a certificate is
// to be renewed (RFC 9773), and was it lately?
package renewal

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"signpost/internal/acme"
)

// Bounds of how often an authority is asked (RFC 9773 section 4.3).
const (
	soonest  = time.Minute    // whatever the authority says
	latest   = 24 * time.Hour // likewise
	unsaid   = 6 * time.Hour  // after an answer that names no time, and after a refusal
	patience = 3 * time.Second
	kept     = 65536 // certificates that are remembered: those that were asked about last
)

// Answer is what came of asking.
type Answer struct {
	Changed bool          // something else is kept now than was before
	Again   time.Duration // after which the authority wants to be asked again; 0: it does not say
}

// Desk knows when each certificate may be asked about again. It is safe for concurrent use,
// and forgets all when its process ends.
type Desk struct {
	now    func() time.Time
	ending context.Context

	mu    sync.Mutex
	certs *simplelru.LRU[string, *state]
	away  time.Time // until when the authority is not asked at all, for it is away
	tries int       // in a row that have found it away
}

type state struct {
	next   time.Time // not to be asked about before
	asking *asking   // nil: it is not being asked about
	held   time.Time // until when it is not to be renewed early
}

type asking struct {
	done    chan struct{}
	changed bool // once it is done
}

// New makes a Desk whose asking ends with a context.
func New(ending context.Context, now func() time.Time) *Desk {
	certs, err := simplelru.NewLRU[string, *state](kept, nil)
	if err != nil {
		panic("renewal: the size of a table is not positive")
	}
	return &Desk{now: now, ending: ending, certs: certs}
}

// Ask has ask called about a certificate, known by its CertID, if it is time for that, and
// waits for what comes of it, for 3 s at most; then it goes on by itself. It reports whether
// something else is kept now. A failure is nobody's: an authority that is away is not asked
// about any certificate for a minute, then two, up to six hours, and one that refuses not
// about this one for six hours.
func (d *Desk) Ask(ctx context.Context, certID string, ask func(context.Context) (Answer, error)) (changed bool) {
	now := d.begin(certID, ask)
	if now == nil {
		return false
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-now.done:
		return now.changed
	case <-enough.C:
	case <-ctx.Done():
	}
	return false
}

// begin is the asking that is under way; nil: it is not time for one.
func (d *Desk) begin(certID string, ask func(context.Context) (Answer, error)) *asking {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := d.stateLocked(certID)
	now := d.now()
	if st.asking != nil {
		return st.asking
	}
	if now.Before(st.next) || now.Before(d.away) || d.ending.Err() != nil {
		return nil
	}
	under := &asking{done: make(chan struct{})}
	st.asking = under
	go func() {
		a, err := ask(d.ending)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.learnLocked(st, a, err)
		st.asking, under.changed = nil, err == nil && a.Changed
		close(under.done)
	}()
	return under
}

func (d *Desk) stateLocked(certID string) *state {
	st, ok := d.certs.Get(certID)
	if !ok {
		st = &state{}
		d.certs.Add(certID, st)
	}
	return st
}

func (d *Desk) learnLocked(st *state, a Answer, err error) {
	now := d.now()
	f := new(acme.Failure)
	switch {
	case err == nil:
		st.next = now.Add(pause(a.Again))
		d.tries, d.away = 0, time.Time{}
	case errors.As(err, &f) && (f.Why == acme.Unreachable || f.Why == acme.Limited):
		wait := min(soonest<<min(d.tries, 10), unsaid)
		d.tries++
		if !f.Until.IsZero() {
			wait = min(max(wait, f.Until.Sub(now)), latest)
		}
		d.away = now.Add(wait)
	default:
		st.next = now.Add(unsaid)
	}
}

func pause(again time.Duration) time.Duration {
	if again == 0 {
		return unsaid
	}
	return min(max(again, soonest), latest)
}

// Told notes what the authority has said without having been asked by Ask.
func (d *Desk) Told(certID string, again time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stateLocked(certID).next = d.now().Add(pause(again))
}

// Hold notes that a certificate could not be renewed early: for a day it is not tried again
// here, so that who asks at each boot neither waits for it nor uses up the orders.
func (d *Desk) Hold(certID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stateLocked(certID).held = d.now().Add(latest)
}

// Held reports whether Hold was noted within a day.
func (d *Desk) Held(certID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	st, ok := d.certs.Peek(certID)
	return ok && d.now().Before(st.held)
}
