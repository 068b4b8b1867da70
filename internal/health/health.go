// Package health answers one question: is this target up? It makes up a checker's mind
// from attempts that others made and times that others read: it opens no socket and reads
// no clock.
package health

import (
	"time"

	"signpost/internal/model"
)

// The bounds of holding down.
const (
	firstHold   = 10 * time.Second
	longestHold = 10 * time.Minute
	freeTurns   = 2 // for the worse, that are not held
	// Calm is after how long without a turn for the worse those before are forgotten.
	Calm = 2 * longestHold
)

// Mind is what a checker thinks of one target. It is not safe for concurrent use.
type Mind struct {
	fall, rise int
	verdict    model.Verdict
	fails, oks int // in a row; one of them is 0
	heard      int // attempts while there is no verdict
	why        model.Reason
	turned     time.Duration // when the verdict last changed
	rose       time.Duration // when it last was down no more
	suspected  Turns
	fell       Turns
}

// Turns counts how often something turned for the worse in one way without having been
// well for long.
type Turns int

// Hold is how long it is held in that state: 0, 0, 10 s, 20 s, 40 s, ... 10 min.
func (n Turns) Hold() time.Duration {
	hold := firstHold
	for i := Turns(freeTurns) + 1; i < n && hold < longestHold; i++ {
		hold *= 2
	}
	if n <= freeTurns {
		return 0
	}
	return min(hold, longestHold)
}

// NewMind is one without a verdict, for a check with these bounds.
func NewMind(c model.Check) *Mind {
	c = c.WithDefaults()
	return &Mind{fall: c.Fall, rise: c.Rise}
}

// Verdict is what it thinks, and the last fault that made it think so.
func (m *Mind) Verdict() (model.Verdict, model.Reason) {
	if m.verdict == model.NoVerdict || m.verdict == model.Up {
		return m.verdict, model.Fine
	}
	return m.verdict, m.why
}

// Failing reports whether the last attempt that says something about the target failed.
func (m *Mind) Failing() bool { return m.fails > 0 }

// Heard reports whether any attempt has said something about the target.
func (m *Mind) Heard() bool { return m.fails > 0 || m.oks > 0 }

// See takes one attempt, made at a time on any clock that never goes back, and reports
// whether it changed the verdict.
//
//	verdict  attempt  in a row now                      becomes
//	any      says nothing about the target              the same, and nothing is counted
//	none     fine     rise                              up
//	none     fails    fall                              down
//	none     either   fewer, the greater of both heard  suspect
//	up       fails    fewer than fall                   suspect
//	up       fails    fall                              down
//	suspect  fails    fall                              down
//	suspect  fine     rise, and held long enough        up
//	down     fine     rise, and held long enough        up
//	         otherwise                                  the same
//
// A state is held from when it began: not at all the first two times, then 10 s, doubling
// to 10 min. Turning suspect and turning down are counted apart: 20 min in a row up forget
// how often it was suspect, and 20 min not down how often it was that. Or a target that
// loses an answer every quarter of an hour would be kept away for what it was months ago.
func (m *Mind) See(a model.Attempt, now time.Duration) (changed bool) {
	switch {
	case a.Reason == model.Fine:
		m.oks, m.fails = m.oks+1, 0
	case a.Reason.Blames():
		m.fails, m.oks, m.why = m.fails+1, 0, a.Reason
	default:
		return false
	}
	was := m.verdict
	switch m.verdict {
	case model.NoVerdict:
		m.heard++
		m.verdict = m.first()
	case model.Up:
		if m.fails > 0 {
			m.worsen(now)
		}
	case model.Suspect:
		if m.fails >= m.fall {
			m.fallen(now)
		} else {
			m.recover(now, m.suspected)
		}
	case model.Down:
		if m.recover(now, m.fell); m.verdict == model.Up {
			m.rose = now
		}
	}
	if m.verdict != was {
		m.turned = now
	}
	return m.verdict != was
}

func (m *Mind) first() model.Verdict {
	switch {
	case m.oks >= m.rise:
		return model.Up
	case m.fails >= m.fall:
		return model.Down
	case m.heard >= max(m.rise, m.fall):
		return model.Suspect
	}
	return model.NoVerdict
}

func (m *Mind) worsen(now time.Duration) {
	if now-m.turned >= Calm {
		m.suspected = 0
	}
	if m.fails >= m.fall {
		m.fallen(now)
		return
	}
	m.verdict = model.Suspect
	m.suspected++
}

func (m *Mind) fallen(now time.Duration) {
	if now-m.rose >= Calm {
		m.fell = 0
	}
	m.verdict = model.Down
	m.fell++
}

func (m *Mind) recover(now time.Duration, times Turns) {
	if m.oks >= m.rise && now-m.turned >= times.Hold() {
		m.verdict = model.Up
	}
}
