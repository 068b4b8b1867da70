package webhook

import (
	"math/rand/v2"
	"time"
)

const (
	mostWaiting = 1000 // messages
	atOnce      = 4    // that are on their way
	lastWithin  = 2 * time.Second
	pauseMin    = time.Second
	pauseMax    = time.Minute
)

// queue is messages that wait, in a line for each order.
type queue struct {
	lines map[string]*line
	n     int // messages in all lines
	seq   uint64
}

// line is of one order. Its first is on its way, or waits until due.
type line struct {
	waiting []*item
	due     time.Time
	busy    bool
}

type item struct {
	Message
	seq   uint64
	since time.Time
	tries int
	gap   bool // it stands for some that had to go
}

// add puts a message at the end. When there is no room the oldest has to go, and how many
// had to is told. The first that goes leaves one in its place that says so, which comes to
// be of the revision of the last that goes.
func (q *queue) add(m Message, now time.Time, instead func(int64) Message) (dropped int) {
	if q.lines == nil {
		q.lines = map[string]*line{}
	}
	for q.n >= mostWaiting {
		of, at := q.first()
		if of == nil {
			break
		}
		gone := of.waiting[at]
		q.take(of, at)
		dropped++
		q.leaveGap(instead(gone.Revision), gone.since)
	}
	q.put(&item{Message: m, since: now})
	return dropped
}

// leaveGap keeps one message, and no more, that says that some had to go.
func (q *queue) leaveGap(m Message, since time.Time) {
	if l := q.lines[m.Order]; l != nil {
		for i, it := range l.waiting {
			if it.gap && (i > 0 || !l.busy) {
				it.Message = m
				return
			}
		}
	}
	q.put(&item{Message: m, since: since, gap: true})
}

func (q *queue) put(it *item) {
	q.seq++
	it.seq = q.seq
	l := q.lines[it.Order]
	if l == nil {
		l = &line{}
		q.lines[it.Order] = l
	}
	l.waiting = append(l.waiting, it)
	q.n++
}

// first is where the oldest message is that is not on its way, and no gap.
func (q *queue) first() (of *line, at int) {
	var seq uint64
	for _, l := range q.lines {
		for i, it := range l.waiting {
			if i == 0 && l.busy || it.gap {
				continue
			}
			if of == nil || it.seq < seq {
				of, at, seq = l, i, it.seq
			}
			break
		}
	}
	return of, at
}

func (q *queue) take(l *line, at int) {
	order := l.waiting[at].Order
	l.waiting = append(l.waiting[:at:at], l.waiting[at+1:]...)
	if q.n--; len(l.waiting) == 0 {
		delete(q.lines, order)
	}
}

// next is a message to be sent now, whose line is busy from then on; nil: there is none, and
// there may be one after a while.
func (q *queue) next(now time.Time) (*item, time.Duration) {
	var first *line
	wait := time.Minute
	for _, l := range q.lines {
		if l.busy {
			continue
		}
		if left := l.due.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		if first == nil || l.due.Before(first.due) || l.due.Equal(first.due) && l.waiting[0].seq < first.waiting[0].seq {
			first = l
		}
	}
	if first == nil {
		return nil, wait
	}
	first.busy = true
	return first.waiting[0], 0
}

// done takes away what was on its way.
func (q *queue) done(it *item) {
	l := q.lines[it.Order]
	l.busy, l.due = false, time.Time{}
	q.take(l, 0)
}

// again has it wait until due.
func (q *queue) again(it *item, due time.Time) {
	l := q.lines[it.Order]
	l.busy, l.due = false, due
}

// oldest is the revision of the oldest message that waits or is on its way; 0: none.
func (q *queue) oldest() (rev int64) {
	for _, l := range q.lines {
		for _, it := range l.waiting {
			if rev == 0 || it.Revision < rev {
				rev = it.Revision
			}
		}
	}
	return rev
}

// pause is how long is waited after so many attempts: 1, 2, 4 … 60 seconds, up to a half
// less.
func pause(tries int) time.Duration {
	d := pauseMax
	if tries < 7 {
		d = min(pauseMin<<(tries-1), pauseMax)
	}
	return d - rand.N(d/2)
}
