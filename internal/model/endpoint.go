package model

import (
	"net/netip"
	"time"
)

// MainEndpoint is the id of the endpoint that holds a host's plain addresses.
const MainEndpoint = "main"

// Endpoint is one instance of a host.
type Endpoint struct {
	ID        string
	Site      string       // that it is on; "": it is not said
	Addresses []netip.Addr // sorted, without duplicates; never v4-mapped
	Priority  uint32       // lower first, at most MostPriority
	// Weight is its share with PolicyWeighted, at most MostWeight; 0 stands for
	// DefaultWeight, and NoWeight is the weight 0: answered only when all have it.
	Weight int32
	// Generation is new whenever the endpoint is created or its addresses or check
	// change; never used twice for one host. What is said of another one does not count.
	Generation uint64
}

// Bounds and defaults of endpoints.
const (
	DefaultWeight = 1
	NoWeight      = -1
	MostWeight    = 65535
	MostPriority  = 65535
)

// PolicyKind is a way of choosing among the endpoints that are up.
type PolicyKind int

// The ways of choosing.
const (
	PolicyAll      PolicyKind = iota // all that are up
	PolicyFailover                   // those of them with the lowest priority number
	PolicyWeighted                   // some of them at random, by weight
)

// Policy is how a host's answers are chosen. The zero Policy is that of a host of which
// nothing was said.
type Policy struct {
	Kind PolicyKind
	// MinHealthy is of how many endpoints at least must be up that one of them is
	// believed to be down; 0: 1.
	MinHealthy uint32
	// Fallback is answered when fewer are up; none: all that no operator took away.
	Fallback []netip.Addr
	// ManualFailback keeps what took over until an operator says otherwise; with
	// PolicyFailover.
	ManualFailback bool
	// MaxAnswers is how many endpoints are answered with PolicyWeighted; 0: 1.
	MaxAnswers uint32
	// SuspectTTL bounds the TTL while an endpoint that is answered is suspect, in
	// seconds; 0: DefaultSuspectTTL.
	SuspectTTL uint32
}

// Defaults of a host with endpoints, in seconds.
const (
	DefaultSuspectTTL = 5
	DefaultCheckedTTL = 30 // of a host with a check and no TTL of its own, at most
)

// Host is what DNS needs of a host.
type Host struct {
	TTL       uint32 // seconds; 0: the zone's
	Wildcard  bool
	Endpoints []Endpoint // by id
	Policy    Policy
	// Checked is whether there is a check; CheckSites is those whose checkers judge then,
	// none: all.
	Checked    bool
	CheckSites []string
}

// Share is the weight of the endpoint with what stands for the default and for 0 replaced.
func (e *Endpoint) Share() uint64 {
	switch {
	case e.Weight == 0:
		return DefaultWeight
	case e.Weight < 0:
		return 0
	}
	return uint64(e.Weight)
}

// Addresses is the addresses of the endpoint main, none if it is not there.
func (h *Host) Addresses() []netip.Addr {
	if e := h.Endpoint(MainEndpoint); e != nil {
		return e.Addresses
	}
	return nil
}

// Endpoint gives the endpoint with an id, nil if it is not there.
func (h *Host) Endpoint(id string) *Endpoint {
	if h == nil {
		return nil
	}
	for i := range h.Endpoints {
		if h.Endpoints[i].ID == id {
			return &h.Endpoints[i]
		}
	}
	return nil
}

// EndpointSecret is what is kept of the secret of an endpoint.
type EndpointSecret struct {
	ID         string // of the endpoint
	Hash       []byte // SHA-256 of the secret
	CreateTime time.Time
}
