package controlapi

import (
	"context"
	"net/netip"
	"strings"

	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// maxLooked bounds how many hosts one call looks at when it seeks an address: the
// answer may then have fewer hosts than asked for and still say where to go on.
const maxLooked = 10000

// hostCursor is where a list of hosts over zones goes on: after this host of this
// zone.
type hostCursor struct{ zone, host model.Name }

func (c hostCursor) token() string { return pageToken(string(c.zone) + " " + string(c.host)) }

func readHostCursor(token string) (hostCursor, error) {
	text, err := readPageToken(token)
	if err != nil || text == "" {
		return hostCursor{}, err
	}
	zone, host, _ := strings.Cut(text, " ")
	z, err1 := model.ParseName(zone)
	h, err2 := model.ParseName(host)
	if err1 != nil || err2 != nil || !h.Below(z) {
		return hostCursor{}, badToken(token)
	}
	return hostCursor{z, h}, nil
}

// ListHosts shows hosts, zone by zone.
func (s *Service) ListHosts(ctx context.Context, in *pb.ListHostsRequest) (out *pb.ListHostsResponse, err error) {
	c, err := s.authorize(ctx, access.HostList, at(in.GetZone()), in)
	if err != nil {
		return nil, err
	}
	defer c.done(&err)
	from, err := readHostCursor(in.GetPageToken())
	if err != nil {
		return nil, err
	}
	match, err := addressFilter(in.GetAddress())
	if err != nil {
		return nil, err
	}
	err = c.read(func(tx *store.Tx) error {
		zones, err := zonesFrom(tx, in.GetZone(), from.zone)
		if err != nil {
			return err
		}
		out, err = listHosts(tx, zones, from, pageSize(in.GetPageSize()), match)
		return err
	})
	return out, err
}

func listHosts(tx *store.Tx, zones []*model.Zone, from hostCursor, size int, match func(*model.Host) bool) (*pb.ListHostsResponse, error) {
	out := &pb.ListHostsResponse{}
	looked := 0
	var last hostCursor
	for _, z := range zones {
		after := model.Name("")
		if z.Name == from.zone {
			after = from.host
		}
		for {
			page, err := tx.Hosts(z, after, size)
			if err != nil {
				return nil, err
			}
			for _, h := range page {
				if len(out.Hosts) == size || looked == maxLooked {
					out.NextPageToken = last.token()
					return out, nil
				}
				looked++
				last = hostCursor{z.Name, h.Name}
				if h.Data != nil && h.Data.Host != nil && match(h.Data.Host) {
					out.Hosts = append(out.Hosts, hostMessage(z, h))
				}
			}
			if len(page) < size {
				break
			}
			after = page[len(page)-1].Name
		}
	}
	return out, nil
}

// zonesFrom is the zones to be listed: the one that is named, or all from one on.
func zonesFrom(tx *store.Tx, named string, from model.Name) ([]*model.Zone, error) {
	if named != "" {
		name, err := ownerName("zone", named)
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
		for _, a := range h.Addresses() {
			if prefix.Contains(a) {
				return true
			}
		}
		return false
	}, nil
}
