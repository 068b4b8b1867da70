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

// MainEndpoint is the id of the endpoint that holds a host's plain addresses.
const MainEndpoint = "main"

// Endpoint is one instance of a host.
type Endpoint struct {
	ID        string
	Addresses []netip.Addr // sorted, without duplicates; never v4-mapped
	// Generation is new whenever the endpoint is created or its addresses change;
	// never used twice for one host.
	Generation uint64
}

// Host is what DNS needs of a host.
type Host struct {
	TTL       uint32 // seconds; 0: the zone's
	Wildcard  bool
	Endpoints []Endpoint // by id
}

// Addresses is the addresses of the endpoint main, none if it is not there.
func (h *Host) Addresses() []netip.Addr {
	if h == nil {
		return nil
	}
	for _, e := range h.Endpoints {
		if e.ID == MainEndpoint {
			return e.Addresses
		}
	}
	return nil
}

// NameData is what DNS needs of one name: the value of its name key.
type NameData struct {
	RRsets []RRset // by type; at a host with addresses no A, AAAA, CNAME, NS, DNAME
	Host   *Host   // nil: no host has this name
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

// HostControl is what the control service keeps of a host and DNS does not need.
type HostControl struct {
	Owner      string // a principal: "ISSUER-ALIAS/SUB"
	Comment    string
	SecretHash []byte // SHA-256 of the host's secret; empty: none was made
	CreateTime time.Time
	// UpdateTime4 and UpdateTime6 say when the addresses of a family last changed.
	UpdateTime4, UpdateTime6 time.Time
	ModRevision              int64
}

// Token is a stored API credential, found by the SHA-256 of its secret.
type Token struct {
	ID          string // public, stable, for listing and revoking
	Admin       bool   // may do everything
	CreateTime  time.Time
	ModRevision int64
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
