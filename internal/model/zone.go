package model

import (
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Defaults and bounds of TTLs, in seconds.
const (
	DefaultTTL         = 60
	LeastTTL           = 5
	GreatestTTL        = 86400
	DefaultNegativeTTL = 30
)

// SOA is a zone's start of authority without the serial, which is computed
// (Zone.Serial). Durations are seconds (RFC 1035 section 3.3.13).
type SOA struct {
	MName, RName                    string // domain names, presentation format, final dot
	Refresh, Retry, Expire, Minimum uint32
	TTL                             uint32
}

// Zone is a zone's apex and its settings: the value of its zone key.
type Zone struct {
	Name Name
	// Incarnation is new whenever a zone is created, Generation whenever all names
	// of the zone are replaced at once; neither is ever used twice for one zone.
	Incarnation, Generation uint64
	SerialBase              uint32
	SOA                     SOA
	// Apex is the record sets at the apex, by type, NS among them, SOA not.
	Apex []RRset
	// TTL is given to hosts and records that have none of their own; MinTTL and
	// MaxTTL bound what the API accepts; NegativeTTL caps that of negative answers
	// (RFC 2308). All in seconds; 0 stands for the default.
	TTL, MinTTL, MaxTTL, NegativeTTL uint32
	// LocalAddresses lets hosts have loopback and link-local addresses, for trials
	// on one machine.
	LocalAddresses bool
	// CreateTime is when the zone was created, to the second.
	CreateTime time.Time
	// ModRevision is etcd's, of the value this came from; 0 for a zone not stored.
	ModRevision int64
}

// WithDefaults is the zone with every 0 replaced by what it stands for.
func (z Zone) WithDefaults() Zone {
	def := func(v *uint32, d uint32) {
		if *v == 0 {
			*v = d
		}
	}
	def(&z.TTL, DefaultTTL)
	def(&z.MinTTL, LeastTTL)
	def(&z.MaxTTL, GreatestTTL)
	def(&z.NegativeTTL, DefaultNegativeTTL)
	return z
}

// Serial is the SOA serial of the zone when the last revision that touched its
// answers is rev: the low 32 bits of the sum, to be compared by RFC 1982.
func (z Zone) Serial(rev int64) uint32 { return z.SerialBase + uint32(rev) }

// NS is the names in the zone's NS records.
func (z Zone) NS() []string {
	set, ok := FindRRset(z.Apex, dns.TypeNS)
	if !ok {
		return nil
	}
	rrs, _ := set.RRs(".")
	var names []string
	for _, rr := range rrs {
		names = append(names, rr.(*dns.NS).Ns)
	}
	return names
}

// NameData is what DNS needs of one name: the value of its name key.
type NameData struct {
	RRsets []RRset // by type; at a host with addresses no A, AAAA, CNAME, NS, DNAME
	Host   *Host   // nil: no host has this name
	// Withdrawn is whether what is stored is kept and not answered: the name is there and
	// has no records. So it is at a host that is withdrawn, and at what belongs to it below.
	Withdrawn bool
	// ModRevision is etcd's, of the value this came from; 0 for a name not stored.
	ModRevision int64
}

// NormalizeAddresses unmaps, sorts and deduplicates addresses.
func NormalizeAddresses(in []netip.Addr) []netip.Addr {
	out := make([]netip.Addr, len(in))
	for i, a := range in {
		out[i] = a.Unmap().WithZone("")
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// shared is what providers number their customers from behind their own NAT (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// IsPrivate reports whether an address means different machines in different networks
// (RFC 1918, RFC 6598, RFC 4193).
func IsPrivate(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsPrivate() || shared.Contains(a)
}

// HostControl is what the control service keeps of a host and DNS does not need.
type HostControl struct {
	Owner      string           // a principal, as access writes it
	Editors    []PrincipalName  // people and groups who may change it, too
	Offer      *Offer           // nil: none
	Secrets    []EndpointSecret // of its endpoints, by id
	Comment    string
	SecretHash []byte // SHA-256 of the host's secret; empty: none was made
	// LegacySecret is the host's secret of another service, as package access writes it:
	// then SecretHash is a hash of that, or empty until it is used. nil: it has none.
	LegacySecret *Sealed
	CreateTime   time.Time
	// UpdateTime4 and UpdateTime6 say when the addresses of a family last changed.
	UpdateTime4, UpdateTime6 time.Time
	// RefreshTime is when somebody last said that the addresses are still right, as far as
	// that is kept.
	RefreshTime time.Time
	// Why the host is withdrawn: blocked by the zone's administrators, disabled by its
	// owner, not refreshed within the zone's lease; nil: it is not. One that is any of
	// them has its names withdrawn.
	Blocked, Disabled, Lapsed *Withdrawal
	Grants                    Grants // of the secret, the offer and editors
	// Follows is whom it follows; nil: nobody. Followers is who follows it, sorted; each
	// says so itself, and one that does not is none.
	Follows   *Following
	Followers []Name
	// Lost is editors whom tokens named that have ended: they are in the lists of what they
	// have until the host is written.
	Lost        []PrincipalName
	ModRevision int64
}

// Sealed is a text that is encrypted with a master key.
type Sealed struct {
	KeyID string // of the key
	Box   []byte
}

// Withdrawn reports whether the host is not to be answered.
func (h *HostControl) Withdrawn() bool {
	return h.Blocked != nil || h.Disabled != nil || h.Lapsed != nil
}

// KeptName is the name of a host that was deleted, which is kept for its owner.
type KeptName struct {
	Owner      string    // a principal, as access writes it; "": nobody's
	ExpireTime time.Time // to the second
}

// Kept is the host's name when the host goes: kept for its owner, of a blocked one for
// nobody.
func (h *HostControl) Kept(until time.Time) *KeptName {
	if h.Blocked != nil {
		return &KeptName{ExpireTime: until}
	}
	return &KeptName{Owner: h.Owner, ExpireTime: until}
}

// Withdrawal says why and since when a host is withdrawn.
type Withdrawal struct {
	Reason string    // for people; may be empty
	Time   time.Time // to the second
}

// Offer is a host that its owner wants to hand over.
type Offer struct {
	To         PrincipalName
	ExpireTime time.Time // to the second
}

// Import is an import of a zone that is under way.
type Import struct {
	Generation uint64 // that is being loaded
	Principal  string // who began it
	StartTime  time.Time
	Closed     bool // changes of the zone are refused meanwhile
	Progress   ImportProgress
}

// ImportProgress is how far an import is.
type ImportProgress struct {
	Phase       string
	Done, Total int64 // names; a total of 0 is not known yet
}

// AuditRecord says who changed what.
type AuditRecord struct {
	ID        string    // assigned by the store; sorts by time
	Time      time.Time // of the control service that wrote it
	Revision  int64     // etcd's, of the change and of this record; 0 until stored
	Principal string
	Source    string // the client's address
	RequestID string // joins the log lines of one request
	Action    string // access's word: "host.create"
	Zone      Name
	Name      Name   // empty for a change of the zone itself
	Detail    string // of record.set and record.delete: the type
	Before    string // human-readable; never a secret
	After     string
	Owner     string // of the host that it is about, as it was then; "" when there was none
}

// Check says whether a zone can be served: it has a SOA whose names are domain
// names and at least one NS, its record sets are sound, and its TTLs are in
// order. Errors are of kind Invalid and name the field.
func (z *Zone) Check() error {
	bad := func(field, why, hint string) error {
		return E(Invalid, "check zone", z.Name.Text()).In(field).Because(why).Hint(hint)
	}
	for field, s := range map[string]string{"soa.mname": z.SOA.MName, "soa.rname": z.SOA.RName} {
		if _, err := ParseName(s); err != nil {
			return bad(field, "it is no domain name", "a zone has exactly one SOA record")
		}
	}
	if _, ok := FindRRset(z.Apex, dns.TypeNS); !ok {
		return bad("name_servers", "there is no NS record at the apex", "a zone has at least one name server")
	}
	for _, s := range z.Apex {
		if s.Type == dns.TypeSOA || s.Type == dns.TypeCNAME {
			return bad("apex", "there is a "+TypeName(s.Type)+" beside the SOA", "take it out")
		}
		if err := s.Check(); err != nil {
			return err
		}
	}
	d := z.WithDefaults()
	if d.MinTTL > d.MaxTTL || d.TTL < d.MinTTL || d.TTL > d.MaxTTL || d.MaxTTL > MaxTTL || d.NegativeTTL > MaxTTL {
		return bad("ttl", "the TTLs are not min_ttl <= ttl <= max_ttl <= 2147483647", "give three that are")
	}
	return nil
}
