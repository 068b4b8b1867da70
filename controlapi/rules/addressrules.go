package rules

import (
	"net/netip"
	"slices"
	"strconv"

	"signpost/controlapi/call"
	"signpost/internal/model"
)

// AddressRules is which addresses hosts of a zone may have, and names that belong to one:
//
//	address                                        allowed
//	unspecified, multicast, broadcast              never
//	loopback, link-local                           when the zone has local_addresses
//	private (RFC 1918, RFC 6598, RFC 4193)         unless the policy has no private_addresses
//	any other                                      always
type AddressRules struct{ Local, Private bool }

// AddressRulesOf is those of a zone, as far as they matter for some addresses: what is not
// looked at is not compared at the commit either.
func AddressRulesOf(p *call.Plan, z *model.Zone, addrs []netip.Addr) (AddressRules, error) {
	r := AddressRules{Local: z.LocalAddresses, Private: true}
	if !slices.ContainsFunc(addrs, leadsToPrivate) {
		return r, nil
	}
	policy, err := p.Policy(z)
	if err == nil {
		r.Private = !policy.NoPrivate
	}
	return r, err
}

// CheckAddresses refuses addresses that the zone does not allow for its hosts.
func CheckAddresses(p *call.Plan, z *model.Zone, field string, addrs []netip.Addr) error {
	r, err := AddressRulesOf(p, z, addrs)
	if err != nil {
		return err
	}
	return r.Check(field, addrs)
}

// Check refuses addresses that are not allowed, and too many. Errors are of kind Invalid
// and name the one at fault.
func (r AddressRules) Check(field string, addrs []netip.Addr) error {
	for i, a := range addrs {
		if why := r.Unfit(a); why != "" {
			return badAddress(field, i, a.String(), why)
		}
	}
	if len(addrs) > MaxAddresses {
		return model.E(model.Invalid, "set addresses", "").In(field).Because("there are more than " + strconv.Itoa(MaxAddresses))
	}
	return nil
}

func leadsToPrivate(a netip.Addr) bool {
	within, ok := translated(a)
	return model.IsPrivate(a) || ok && model.IsPrivate(within)
}

// Unfit is why an address is not allowed; "" when it is. An IPv6 address that is translated
// to an IPv4 one, or was meant to be, is as that.
func (r AddressRules) Unfit(a netip.Addr) string {
	if within, ok := translated(a); ok {
		if why := r.Unfit(within); why != "" {
			return "it leads to " + within.String() + ": " + why
		}
		return ""
	}
	switch {
	case a.IsUnspecified():
		return "it is the unspecified address"
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "it is a multicast or broadcast address"
	case (a.IsLoopback() || a.IsLinkLocalUnicast()) && !r.Local:
		return "it is a loopback or link-local address, which the zone does not allow"
	case model.IsPrivate(a) && !r.Private:
		return "it is a private address, which the zone does not allow"
	}
	return ""
}
