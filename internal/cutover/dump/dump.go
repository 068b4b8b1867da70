// Package dump answers one question: what does a dump of nsupdate.info say? It reads the
// JSON that Django's dumpdata writes of that service, with what the EGI federation added to
// it, and nothing else: it opens no file and knows nothing of what is made of it.
package dump

import (
	"time"
)

// Dump is what a dump says, in its order. What is named in one object and described in
// another is joined.
type Dump struct {
	Domains   []*Domain
	Hosts     []*Host
	Related   []*Related
	Blacklist []*Blacklisted
	// NotCarried counts objects that are read over, by model: those that say something of a
	// host which nothing here stands for.
	NotCarried map[string]int
}

// User is a person there. Names and addresses of people are not read: nobody is known by
// them.
type User struct {
	Key      string     // how the dump refers to the person, for people
	Accounts []*Account // at identity providers
}

// Account is a person's account at an identity provider.
type Account struct {
	Provider string // the service's own word for it, such as egi
	Subject  string // the provider's name for the person
}

// Organization is a virtual organisation.
type Organization struct {
	Name string // of one that a provider speaks of, an entitlement up to its last colon
	// Private is whether somebody has made it there; then no provider knows its members.
	Private bool
	Members int
}

// Domain is a zone.
type Domain struct {
	Name              string
	Public, Available bool
	Comment           string
	Owner             *User
	Organization      *Organization // nil: none
	HasKey            bool          // with which the service changed it
	CreateTime        time.Time
}

// Host is a host.
type Host struct {
	Where               string // which object of the dump it is
	Name                string // below the domain
	Domain              *Domain
	Owner               *User
	Comment             string
	Wildcard, Available bool
	Abuse, AbuseBlocked bool
	Secret              string // as Django keeps it: ALGORITHM$SALT$HASH
	Certificate         string // PEM; empty: none
	Netmask4, Netmask6  int    // bits that related hosts share with it; 0: it is not said
	CreateTime          time.Time
	UpdateTime4         time.Time // zero: never
	UpdateTime6         time.Time
}

// FQDN is the host's name, without a final dot.
func (h *Host) FQDN() string { return h.Name + "." + h.Domain.Name }

// Related is a name below a host, of a machine in the same network.
type Related struct {
	Name                   string // below the host's
	Main                   *Host
	Comment                string
	Available              bool
	Interface4, Interface6 string // empty: it has no address of the family
}

// FQDN is the related host's name, without a final dot.
func (r *Related) FQDN() string { return r.Name + "." + r.Main.FQDN() }

// Blacklisted is a regular expression of Python; hosts with names in which it is found
// could not be made.
type Blacklisted struct {
	Pattern string
}
