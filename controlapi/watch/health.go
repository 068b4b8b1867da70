package watch

import (
	"context"
	"errors"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	stand "signpost/internal/standing"
	"signpost/internal/store"
	"signpost/internal/zone"
	pb "signpost/proto/signpost/v1"
)

// The bounds of what one revision may have come to stand otherwise.
const (
	mostStandings = 4096  // endpoints that are told of
	mostConcerned = 10000 // hosts that are looked at
	// mostTold is octets of what is told of one revision: clients of gRPC take 4 MiB.
	mostTold = 3 << 20
)

// touched is of what the endpoints may stand otherwise since a revision.
type touched struct {
	hosts    map[store.HostAt]bool
	sites    map[string]bool // on which operators have another word
	checkers map[string]bool // that are registered anew, or no more
	time     time.Time       // zero: not known
}

// movers are the actions on a host that endpoints of it, there before and after, may
// stand otherwise for.
var movers = []access.Action{
	access.SetAddresses, access.EndpointSet, access.EndpointRemove, access.EndpointSetAddresses, access.EndpointWord, access.EndpointDrain,
	access.EndpointAuto, access.EndpointPassOver, access.HostWord, access.PolicySet, access.CheckSet, access.CheckRemove,
	access.HostBlock, access.HostDisable,
}

func newTouched(n store.News) touched {
	t := touched{hosts: map[store.HostAt]bool{}, sites: map[string]bool{}, checkers: map[string]bool{}}
	for _, r := range n.Records {
		t.time = r.Time
		switch a := access.Action(r.Action); {
		case a == access.SiteWord:
			t.sites[r.Detail] = true
		case slices.Contains(movers, a):
			t.hosts[store.HostAt{Zone: r.Zone, Name: r.Name}] = true
		}
	}
	for _, k := range n.Said {
		if k.Kind == model.CheckerKey {
			t.checkers[k.Site] = true
		} else {
			t.hosts[store.HostAt{Zone: k.Zone, Name: k.Name}] = true
		}
	}
	return t
}

// everywhere reports whether hosts are concerned that are not named.
func (t *touched) everywhere() bool { return len(t.sites)+len(t.checkers) > 0 }

// concerns reports whether endpoints of a host may stand otherwise for a site's word or a
// checker.
func (t *touched) concerns(h *model.Host) bool {
	for site := range t.checkers {
		if facts.Judges(h, site) {
			return true
		}
	}
	return slices.ContainsFunc(h.Endpoints, func(e model.Endpoint) bool { return t.sites[e.Site] })
}

// host reports whether what becomes of a host is wanted.
func (w *wanted) host(at store.HostAt) bool {
	return (w.zone == "" || w.zone == at.Zone) && (w.name == "" || at.Name.In(w.name))
}

// isMany reports whether it is that very many endpoints may stand otherwise.
func (c *changed) isMany() bool { return c.kind == kindHealth && c.record.Name == "" }

var errMany = errors.New("they are too many")

// standOtherwise is which endpoints of the hosts that are wanted stand otherwise since a
// revision; nil: of all. Errors: Unavailable, and those of ctx; what can never be read is left out.
func (s *Service) standOtherwise(ctx context.Context, b *batch, wanted func(store.HostAt) bool) ([]*changed, error) {
	t, many := &b.touched, false
	var hosts []store.HostAt
	for h := range t.hosts {
		if wanted == nil || wanted(h) {
			hosts = append(hosts, h)
		}
	}
	var err error
	if t.everywhere() {
		hosts, err = s.concerned(ctx, b, hosts)
		many = errors.Is(err, errMany)
	}
	if len(hosts) == 0 && !many {
		return nil, nil
	}
	slices.SortFunc(hosts, func(a, b store.HostAt) int { return store.OrderNames(a.Name, b.Name) })
	var out []*changed
	if err == nil || many {
		out, err = s.compareStandings(ctx, b, hosts)
	}
	switch {
	case err == nil:
	case ctx.Err() != nil || model.KindOf(err) == model.Unavailable:
		return nil, err
	default:
		s.Log.Warn("it cannot be shown how endpoints stand", "revision", b.rev, "error", err)
		many = true
	}
	told := fitting(out)
	if many = many || told < len(out); many {
		ev := &pb.Event{Kind: kindHealth, What: wasChanged, Time: message.Time(t.time)}
		out = append(out[:told], &changed{record: &model.AuditRecord{}, kind: kindHealth, what: wasChanged, event: ev})
	}
	return out, nil
}

// fitting is how many of these one message has room for.
func fitting(all []*changed) int {
	size := 0
	for n, c := range all {
		if size += proto.Size(c.event); n == mostStandings || size > mostTold {
			return n
		}
	}
	return len(all)
}

// concerned adds the hosts that a site's word or a checker concerns. Errors: errMany, with
// hosts as they were, when that would cost too much.
func (s *Service) concerned(ctx context.Context, b *batch, hosts []store.HostAt) ([]store.HostAt, error) {
	named, all := b.touched.hosts, hosts
	there, err := s.Store.ReadPast(ctx, b.rev, func(tx *store.Tx) error {
		zones, err := tx.Zones("", 0)
		if err != nil {
			return err
		}
		for _, z := range zones {
			for n, err := range tx.EachName(z, "") {
				if err != nil {
					return err
				}
				at := store.HostAt{Zone: z.Name, Name: n.Name}
				if h := n.Data.Host; h == nil || named[at] || !b.touched.concerns(h) {
					continue
				}
				if all = append(all, at); len(all) > mostConcerned {
					return errMany
				}
			}
		}
		return nil
	})
	if !there || errors.Is(err, errMany) {
		return hosts, errMany
	}
	return all, err
}

// stood is how a host's endpoints stand at one revision.
type stood struct {
	host  store.Named
	stand zone.Choice
	said  *zone.Said
}

func (s *Service) standings(ctx context.Context, rev int64, hosts []store.HostAt) (map[store.HostAt]stood, error) {
	out := map[store.HostAt]stood{}
	err := s.Store.ReadAt(ctx, rev, func(tx *store.Tx) error {
		for _, at := range hosts {
			z, h, err := facts.FindHost(tx, at.Name, s.Now())
			if err == nil && z.Name == at.Zone {
				var choice zone.Choice
				var said *zone.Said
				choice, said, err = stand.Choose(tx, z, at.Name, h.Data.Host)
				out[at] = stood{h, choice, said}
			}
			if err != nil && model.KindOf(err) != model.NotFound {
				return err
			}
		}
		return nil
	})
	return out, err
}

// compareStandings is the endpoints of hosts that stand otherwise at a revision than before
// it.
func (s *Service) compareStandings(ctx context.Context, b *batch, hosts []store.HostAt) ([]*changed, error) {
	now, err := s.standings(ctx, b.rev, hosts)
	if err != nil {
		return nil, err
	}
	before, err := s.standings(ctx, b.rev-1, hosts)
	if err != nil {
		return nil, err
	}
	var out []*changed
	for _, at := range hosts {
		n, ok := now[at]
		o, had := before[at]
		if !ok || !had {
			continue
		}
		for i := range n.stand.Endpoints {
			e := &n.stand.Endpoints[i]
			j := slices.IndexFunc(o.stand.Endpoints, func(s zone.Standing) bool { return s.ID == e.ID })
			if j < 0 {
				continue
			}
			m := &pb.EndpointChange{
				Endpoint: e.ID, Site: n.host.Data.Host.Endpoints[i].Site, Before: o.message(j), After: n.message(i),
				Votes: message.Votes(n.host.Data.Host, &n.host.Data.Host.Endpoints[i], n.said), Word: message.Word(e.Word),
			}
			if m.Before.State == m.After.State && m.Before.Answered == m.After.Answered {
				continue
			}
			when := b.touched.time
			for _, v := range n.said.Votes {
				if v.Endpoint == e.ID && b.touched.time.IsZero() && v.Time.After(when) {
					when = v.Time
				}
			}
			out = append(out, &changed{
				record: &model.AuditRecord{Revision: b.rev, Zone: at.Zone, Name: at.Name, Owner: n.host.Host.Owner}, kind: kindHealth, what: wasChanged,
				event: &pb.Event{
					Kind: kindHealth, What: wasChanged, Zone: at.Zone.Text(), Fqdn: at.Name.Text(), Time: timestamppb.New(when),
					Now: &pb.Event_EndpointChange{EndpointChange: m},
				},
			})
		}
	}
	return out, nil
}

func (s *stood) message(i int) *pb.EndpointStanding {
	e := &s.stand.Endpoints[i]
	m := &pb.EndpointStanding{State: message.State(e), Why: message.Why(s.host.Data.Host, e), Answered: e.Answered && !s.host.Data.Withdrawn}
	if why := facts.DescribeWithdrawal(s.host.Host); e.Answered && why != "" {
		m.Why = "the host is " + why
	}
	return m
}
