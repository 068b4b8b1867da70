package limits

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// pacesKept is how many principals' paces are remembered: those that did something last.
const pacesKept = 65536

// Paces bounds how often each principal does something. It is safe for concurrent use.
type Paces struct {
	mu  sync.Mutex
	all *simplelru.LRU[string, *rate.Limiter]
}

// NewPaces makes Paces of principals who have done nothing yet.
func NewPaces() *Paces {
	all, err := simplelru.NewLRU[string, *rate.Limiter](pacesKept, nil)
	if err != nil {
		panic("limits: the size of a table is not positive")
	}
	return &Paces{all: all}
}

// Take counts one more thing that who does, who may do perMinute of them, at most twice
// as many at once. When that is too much it counts nothing and says how long to wait.
func (p *Paces) Take(who string, perMinute int, now time.Time) (wait time.Duration) {
	return p.TakeN(who, perMinute, 1, now)
}

// TakeN is Take for one thing that counts as n, and as perMinute at most.
func (p *Paces) TakeN(who string, perMinute, n int, now time.Time) (wait time.Duration) {
	return p.take(who, rate.Limit(float64(perMinute)/60), 2*perMinute, min(n, perMinute), now)
}

// TakeOf is Take for who may do most of them at once, and as many again within a time.
func (p *Paces) TakeOf(who string, most int, within time.Duration, now time.Time) (wait time.Duration) {
	return p.take(who, rate.Limit(float64(most)/within.Seconds()), most, 1, now)
}

func (p *Paces) take(who string, limit rate.Limit, burst, n int, now time.Time) (wait time.Duration) {
	p.mu.Lock()
	l, ok := p.all.Get(who)
	if !ok {
		l = rate.NewLimiter(limit, burst)
		p.all.Add(who, l)
	}
	p.mu.Unlock()
	if l.Limit() != limit {
		l.SetLimitAt(now, limit)
	}
	if l.Burst() != burst {
		l.SetBurstAt(now, burst)
	}
	r := l.ReserveN(now, n)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
	}
	return wait
}
