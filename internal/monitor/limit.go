package monitor

import (
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// What of new addresses and ports is tried for one owner, or for one host where an
// administrator has set the check: without a bound, whoever has a host could have the
// checker look around a network for them.
const (
	newAtOnce = 20
	newEvery  = time.Hour / newAtOnce
	// mostAtBegin is how many of an owner's are not new when the checker begins: four for
	// each check that one may have. Or what waits would be tried at the next restart.
	mostAtBegin = 400
)

// limit counts the new addresses and ports of each owner.
type limit struct {
	tried   map[tried]*use
	budgets map[string]*rate.Limiter
	begun   map[string]int // of each owner, when the checker began
	swept   time.Duration
}

type tried struct {
	owner string
	netip.AddrPort
}

// use is how many subjects have an address and port now, and since when none has.
type use struct {
	by   int
	left time.Duration
}

func newLimit() *limit {
	return &limit{tried: map[tried]*use{}, budgets: map[string]*rate.Limiter{}, begun: map[string]int{}}
}

// enter reports whether all addresses of a subject may be tried now, and notes that they
// are. What is tried for the same owner, or was in the last hour, is not new; neither is
// some of what is there when the checker begins.
func (l *limit) enter(s *subject, begins bool, now time.Duration) bool {
	l.sweep(now)
	unknown := 0
	for _, a := range s.addrs {
		if l.tried[s.at(a)] == nil && a.IsValid() {
			unknown++
		}
	}
	free := begins && l.begun[s.owner]+unknown <= mostAtBegin
	if free {
		l.begun[s.owner] += unknown
	}
	if unknown > 0 && !free {
		b := l.budgets[s.owner]
		if b == nil {
			b = rate.NewLimiter(rate.Every(newEvery), newAtOnce)
			l.budgets[s.owner] = b
		}
		if !b.AllowN(instant(now), unknown) {
			return false
		}
	}
	for _, a := range s.addrs {
		if a.IsValid() {
			if l.tried[s.at(a)] == nil {
				l.tried[s.at(a)] = &use{}
			}
			l.tried[s.at(a)].by++
		}
	}
	return true
}

// leave notes that a subject is not tried any more.
func (l *limit) leave(s *subject, now time.Duration) {
	for _, a := range s.addrs {
		if u := l.tried[s.at(a)]; u != nil {
			u.by--
			u.left = now
		}
	}
}

// sweep forgets, once in a while, what is an hour old.
func (l *limit) sweep(now time.Duration) {
	if now-l.swept < time.Minute {
		return
	}
	l.swept = now
	for k, u := range l.tried {
		if u.by == 0 && now-u.left >= time.Hour {
			delete(l.tried, k)
		}
	}
	for o, b := range l.budgets {
		if b.TokensAt(instant(now)) >= newAtOnce {
			delete(l.budgets, o)
		}
	}
}

// at is what a subject's address is counted as. The port is that of the check.
func (s *subject) at(a netip.Addr) tried {
	return tried{s.owner, netip.AddrPortFrom(a, s.check.WithDefaults().Port)}
}

// instant is a time on the checker's clock, as the limiter wants it.
func instant(now time.Duration) time.Time { return time.Unix(0, 0).Add(now) }
