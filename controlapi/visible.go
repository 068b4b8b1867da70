package controlapi

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// How long and how often name servers are asked.
const (
	mostWait    = 10 * time.Second
	askTimeout  = time.Second
	leastPause  = 5 * time.Millisecond
	mostPause   = 250 * time.Millisecond
	visible     = "visible"
	behind      = "behind"
	notAsked    = "not asked"
	defaultPort = "53"
)

// server is a name server to be asked about a zone.
type server struct {
	label   string // what the answer calls it
	address string // HOST:PORT; "" when it cannot be asked, and why
	why     string
}

// await fills in who serves the change, when the caller wants to wait for that. A
// change that wrote nothing that DNS shows is not waited for.
func (c *call) await(p *plan, ch *pb.Change) {
	if !c.caller.WaitVisible || !ch.Changed {
		return
	}
	wait := c.caller.WaitTimeout
	if wait <= 0 || wait > mostWait {
		wait = mostWait
	}
	ctx, cancel := context.WithTimeout(c.ctx, wait)
	defer cancel()
	asking, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(c.s.stopping, stop)()
	var q question
	var servers []server
	err := c.s.store.Read(ctx, func(tx *store.Tx) error {
		var err error
		switch {
		case p != nil && p.gone:
			q, servers, err = question{zone: p.zone.Name, gone: true}, c.s.configured(), nil
			return err
		case p != nil && p.zone != nil:
			q, servers, err = c.s.questionAbout(tx, p.zone.Name)
		default:
			q, servers, err = c.s.questionAbout(tx, c.resource.Name)
		}
		return err
	})
	if err != nil || !q.gone && q.revision < ch.Revision {
		return // the zone's answers did not change, or cannot be known: the change is made all the same
	}
	q.serial = q.base + uint32(ch.Revision)
	ch.Visibility = askAll(asking, servers, q, true)
}

// question is what is asked of name servers: does the zone's serial have this
// value or a later one (RFC 1982)?
type question struct {
	zone     model.Name
	base     uint32
	revision int64 // of the last change of the zone's answers
	serial   uint32
	gone     bool // or: is the zone gone?
}

// questionAbout is the question whether a name's zone is served as it is now, and
// who is to be asked.
func (s *Service) questionAbout(tx *store.Tx, name model.Name) (question, []server, error) {
	z, err := tx.ZoneAbove(name)
	if err != nil {
		return question{}, nil, err
	}
	rev, err := tx.ZoneRevision(z.Name)
	if err != nil {
		return question{}, nil, err
	}
	servers := s.configured()
	if len(servers) == 0 {
		servers, err = ownServers(tx, z)
	}
	return question{zone: z.Name, base: z.SerialBase, revision: rev, serial: z.Serial(rev)}, servers, err
}

func (s *Service) configured() []server {
	servers := make([]server, len(s.nameServers))
	for i, a := range s.nameServers {
		servers[i] = server{label: a, address: a}
	}
	return servers
}

func checkServers(list []string) error {
	var problems []error
	for _, a := range list {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			problems = append(problems, model.E(model.Invalid, "read name server", a).In("name_servers").Because("it is not HOST:PORT"))
		}
	}
	return errors.Join(problems...)
}

// ownServers is the zone's name servers with the addresses that our own data has
// for them; we ask no resolver.
func ownServers(tx *store.Tx, z *model.Zone) ([]server, error) {
	var servers []server
	for _, ns := range z.NS() {
		name, err := model.ParseName(ns)
		if err != nil {
			return nil, err
		}
		addrs, err := addressesOf(tx, name)
		if err != nil {
			return nil, err
		}
		if len(addrs) == 0 {
			servers = append(servers, server{label: name.Text(), why: "our own data has no address for it"})
		}
		for _, a := range addrs {
			hp := net.JoinHostPort(a.String(), defaultPort)
			servers = append(servers, server{label: name.Text() + " " + hp, address: hp})
		}
	}
	return servers, nil
}

// addressesOf is what our own data says of a name's addresses.
func addressesOf(tx *store.Tx, name model.Name) ([]netip.Addr, error) {
	z, path, err := findPath(tx, name)
	switch {
	case err != nil && model.KindOf(err) == model.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	case len(path) == 0:
		return addressesIn(z.Apex), nil
	}
	return dataAddresses(path[0].Data), nil
}

func addressesIn(sets []model.RRset) []netip.Addr {
	var addrs []netip.Addr
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
		set, _ := model.FindRRset(sets, t)
		for _, d := range set.Data {
			if a, ok := netip.AddrFromSlice(d); ok {
				addrs = append(addrs, a)
			}
		}
	}
	return addrs
}

// askAll asks all servers at once; with wait each again and again until it serves
// what is wanted or ctx ends.
func askAll(ctx context.Context, servers []server, q question, wait bool) []*pb.Visibility {
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

func askOne(ctx context.Context, address string, q question, wait bool, v *pb.Visibility) {
	start := time.Now()
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		ok, detail := q.ask(ctx, address)
		if !ok && ctx.Err() != nil && v.State == behind {
			return // it was not let answer: what it said before holds
		}
		v.Seconds = time.Since(start).Seconds()
		if v.State, v.Detail = behind, detail; ok {
			v.State = visible
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

func (q question) ask(ctx context.Context, address string) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m := new(dns.Msg)
	m.SetQuestion(q.zone.String(), dns.TypeSOA)
	m.RecursionDesired = false
	in, _, err := new(dns.Client).ExchangeContext(ctx, m, address)
	if err != nil {
		return false, "it did not answer"
	}
	for _, rr := range in.Answer {
		soa, ok := rr.(*dns.SOA)
		if !ok || model.NameOf(soa.Hdr.Name) != q.zone {
			continue
		}
		if q.gone {
			return false, "it still serves the zone"
		}
		// RFC 1982 section 3.2: the difference as a signed number.
		return int32(soa.Serial-q.serial) >= 0, ""
	}
	if q.gone {
		return in.Rcode != dns.RcodeServerFailure, ""
	}
	return false, "it answers " + dns.RcodeToString[in.Rcode] + " without the zone's SOA"
}
