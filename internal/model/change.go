package model

// KeyKind says what a key that is followed is about.
type KeyKind int

// The kinds of key that a follower sees. All but the last three are under the DNS prefix. Keys that a later version writes and
// this one does not know are not shown to it.
const (
	ZoneKey    KeyKind = iota + 1 // a zone's apex and settings
	NameKey                       // one name of one generation of a zone
	ZoneRevKey                    // its mod revision: the last change of a zone's answers
	AllRevKey                     // its mod revision: the last change of the answers of all zones
	AcceptKey                     // its mod revision: the last time that somebody agreed to losing names of a zone
	// HeldKey is in snapshots only, never in etcd: the guard keeps the zone as it was
	// at its mod revision.
	HeldKey
	CheckerKey      // the registered checker of a site
	VoteKey         // what a checker says of an endpoint
	SiteWordKey     // an operator's word on a site
	HostWordKey     // on a host
	EndpointWordKey // on an endpoint
	OverKey         // an endpoint is passed over
	FreezeKey       // nothing automatic changes an answer
	// Only monitors follow these.
	CheckKey // how it is found out whether the endpoints of a host are up
	LifeKey  // the sign of life of a site's checker
	BeatKey  // the sign of life of an endpoint
)

// Key names one key that is followed.
type Key struct {
	Kind       KeyKind
	Zone       Name   // not for AllRevKey, CheckerKey, SiteWordKey, FreezeKey, LifeKey
	Generation uint64 // for NameKey; for CheckKey the incarnation of the zone
	Name       Name   // for what is about a name or host: absolute, strictly below Zone
	Site       string // for CheckerKey, VoteKey, SiteWordKey, LifeKey
	Endpoint   string // for VoteKey, EndpointWordKey, OverKey, BeatKey: its id
}

// Change is one key's new state.
type Change struct {
	Key         Key
	ModRevision int64
	// Raw is the value as it stands in etcd, opaque to all but the store; it is
	// kept for the snapshot. It must not be changed.
	Raw []byte
	// Deleted, or a value that could not be read (Bad says why), or else what the value
	// says, for kinds of which anything but the mod revision matters.
	Deleted bool
	Bad     error
	Zone    *Zone
	Name    *NameData
	Checker *Checker
	Vote    *Vote
	Word    *Word // for all three kinds of word
	Over    *Over
	Freeze  *Freeze
	Check   *Check
	Life    *CheckerLife
	Beat    *Beat
}
