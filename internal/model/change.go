package model

// KeyKind says what a key under the DNS prefix is about.
type KeyKind int

// The kinds of key that a follower sees. Keys that a later version writes and
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
)

// Key names one key under the DNS prefix.
type Key struct {
	Kind       KeyKind
	Zone       Name   // not for AllRevKey
	Generation uint64 // only for NameKey
	Name       Name   // only for NameKey: absolute, strictly below Zone
}

// Change is one key's new state.
type Change struct {
	Key         Key
	ModRevision int64
	// Raw is the value as it stands in etcd, opaque to all but the store; it is
	// kept for the snapshot. It must not be changed.
	Raw []byte
	// Deleted, or a value that could not be read (Bad says why), or else, for
	// ZoneKey and NameKey, what the value says.
	Deleted bool
	Bad     error
	Zone    *Zone
	Name    *NameData
}
