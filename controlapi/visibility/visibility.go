// Package visibility answers one question: which name servers show a zone as it is since a
// revision? It asks them for the zone's serial.
package visibility

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"

	"signpost/controlapi/facts"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// How long and how often name servers are asked.
const (
	askTimeout  = time.Second
	leastPause  = 5 * time.Millisecond
	mostPause   = 250 * time.Millisecond
	defaultPort = "53"
)

// What a name server was found to be.
const (
	Visible  = "visible" // it serves the zone as it is, or as it was since
	Behind   = "behind"  // it does not yet
	notAsked = "not asked"
)

// Server is a name server to be asked about a zone.
type Server struct {
	label   string // what the answer calls it
	address string // HOST:PORT; "" when it cannot be asked, and why
	why     string
}

// Question is what is asked of name servers: does the zone's serial have this
// value or a later one (RFC 1982)?
type Question struct {
	Zone     model.Name
	Base     uint32
	Revision int64 // of the last change of the zone's answers
	Serial   uint32
	Gone     bool // or: is the zone gone?
}

// About is the question whether a name's zone is served as it is now, and
// who is to be asked.
func (all Servers) About(tx *store.Tx, name model.Name) (Question, []Server, error) {
	z, err := tx.ZoneAbove(name)
	if err != nil {
		return Question{}, nil, err
	}
	rev, err := tx.ZoneRevision(z.Name)
	if err != nil {
		return Question{}, nil, err
	}
	servers := slices.Clone(all)
	if len(servers) == 0 {
		servers, err = ownServers(tx, z)
	}
	return Question{Zone: z.Name, Base: z.SerialBase, Revision: rev, Serial: z.Serial(rev)}, servers, err
}

// Servers is the name servers that are asked, whatever the zone; none: those of
// the zone's NS names that have addresses in our own data.
type Servers []Server

// Read reads name servers, each HOST:PORT. Errors are of kind Invalid.
func Read(list []string) (Servers, error) {
	var servers Servers
	var problems []error
	for _, a := range list {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			problems = append(problems, model.E(model.Invalid, "read name server", a).In("name_servers").Because("it is not HOST:PORT"))
		}
		servers = append(servers, Server{label: a, address: a})
	}
	return servers, errors.Join(problems...)
}

// ownServers is the zone's name servers with the addresses that our own data has
// for them; we ask no resolver.
func ownServers(tx *store.Tx, z *model.Zone) ([]Server, error) {
	var servers []Server
	for _, ns := range z.NS() {
		name, err := model.ParseName(ns)
		if err != nil {
			return nil, err
		}
		addrs, err := facts.AddressesOf(tx, name)
		if err != nil {
			return nil, err
		}
		if len(addrs) == 0 {
			servers = append(servers, Server{label: name.Text(), why: "our own data has no address for it"})
		}
		for _, a := range addrs {
			hp := net.JoinHostPort(a.String(), defaultPort)
			servers = append(servers, Server{label: name.Text() + " " + hp, address: hp})
		}
	}
	return servers, nil
}

// Ask asks all servers at once; with wait each again and again until it serves
// what is wanted or ctx ends.
func Ask(ctx context.Context, servers []Server, q Question, wait bool) []*pb.Visibility {
	out := make([]*pb.Visibility, len(servers))
	var wg sync.WaitGroup
	for i, sv := range servers {
		out[i] = &pb.Visibility{Server: sv.label, State: notAsked, Detail: sv.why}
		if sv.address == "" {
			continue
		}
		wg.Go(func() { askOne(ctx, sv.address, q, wait, out[i]) })
	}
	wg.Wait()
	return out
}

func askOne(ctx context.Context, address string, q Question, wait bool, v *pb.Visibility) {
	start := time.Now()
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		ok, detail := q.ask(ctx, address)
		if !ok && ctx.Err() != nil && v.State == Behind {
			return // it was not let answer: what it said before holds
		}
		v.Seconds = time.Since(start).Seconds()
		if v.State, v.Detail = Behind, detail; ok {
			v.State = Visible
		}
		if ok || !wait {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (q Question) ask(ctx context.Context, address string) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m := new(dns.Msg)
	m.SetQuestion(q.Zone.String(), dns.TypeSOA)
	m.RecursionDesired = false
	in, _, err := new(dns.Client).ExchangeContext(ctx, m, address)
	if err != nil {
		return false, "it did not answer"
	}
	for _, rr := range in.Answer {
		soa, ok := rr.(*dns.SOA)
		if !ok || model.NameOf(soa.Hdr.Name) != q.Zone {
			continue
		}
		if q.Gone {
			return false, "it still serves the zone"
		}
		// RFC 1982 section 3.2: the difference as a signed number.
		return int32(soa.Serial-q.Serial) >= 0, ""
	}
	if q.Gone {
		return in.Rcode != dns.RcodeServerFailure, ""
	}
	return false, "it answers " + dns.RcodeToString[in.Rcode] + " without the zone's SOA"
}
