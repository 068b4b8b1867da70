// Package cutover answers one question: what is to be made of a dump of nsupdate.info, and
// of the zones that it was about? It makes a plan and says what it leaves out; it opens no
// file and no socket, and what is here already it does not know.
package cutover

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/cutover/dump"
	"signpost/internal/model"
)

// TTL is that of hosts, in seconds: what the former service wrote.
const TTL = 60

// Options is what the dump does not say.
type Options struct {
	Zones map[model.Name]*model.ZoneFile // what each domain holds
	Skip  []model.Name                   // domains that are left out
	// Issuers is the names here of the identity providers there, by their name there.
	Issuers map[string]string
	// Orphans gets what belongs to people without an account at any of Issuers; empty:
	// nobody does.
	Orphans model.PrincipalName
	// Groups is what virtual organisations become, by name, in the place of what is found in
	// their names. GroupIssuer is the name here of the provider whose groups those are.
	Groups      map[string][]model.PrincipalName
	GroupIssuer string
}

// Plan is what is to be made.
type Plan struct {
	Zones []*Zone
	Notes []Note // in the order of About
	// Orphans is the keys of people whose hosts and domains go to Options.Orphans.
	Orphans []string
	Hosts   int
}

// Zone is a zone, and who may do what in it.
type Zone struct {
	Name     model.Name
	File     *model.ZoneFile
	Admins   []model.PrincipalName
	Register model.Register
	Groups   []model.PrincipalName
	Reserved []string
	Names    []*Name // in DNS order: the apex first, each before those below it
}

// Name is what there is at a name.
type Name struct {
	Name model.Name
	Host *Host         // nil: none
	Sets []model.RRset // without the addresses of the host
}

// Host is a host.
type Host struct {
	Owner             model.PrincipalName
	Comment           string
	Wildcard          bool
	Addresses         []netip.Addr
	Secret            string // as Django keeps it; empty: none that can be taken over
	Blocked, Disabled string // why; empty: it is not
	CreateTime        time.Time
	UpdateTime4       time.Time
	UpdateTime6       time.Time
	Follows           *model.Following // nil: nobody
	Certificate       string           // a chain in PEM; empty: none
}

// Note is something that whoever imports should know.
type Note struct {
	About string `json:"about"` // one of Abouts
	Name  string `json:"name"`  // of a host, domain or other thing
	Text  string `json:"text"`
}

// What notes are about, in the order in which they are told, with a line for people.
const (
	AboutOrphans      = "owners"
	AboutGroups       = "groups"
	AboutDomains      = "domains"
	AboutReserved     = "reserved"
	AboutSecrets      = "secrets"
	AboutBlocked      = "blocked"
	AboutNoRecords    = "no-records"
	AboutUnknown      = "unknown-names"
	AboutWildcards    = "wildcards"
	AboutRelated      = "related"
	AboutCertificates = "certificates"
	AboutLeftOut      = "left-out"
)

// Abouts is what notes are about.
var Abouts = []struct{ About, Title string }{
	{AboutOrphans, "owners without an account at a given issuer"},
	{AboutGroups, "virtual organisations, and the groups that they become"},
	{AboutDomains, "domains"},
	{AboutReserved, "black list, and the patterns that it becomes"},
	{AboutSecrets, "secrets that cannot be taken over: these hosts need new ones"},
	{AboutBlocked, "hosts that are blocked or switched off, and are not answered"},
	{AboutNoRecords, "hosts without addresses in the zone"},
	{AboutUnknown, "names with records that the dump does not know; they become records of the zone"},
	{AboutWildcards, "wildcards whose records were not their hosts'; they become what their hosts have"},
	{AboutRelated, "related hosts"},
	{AboutCertificates, "certificate chains"},
	{AboutLeftOut, "left out"},
}

// Make makes a plan. Errors are of kind Invalid: a domain whose zone was not given, a zone
// that is no domain of the dump, names that cannot be; several are joined.
func Make(d *dump.Dump, o Options) (*Plan, error) {
	m := &maker{dump: d, options: o, plan: &Plan{}, owners: map[*dump.User]model.PrincipalName{}}
	return m.make()
}

// StartsWith reports whether the zone begins with a name: its apex, or a name server of it.
func (z *Zone) StartsWith(name model.Name) bool {
	return name == z.Name || slices.ContainsFunc(z.File.Zone.NS(), func(ns string) bool { return model.NameOf(ns) == name })
}

// Start is a zone file of what is at the apex, with the addresses of name servers inside
// the zone: what the zone begins with.
func (z *Zone) Start() string {
	var b strings.Builder
	soa := z.File.Zone.SOA
	fmt.Fprintf(&b, "%s %d IN SOA %s %s %d %d %d %d %d\n", z.Name, soa.TTL, soa.MName, soa.RName, z.File.Serial, soa.Refresh, soa.Retry, soa.Expire, soa.Minimum)
	write := func(n *Name, sets []model.RRset) {
		for _, s := range sets {
			for _, data := range s.Text() {
				fmt.Fprintf(&b, "%s %d IN %s %s\n", n.Name, s.TTL, model.TypeName(s.Type), data)
			}
		}
	}
	for _, n := range z.Names {
		switch {
		case n.Name == z.Name:
			write(n, n.Sets)
		case z.StartsWith(n.Name) && n.Host != nil: // the host takes them over
			for _, a := range n.Host.Addresses {
				kind := map[bool]string{true: "A", false: "AAAA"}[a.Is4()]
				fmt.Fprintf(&b, "%s %d IN %s %s\n", n.Name, TTL, kind, a)
			}
		case z.StartsWith(n.Name):
			write(n, slices.DeleteFunc(slices.Clone(n.Sets), func(s model.RRset) bool { return s.Type != dns.TypeA && s.Type != dns.TypeAAAA }))
		}
	}
	return b.String()
}
