package rules

import (
	"net/netip"
	"slices"

	"signpost/internal/model"
)

// families is a request that sets addresses of families.
type families interface {
	GetFqdn() string
	GetAddresses() []string
	GetClearIpv4() bool
	GetClearIpv6() bool
}

// Mentioned is the addresses that a request gives. Errors are of kind Invalid.
func Mentioned(in families) ([]netip.Addr, error) {
	addrs, err := ParseAddresses("addresses", in.GetAddresses())
	if err != nil {
		return nil, err
	}
	bad := func(field, why string) ([]netip.Addr, error) {
		return nil, model.E(model.Invalid, "set addresses of", in.GetFqdn()).In(field).Because(why)
	}
	switch {
	case in.GetClearIpv4() && len(Family(addrs, true)) > 0:
		return bad("clear_ipv4", "there is an IPv4 address in addresses, too")
	case in.GetClearIpv6() && len(Family(addrs, false)) > 0:
		return bad("clear_ipv6", "there is an IPv6 address in addresses, too")
	case len(addrs) == 0 && !in.GetClearIpv4() && !in.GetClearIpv6():
		return bad("addresses", "there is none, and no family to clear")
	}
	return addrs, nil
}

// ReplaceFamilies is old with the families that occur in given replaced, and those
// to be cleared taken out.
func ReplaceFamilies(old, given []netip.Addr, clear4, clear6 bool) []netip.Addr {
	v4, v6 := Family(given, true), Family(given, false)
	if len(v4) == 0 && !clear4 {
		v4 = Family(old, true)
	}
	if len(v6) == 0 && !clear6 {
		v6 = Family(old, false)
	}
	return model.NormalizeAddresses(slices.Concat(v4, v6))
}

// Family is the IPv4 addresses of these, or the others.
func Family(addrs []netip.Addr, v4 bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if a.Is4() == v4 {
			out = append(out, a)
		}
	}
	return out
}
