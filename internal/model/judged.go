package model

import "time"

// Saying is what an operator says of an endpoint, a host or a site.
type Saying int

// What may be said.
const (
	SayNothing Saying = iota
	SayUp
	SayDown
	SayDrain
)

// Word is an operator's word on an endpoint, on a host or on a whole site. The nearest
// one counts: an endpoint's, else its host's, else its site's.
type Word struct {
	Say    Saying
	Reason string // for people; may be empty
	By     string // the principal
	Self   bool   // said with the endpoint's own secret, which may only take back its own
	Time   time.Time
	// ExpireTime is when a timed word ends, about; zero: it does not. Marker names the
	// leased key whose end ends it.
	ExpireTime time.Time
	Marker     string
	// Incarnation is of the zone, for words on hosts and endpoints; those of another one
	// do not count.
	Incarnation uint64
	ModRevision int64
}

// Vote is what the checker of a site says of an endpoint. It stands until the same
// checker changes it.
type Vote struct {
	Site     string
	Endpoint string // its id
	// Generation is of the endpoint, Term of the checker: a vote about or by another one
	// does not count.
	Generation, Term uint64
	Verdict          Verdict // NoVerdict: it cannot be tried from there, which Reason says
	Reason           Reason
	Time             time.Time // to the second, as are those of all that follows
	ModRevision      int64
}

// Checker is the registered checker of a site.
type Checker struct {
	Site         string
	Term         uint64 // new after a removal, kept over restarts
	RegisterTime time.Time
	ModRevision  int64
}

// Over marks an endpoint as passed over: with manual fail-back it is answered only when
// no other endpoint is up.
type Over struct {
	Generation  uint64 // of the endpoint; a mark on another one does not count
	Time        time.Time
	ModRevision int64
}

// Freeze is the switch that keeps all automation from changing answers.
type Freeze struct {
	Reason      string
	By          string // the principal
	Time        time.Time
	ModRevision int64
}

// CheckerLife is the sign of life of the checker of a site.
type CheckerLife struct {
	Holder      string // which of those that stand by for the site
	StartTime   time.Time
	Doubt       bool   // it doubts itself: most of its targets fail at once
	Targets     uint32 // how many it tries
	ModRevision int64
}

// Beat is the sign of life of an endpoint. Its ModRevision is new with each.
type Beat struct {
	Generation  uint64 // of the endpoint
	ModRevision int64
}
