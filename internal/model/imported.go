package model

import (
	"net/netip"
	"slices"
	"time"
)

// Imported is what another service said of a name when it was last imported from it. Side
// by side with what is there now it tells what has changed since there, and what here.
type Imported struct {
	Host     *FormerHost     // nil: there was none
	Sets     []RRset         // by type, without the addresses of the host
	Settings *FormerSettings // of a zone; nil but at an apex
	Time     time.Time       // to the second
}

// FormerHost is a host as another service had it.
type FormerHost struct {
	Owner, Comment              string
	Wildcard, Blocked, Disabled bool
	Secret                      bool         // it had one that could be taken over
	Addresses                   []netip.Addr // as NormalizeAddresses gives them
	Follows                     string       // as Following.String gives it
}

// Equal reports whether two hosts are the same, but for when their secrets were made.
func (h *FormerHost) Equal(o *FormerHost) bool {
	if h == nil || o == nil {
		return h == o
	}
	return h.Owner == o.Owner && h.Comment == o.Comment && h.Wildcard == o.Wildcard && h.Blocked == o.Blocked &&
		h.Disabled == o.Disabled && h.Secret == o.Secret && h.Follows == o.Follows && slices.Equal(h.Addresses, o.Addresses)
}

// FormerSettings is who could do what in a zone of another service.
type FormerSettings struct {
	Admins, Groups []PrincipalName
	Register       Register
	Reserved       []string
}
