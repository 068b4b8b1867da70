// Package reach answers one question: may a health check be sent to this address? A
// check is set by whoever owns a name; without this they could look around inside the
// operator's networks.
package reach

import (
	"net/netip"
	"sync"
)

// Rules is what an operator has said of addresses that health checks may go to. The zero
// Rules lets them go to every address but the special-purpose ones.
type Rules struct {
	// Allow is what may be tried although it is special or the operator's own. A prefix
	// opens only what is forbidden by a prefix that is no longer than itself, so that
	// 169.254.0.0/16 does not open 169.254.169.254 and 0.0.0.0/0 opens nothing.
	Allow []netip.Prefix
	// Own is the operator's own addresses.
	Own []netip.Prefix
}

// May reports whether an address may be tried, and if not, why.
//
//	longest allowed   longest forbidding prefix    may
//	any               none                         yes
//	none              some                         no
//	shorter           longer                       no
//	same or longer    some                         yes
//
// An IPv4-mapped address is the IPv4 address in it.
func (r Rules) May(a netip.Addr) (why string, may bool) {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" {
		return "no address, or one of a single link", false
	}
	forbidden := -1
	for _, s := range special() {
		if s.prefix.Contains(a) && s.prefix.Bits() > forbidden {
			forbidden, why = s.prefix.Bits(), s.name
		}
	}
	for _, p := range r.Own {
		if p.Contains(a) && p.Bits() >= forbidden {
			forbidden, why = p.Bits(), "an address of the operator"
		}
	}
	if forbidden < 0 {
		return "", true
	}
	for _, p := range r.Allow {
		if p.Contains(a) && p.Bits() >= forbidden {
			return "", true
		}
	}
	return why, false
}

type row struct {
	prefix netip.Prefix
	name   string
}

var special = sync.OnceValue(func() []row {
	rows := make([]row, len(table))
	for i, t := range table {
		rows[i] = row{netip.MustParsePrefix(t.prefix), t.name}
	}
	return rows
})

// table is the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890),
// whether globally reachable or not, since no endpoint lives there; then what
// else is not for hosts, and where clouds answer questions about a machine's secrets.
var table = []struct{ prefix, name string }{
	{"0.0.0.0/8", "this network"},
	{"0.0.0.0/32", "this host on this network"},
	{"10.0.0.0/8", "private use"},
	{"100.64.0.0/10", "shared address space"},
	{"127.0.0.0/8", "loopback"},
	{"169.254.0.0/16", "link-local"},
	{"172.16.0.0/12", "private use"},
	{"192.0.0.0/24", "IETF protocol assignments"},
	{"192.0.0.0/29", "IPv4 service continuity"},
	{"192.0.0.8/32", "IPv4 dummy address"},
	{"192.0.0.9/32", "port control protocol anycast"},
	{"192.0.0.10/32", "TURN anycast"},
	{"192.0.0.170/31", "NAT64/DNS64 discovery"},
	{"192.0.2.0/24", "documentation"},
	{"192.31.196.0/24", "AS112-v4"},
	{"192.52.193.0/24", "AMT"},
	{"192.88.99.0/24", "6to4 relay anycast, deprecated"},
	{"192.168.0.0/16", "private use"},
	{"192.175.48.0/24", "direct delegation AS112 service"},
	{"198.18.0.0/15", "benchmarking"},
	{"198.51.100.0/24", "documentation"},
	{"203.0.113.0/24", "documentation"},
	{"240.0.0.0/4", "reserved"},
	{"255.255.255.255/32", "limited broadcast"},

	{"::1/128", "loopback"},
	{"::/128", "unspecified"},
	{"64:ff9b::/96", "IPv4-IPv6 translation"},
	{"64:ff9b:1::/48", "IPv4-IPv6 translation"},
	{"100::/64", "discard-only"},
	{"100:0:0:1::/64", "dummy prefix"},
	{"2001::/23", "IETF protocol assignments"},
	{"2001::/32", "Teredo"},
	{"2001:1::1/128", "port control protocol anycast"},
	{"2001:1::2/128", "TURN anycast"},
	{"2001:1::3/128", "DNS-SD service registration anycast"},
	{"2001:2::/48", "benchmarking"},
	{"2001:3::/32", "AMT"},
	{"2001:4:112::/48", "AS112-v6"},
	{"2001:10::/28", "ORCHID, deprecated"},
	{"2001:20::/28", "ORCHIDv2"},
	{"2001:30::/28", "drone remote identification"},
	{"2001:db8::/32", "documentation"},
	{"2002::/16", "6to4"},
	{"2620:4f:8000::/48", "direct delegation AS112 service"},
	{"3fff::/20", "documentation"},
	{"5f00::/16", "segment routing SIDs"},
	{"fc00::/7", "unique local"},
	{"fe80::/10", "link-local unicast"},

	{"224.0.0.0/4", "multicast"},
	{"ff00::/8", "multicast"},
	// Only 2000::/3 is given out as global unicast (RFC 4291 section 2.4).
	{"::/3", "not global unicast"},
	{"4000::/2", "not global unicast"},
	{"8000::/1", "not global unicast"},

	{"169.254.169.254/32", "cloud metadata"},
	{"169.254.170.2/32", "cloud metadata (containers)"},
	{"100.100.100.200/32", "cloud metadata"},
	{"168.63.129.16/32", "cloud metadata"},
	{"192.0.0.192/32", "cloud metadata"},
	{"fd00:ec2::254/128", "cloud metadata"},
	{"fd20:ce::254/128", "cloud metadata"},
}
