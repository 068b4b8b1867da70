package model

import (
	"slices"
	"strings"
	"time"
)

// Register says who may register names in a zone, besides its administrators.
type Register int

// Who may register names.
const (
	RegisterNobody   Register = iota // only the zone's administrators
	RegisterGroups                   // members of the groups that the zone names
	RegisterEveryone                 // everybody who is logged in
	registers
)

var registerNames = [registers]string{"nobody", "groups", "everyone"}

// String is the word for it in the API.
func (r Register) String() string { return registerNames[r] }

// ParseRegister reads the word. Errors are of kind Invalid and name the field.
func ParseRegister(field, s string) (Register, error) {
	if i := slices.Index(registerNames[:], s); i >= 0 {
		return Register(i), nil
	}
	return 0, E(Invalid, "read who may register", s).In(field).Because("there is no such word").Hint("say everyone, groups or nobody")
}

// Defaults of a zone's policy.
const (
	DefaultDepth      = 1          // labels below the apex
	DefaultMaxHosts   = 100        // of one owner
	DefaultMaxChanges = 60         // of one principal in a minute
	DefaultQuarantine = 30 * 86400 // seconds
	DefaultMaxRecords = 20         // of a record set
	DefaultMaxOctets  = 8 << 10    // of RDATA at and below a host
	DefaultMaxNames   = 20         // below a host
)

// NoQuarantine is the Quarantine of a zone that has none.
const NoQuarantine = -1

// Bounds of what a policy may say.
const (
	leastLease  = 300              // seconds
	longestTime = 10 * 365 * 86400 // seconds
	mostRecords = 1000
	mostOctets  = 256 << 10
	mostNames   = 50 // go with a host in one transaction
)

// DefaultReserved is the patterns of names that only administrators register, unless the
// zone has patterns of its own: names that programs look for by themselves, so that who
// has them can mislead others (RFC 7208, RFC 6763, web proxy auto-discovery and such).
var DefaultReserved = []string{"www", "ns*", "mx", "mail", "wpad", "isatap", "autoconfig", "autodiscover", "localhost", "_*"}

// Bounds of what a policy may list.
const (
	maxListed  = 64
	maxPattern = 63
)

// ZonePolicy is what the control service keeps of a zone and DNS does not need: who may
// do what in it. The zero ZonePolicy is that of a zone for which nothing was said.
type ZonePolicy struct {
	Admins   []PrincipalName // people and groups
	Register Register
	Groups   []PrincipalName // with RegisterGroups: whose members may register
	// Reserved is patterns of labels that only administrators register, "*" standing for
	// any number of letters; nil: DefaultReserved, empty: none.
	Reserved []string
	// Depth is how many labels below the apex names may be registered; 0: DefaultDepth.
	Depth uint32
	// MaxHosts is how many hosts one owner may have in the zone; 0: DefaultMaxHosts.
	MaxHosts uint32
	// MaxChanges is how many changes a minute one principal may make in the zone, at most
	// twice as many at once; 0: DefaultMaxChanges.
	MaxChanges uint32
	// Quarantine is for how many seconds a deleted host's name is kept for its former
	// owner; 0: DefaultQuarantine.
	Quarantine int32
	// Lease is within how many seconds hosts must be refreshed, by setting their
	// addresses, to be answered; 0: never. It counts from LeaseTime at the earliest.
	Lease     uint32
	LeaseTime time.Time
	// What owners and editors may keep at and below a host: records in a set, octets of
	// RDATA in all, names below it; 0: the default.
	MaxRecords, MaxOctets, MaxNames uint32
	// NoPrivate keeps hosts, and names that belong to one, from having private addresses.
	NoPrivate   bool
	Grants      Grants // of Admins, Groups and Register
	Formers     []Former
	ModRevision int64
}

// Former is an incarnation of the zone whose hosts an import took away. Their names, and
// those that were kept then, are kept for their owners.
type Former struct {
	Incarnation uint64
	ExpireTime  time.Time // to the second
}

// mostFormers is of how many imports names are kept; those of the last count.
const mostFormers = 4

// WithFormer is the policy when an incarnation's hosts are taken away now.
func (p ZonePolicy) WithFormer(incarnation uint64, now time.Time) ZonePolicy {
	p.Formers = slices.DeleteFunc(slices.Clone(p.Formers), func(f Former) bool { return !now.Before(f.ExpireTime) })
	if until := p.KeptUntil(now); !until.IsZero() {
		p.Formers = append(p.Formers, Former{incarnation, until})
	}
	p.Formers = p.Formers[max(0, len(p.Formers)-mostFormers):]
	return p
}

// WithDefaults is the policy with what stands for a default replaced by it.
func (p ZonePolicy) WithDefaults() ZonePolicy {
	if p.Reserved == nil {
		p.Reserved = DefaultReserved
	}
	def(&p.Depth, DefaultDepth)
	def(&p.MaxHosts, DefaultMaxHosts)
	def(&p.Quarantine, DefaultQuarantine)
	def(&p.MaxRecords, DefaultMaxRecords)
	def(&p.MaxOctets, DefaultMaxOctets)
	def(&p.MaxNames, DefaultMaxNames)
	def(&p.MaxChanges, DefaultMaxChanges)
	return p
}

func def[N uint32 | int32](v *N, d N) {
	if *v == 0 {
		*v = d
	}
}

// KeptUntil is until when the name of a host that is deleted now is kept for its owner;
// zero: it is not.
func (p ZonePolicy) KeptUntil(now time.Time) time.Time {
	q := p.WithDefaults().Quarantine
	if q < 0 {
		return time.Time{}
	}
	return now.UTC().Truncate(time.Second).Add(time.Duration(q) * time.Second)
}

// LeaseEnd is until when a host of the zone must be refreshed; zero: never.
func (p ZonePolicy) LeaseEnd(h *HostControl) time.Time {
	if p.Lease == 0 {
		return time.Time{}
	}
	return p.leaseStart(h).Add(time.Duration(p.Lease) * time.Second)
}

// RefreshDue reports whether a refresh now is to be kept: not each is, so that who
// refreshes all the time does not write all the time.
func (p ZonePolicy) RefreshDue(h *HostControl, now time.Time) bool {
	return h.Lapsed != nil || p.Lease > 0 && now.Sub(p.leaseStart(h)) >= p.Unwritten()
}

// Unwritten is how long after a refresh that is kept others are not.
func (p ZonePolicy) Unwritten() time.Duration { return time.Duration(p.Lease) * time.Second / 4 }

func (p ZonePolicy) leaseStart(h *HostControl) time.Time {
	last := p.LeaseTime
	for _, t := range []time.Time{h.CreateTime, h.UpdateTime4, h.UpdateTime6, h.RefreshTime} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// Reserves reports whether a label is one that only administrators register.
func (p ZonePolicy) Reserves(label string) bool {
	return slices.ContainsFunc(p.WithDefaults().Reserved, func(pattern string) bool { return Matches(pattern, label) })
}

// Matches reports whether text is what pattern says; "*" stands for any letters.
func Matches(pattern, text string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	for ok && rest != "" {
		var part string
		if part, rest, starred = strings.Cut(rest, "*"); !starred {
			return strings.HasSuffix(text, part)
		}
		_, text, ok = strings.Cut(text, part)
	}
	return ok
}

// Check says whether a policy can be kept. Errors are of kind Invalid and name the field.
func (p *ZonePolicy) Check() error {
	bad := func(field, what, why, hint string) error {
		return E(Invalid, "check what a zone allows", what).In(field).Because(why).Hint(hint)
	}
	for field, n := range map[string]int{"admins": len(p.Admins), "groups": len(p.Groups), "reserved": len(p.Reserved)} {
		if n > maxListed {
			return bad(field, "", "there are more than 64", "give a group instead")
		}
	}
	for _, g := range p.Groups {
		if !g.IsGroup() {
			return bad("groups", string(g), "it is no group", "write group:ISSUER/GROUP")
		}
	}
	for _, r := range p.Reserved {
		if r == "" || len(r) > maxPattern || strings.Trim(r, "abcdefghijklmnopqrstuvwxyz0123456789-_*") != "" {
			return bad("reserved", r, "it is no pattern of a label", "write lower-case letters, digits, - and _, with * for any of them")
		}
	}
	switch {
	case p.Depth > 8:
		return bad("depth", "", "it is over 8 labels", "give 1 for names directly below the zone")
	case p.Quarantine > longestTime:
		return bad("quarantine", "", "it is over ten years", "give 30 days, or 0 for none")
	case p.Lease != 0 && p.Lease < leastLease || p.Lease > longestTime:
		return bad("lease", "", "it is under five minutes or over ten years", "give some days, or 0 for none")
	case p.MaxRecords > mostRecords:
		return bad("max_records", "", "it is over 1000", "give 20")
	case p.MaxOctets > mostOctets:
		return bad("max_octets", "", "it is over 262144", "give 8192")
	case p.MaxNames > mostNames:
		return bad("max_names", "", "it is over 50, which is what is deleted with a host at once", "give 20")
	}
	return nil
}
