package controlapi

import (
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// addressRules is which addresses hosts of a zone may have, and names that belong to one:
//
//	address                                        allowed
//	unspecified, multicast, broadcast              never
//	loopback, link-local                           when the zone has local_addresses
//	private (RFC 1918, RFC 6598, RFC 4193)         unless the policy has no private_addresses
//	any other                                      always
type addressRules struct{ local, private bool }

// addressRules is those of a zone, as far as they matter for some addresses: what is not
// looked at is not compared at the commit either.
func (p *plan) addressRules(z *model.Zone, addrs []netip.Addr) (addressRules, error) {
	r := addressRules{local: z.LocalAddresses, private: true}
	if !slices.ContainsFunc(addrs, model.IsPrivate) {
		return r, nil
	}
	policy, err := p.Policy(z)
	if err == nil {
		r.private = !policy.NoPrivate
	}
	return r, err
}

// checkAddresses refuses addresses that the zone does not allow for its hosts.
func (p *plan) checkAddresses(z *model.Zone, field string, addrs []netip.Addr) error {
	r, err := p.addressRules(z, addrs)
	if err != nil {
		return err
	}
	return r.check(field, addrs)
}

// check refuses addresses that are not allowed, and too many. Errors are of kind Invalid
// and name the one at fault.
func (r addressRules) check(field string, addrs []netip.Addr) error {
	for i, a := range addrs {
		if why := r.unfit(a); why != "" {
			return badAddress(field, i, a.String(), why)
		}
	}
	if len(addrs) > maxAddresses {
		return model.E(model.Invalid, "set addresses", "").In(field).Because("there are more than " + strconv.Itoa(maxAddresses))
	}
	return nil
}

// hintsIn is the addresses that SVCB and HTTPS records hint at (RFC 9460 section 7.3).
func hintsIn(set model.RRset) (out []netip.Addr) {
	if set.Type != dns.TypeSVCB && set.Type != dns.TypeHTTPS {
		return nil
	}
	rrs, _ := set.RRs(".")
	for _, rr := range rrs {
		var values []dns.SVCBKeyValue
		switch rr := rr.(type) {
		case *dns.SVCB:
			values = rr.Value
		case *dns.HTTPS:
			values = rr.Value
		}
		for _, v := range values {
			var hint []net.IP
			switch v := v.(type) {
			case *dns.SVCBIPv4Hint:
				hint = v.Hint
			case *dns.SVCBIPv6Hint:
				hint = v.Hint
			}
			for _, ip := range hint {
				if a, ok := netip.AddrFromSlice(ip); ok {
					out = append(out, a)
				}
			}
		}
	}
	return out
}

// unfit is why an address is not allowed; "" when it is.
func (r addressRules) unfit(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "it is the unspecified address"
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "it is a multicast or broadcast address"
	case (a.IsLoopback() || a.IsLinkLocalUnicast()) && !r.local:
		return "it is a loopback or link-local address, which the zone does not allow"
	case model.IsPrivate(a) && !r.private:
		return "it is a private address, which the zone does not allow"
	}
	return ""
}
