package hosts

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"signpost/controlapi/call"
	"signpost/controlapi/facts"
	"signpost/controlapi/message"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// MaxLooked bounds how many hosts one call looks at when it seeks an address: the
// answer may then have fewer hosts than asked for and still say where to go on.
const MaxLooked = 10000

// hostCursor is where a list of hosts over zones goes on: after this host of this
// zone.
type hostCursor struct{ zone, host model.Name }

func (c hostCursor) token(l call.List) string { return l.Token(string(c.zone) + " " + string(c.host)) }

func readHostCursor(l call.List, token string) (hostCursor, error) {
	text, err := l.Read(token)
	if err != nil || text == "" {
		return hostCursor{}, err
	}
	zone, host, _ := strings.Cut(text, " ")
	z, err1 := model.ParseName(zone)
	h, err2 := model.ParseName(host)
	if err1 != nil || err2 != nil || !h.Below(z) {
		return hostCursor{}, call.BadToken(token)
	}
	return hostCursor{z, h}, nil
}

// ListHosts shows hosts, zone by zone.
func (s *Service) ListHosts(ctx context.Context, in *pb.ListHostsRequest) (out *pb.ListHostsResponse, err error) {
	c, err := s.Authorize(ctx, access.HostList, call.At(in.GetZone()), in)
	if err != nil {
		return nil, err
	}
	defer c.Done(&err)
	query := call.ListOf("hosts", in.GetZone(), in.GetAddress(), strconv.FormatBool(in.GetMine()))
	from, err := readHostCursor(query, in.GetPageToken())
	if err != nil {
		return nil, err
	}
	match, err := addressFilter(in.GetAddress())
	if err != nil {
		return nil, err
	}
	err = c.Read(func(tx *store.Tx) error {
		pages, err := hostPages(c, tx, in.GetMine())
		if err != nil {
			return err
		}
		if err := knowsZone(c, tx, pages); err != nil {
			return err
		}
		zones, err := zonesFrom(tx, in.GetZone(), from.zone)
		if err != nil {
			return err
		}
		found, more, err := listHosts(pages, zones, from, call.PageSize(in.GetPageSize()), match)
		if err != nil {
			return err
		}
		out = &pb.ListHostsResponse{}
		if more != (hostCursor{}) {
			out.NextPageToken = more.token(query)
		}
		for _, f := range found {
			used, err := tx.HostUses(f.zone, f.hosts)
			if err != nil {
				return err
			}
			policy, err := tx.Glance(f.zone)
			if err != nil {
				return err
			}
			for i, h := range f.hosts {
				if h.Host, err = facts.Standing(tx, h.Host, s.Now()); err != nil {
					return err
				}
				m := message.Leased(message.Host(f.zone, h), policy, h.Host)
				m.SecretUseTime = message.Time(used[i])
				if c.Who.Narrowed(access.EndpointRead, access.Resource{Name: h.Name, Zone: f.zone.Name, Host: h.Name}) == nil {
					m.EndpointAddresses = message.EndpointAddresses(h.Data.Host) // what is listed they own, edit or administer
				}
				out.Hosts = append(out.Hosts, m)
			}
		}
		return nil
	})
	return out, err
}

// knowsZone refuses those to whom there is no such zone: who may not read it and may read
// no host in it.
func knowsZone(c *call.Call, tx *store.Tx, of pages) error {
	if c.Resource.Name == "" {
		return nil
	}
	owner := c.Who
	owner.Narrow = nil
	refused := call.Decide(tx, owner, access.ZoneRead, c.Resource, c.Desk.Now())
	if refused == nil {
		return nil
	}
	z, err := tx.Zone(c.Resource.Name)
	if err == nil {
		var some []store.Named
		if some, err = of(z, "", 1); len(some) > 0 {
			return nil
		}
	}
	if err != nil && model.KindOf(err) != model.NotFound {
		return err
	}
	return refused
}

// pages gives hosts of a zone in key order, at most size, starting after one; fewer only
// at the end. Of some there may be less than makes a host.
type pages func(z *model.Zone, after model.Name, size int) ([]store.Named, error)

// hostPages is the hosts that the caller may read: all of zones that they administer, of
// others those that they own or edit; only mine: these alone. What a token leaves out has
// no data.
func hostPages(c *call.Call, tx *store.Tx, mineOnly bool) (pages, error) {
	if !mineOnly && (c.Who.Kind != access.User || c.Who.Operator && c.Who.Narrow == nil) {
		return tx.Hosts, nil
	}
	owner := c.Who
	owner.Narrow = nil
	type zone struct {
		name        model.Name
		incarnation uint64
	}
	mine := map[zone][]model.Name{}
	names := []string{c.Who.Name()}
	for _, g := range c.Who.Groups {
		names = append(names, string(g))
	}
	for _, who := range names {
		held, err := tx.Holdings(who)
		if err != nil {
			return nil, err
		}
		for _, h := range held {
			in := zone{h.Zone, h.Incarnation}
			mine[in] = append(mine[in], h.Host)
		}
	}
	for z, names := range mine {
		slices.SortFunc(names, store.OrderNames)
		mine[z] = slices.Compact(names)
	}
	of := func(z *model.Zone, after model.Name, size int) ([]store.Named, error) {
		if !mineOnly && call.Decide(tx, owner, access.ZoneExport, access.Resource{Name: z.Name}, c.Desk.Now()) == nil {
			return tx.Hosts(z, after, size)
		}
		var out []store.Named
		for _, name := range mine[zone{z.Name, z.Incarnation}] {
			if after != "" && store.OrderNames(name, after) <= 0 {
				continue
			}
			path, err := tx.Path(z, name)
			if err != nil {
				return nil, err
			}
			h := path[0]
			if h.Host, err = facts.Standing(tx, h.Host, c.Desk.Now()); err != nil {
				return nil, err
			}
			if h.Host != nil && !owner.Holds(h.Host) {
				continue // what gave it to them has ended
			}
			if out = append(out, h); len(out) == size {
				break
			}
		}
		return out, nil
	}
	return func(z *model.Zone, after model.Name, size int) ([]store.Named, error) {
		page, err := of(z, after, size)
		for i, h := range page {
			if c.Who.Narrowed(access.HostRead, access.Resource{Name: h.Name, Zone: z.Name, Host: h.Name}) != nil {
				page[i].Data = nil
			}
		}
		return page, err
	}, nil
}

// hostsFound is hosts of a zone, with all that makes them one.
type hostsFound struct {
	zone  *model.Zone
	hosts []store.Named
}

// listHosts is one page, and after which host there is more; the zero cursor at the end.
func listHosts(of pages, zones []*model.Zone, from hostCursor, size int, match func(*model.Host) bool) (found []hostsFound, last hostCursor, err error) {
	looked, listed := 0, 0
	var shown hostCursor
	for _, z := range zones {
		after := model.Name("")
		if z.Name == from.zone {
			after = from.host
		}
		found = append(found, hostsFound{zone: z})
		here := &found[len(found)-1]
		for {
			page, err := of(z, after, size)
			if err != nil {
				return nil, hostCursor{}, err
			}
			for _, h := range page {
				switch {
				case listed == size: // whose token is narrowed learns no name beyond what it may see
					return found, shown, nil
				case looked == MaxLooked:
					return found, last, nil
				}
				looked++
				last = hostCursor{z.Name, h.Name}
				if h.Data != nil && h.Data.Host != nil && h.Host != nil && match(h.Data.Host) {
					here.hosts = append(here.hosts, h)
					listed, shown = listed+1, last
				}
			}
			if len(page) < size {
				break
			}
			after = page[len(page)-1].Name
		}
	}
	return found, hostCursor{}, nil
}

// zonesFrom is the zones to be listed: the one that is named, or all from one on.
func zonesFrom(tx *store.Tx, named string, from model.Name) ([]*model.Zone, error) {
	if named != "" {
		name, err := facts.ParseName("zone", named)
		if err != nil {
			return nil, err
		}
		z, err := tx.Zone(name)
		if err != nil {
			return nil, err
		}
		return []*model.Zone{z}, nil
	}
	zones, err := tx.Zones(from, 0)
	if err != nil || from == "" {
		return zones, err
	}
	first, err := tx.Zone(from)
	switch {
	case err == nil:
		return append([]*model.Zone{first}, zones...), nil
	case model.KindOf(err) == model.NotFound:
		return zones, nil
	}
	return nil, err
}

// addressFilter reads an address or a prefix; "" lets every host pass.
func addressFilter(text string) (func(*model.Host) bool, error) {
	if text == "" {
		return func(*model.Host) bool { return true }, nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, model.E(model.Invalid, "list hosts", "").In("address").Because("\"" + text + "\" is no address or prefix").Hint("give one such as 192.0.2.0/24")
		}
		prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
	}
	return func(h *model.Host) bool {
		for _, a := range h.AllAddresses() {
			if prefix.Contains(a) {
				return true
			}
		}
		return false
	}, nil
}
