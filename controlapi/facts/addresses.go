package facts

import (
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
)

// AddressesOf is what our own data says of a name's addresses.
func AddressesOf(tx *store.Tx, name model.Name) ([]netip.Addr, error) {
	z, path, err := FindPath(tx, name)
	switch {
	case err != nil && model.KindOf(err) == model.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	case len(path) == 0:
		return AddressesIn(z.Apex), nil
	}
	return DataAddresses(path[0].Data), nil
}

// AddressesIn is the addresses in A and AAAA sets.
func AddressesIn(sets []model.RRset) []netip.Addr {
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

// DataAddresses is the addresses that a name may be answered with, a host's or records.
func DataAddresses(d *model.NameData) []netip.Addr {
	if d == nil || d.Withdrawn {
		return nil
	}
	return append(AddressesIn(d.RRsets), d.Host.AllAddresses()...)
}

// IsServer reports whether a name is that of one of a zone's name servers.
func IsServer(z *model.Zone, name model.Name) bool {
	return slices.ContainsFunc(z.NS(), func(ns string) bool { return model.NameOf(ns) == name })
}
