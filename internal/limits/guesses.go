// Package limits answers one question: has this caller done too much of something, and
// when may they try again? It counts in memory, in bounded tables, on a clock that it is
// given; each control service counts for itself.
package limits

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The bounds of guessing.
const (
	window       = time.Minute // in which failures of one credential are counted
	mostFailures = 10          // then it is locked
	firstLock    = time.Minute
	longestLock  = time.Hour // locks double up to this
	freeFailures = 3         // that are answered at once
	firstDelay   = 100 * time.Millisecond
	longestDelay = 2 * time.Second
	mostPairs    = 100 // that fail from one network in sourceWindow before each is told to wait
	sourceWindow = time.Hour
	// What is remembered, at about 350 octets each: 12 MiB at most.
	pairsKept   = 24576
	sourcesKept = 8192
)

// Credential is a digest of what somebody showed, right or wrong.
type Credential [16]byte

// Guesses counts wrong credentials. A credential is judged by its own failures alone:
// whatever else fails, from the same network or for the same host, a right one passes.
// It is safe for concurrent use.
type Guesses struct {
	mu      sync.Mutex
	pairs   *simplelru.LRU[pair, *tally]
	sources *simplelru.LRU[netip.Prefix, *spread]
}

type pair struct {
	from       netip.Prefix
	credential Credential
}

// tally is the failures of one credential from one network.
type tally struct {
	since    time.Time // the window's begin
	failures int       // in it
	locks    int       // so far
	until    time.Time // it is locked
}

// spread is how many credentials have failed from one network.
type spread struct {
	since time.Time
	pairs int
}

// NewGuesses makes a counter that has seen nothing.
func NewGuesses() *Guesses {
	pairs, err1 := simplelru.NewLRU[pair, *tally](pairsKept, nil)
	sources, err2 := simplelru.NewLRU[netip.Prefix, *spread](sourcesKept, nil)
	if err1 != nil || err2 != nil {
		panic("limits: the size of a table is not positive")
	}
	return &Guesses{pairs: pairs, sources: sources}
}

// Network is the network that an address is counted with: its /64 in IPv6, in IPv4
// itself.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address: all of these are one network
	}
	return p
}

// Failure is what becomes of a call with a wrong credential.
type Failure struct {
	Delay time.Duration // before it is answered
	// Retry is when to try again with this credential, if it is to be told so in the
	// place of that it is wrong; 0: not.
	Retry time.Duration
}

// Locked is how long a credential stays locked; 0: it is not. While it is, only a look
// that costs nothing need be given to it.
func (g *Guesses) Locked(from netip.Prefix, c Credential, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, ok := g.pairs.Get(pair{from, c}); ok {
		return max(0, t.until.Sub(now))
	}
	return 0
}

// Failed counts a credential that was wrong.
func (g *Guesses) Failed(from netip.Prefix, c Credential, now time.Time) Failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, seen := g.pairs.Get(pair{from, c})
	if !seen {
		t = &tally{since: now}
		g.pairs.Add(pair{from, c}, t)
	}
	many := g.spreads(from, !seen, now)
	if locked := t.until.Sub(now); locked > 0 {
		return Failure{Retry: locked}
	}
	if now.Sub(t.since) > window {
		t.since, t.failures = now, 0
	}
	if now.Sub(t.until) > longestLock {
		t.locks = 0
	}
	t.failures++
	f := Failure{Delay: delay(t.failures)}
	if t.failures >= mostFailures || t.locks > 0 {
		f.Retry = min(firstLock<<t.locks, longestLock)
		t.locks = min(t.locks+1, 10)
		t.since, t.failures, t.until = now, 0, now.Add(f.Retry)
	}
	if many {
		f.Delay, f.Retry = max(f.Delay, longestDelay/2), max(f.Retry, firstLock)
	}
	return f
}

// spreads counts a credential of a network that has begun to fail and reports whether
// those are too many.
func (g *Guesses) spreads(from netip.Prefix, begins bool, now time.Time) bool {
	s, seen := g.sources.Get(from)
	if !seen {
		s = &spread{since: now}
		g.sources.Add(from, s)
	}
	if now.Sub(s.since) > sourceWindow {
		*s = spread{since: now}
	}
	if begins {
		s.pairs++
	}
	return s.pairs > mostPairs
}

func delay(failures int) time.Duration {
	if failures <= freeFailures {
		return 0
	}
	return min(firstDelay<<(failures-freeFailures-1), longestDelay)
}
