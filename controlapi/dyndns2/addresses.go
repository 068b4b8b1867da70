package dyndns2

import (
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// preserve is the value that leaves a family as it is.
const preserve = "preserve"

// maxAddresses is how many addresses the service takes.
const maxAddresses = 16

// asked is what a request asks for. A family that it does not mention is left
// alone.
//
//	myip=A,B…        what is given replaces all of its family, either one
//	myipv4= myipv6=  the same for one family only; empty: that family is removed
//	ipv6=            as myipv6
//	preserve         in any of them: mentions nothing
//	none, or only an empty myip: the client's own address
//
// ADDRESS/LENGTH is the address, unless it is IPv6 with no bits after the length
// and the host has IPv6 addresses: then it is the new prefix of those.
//
// To remove, the families mentioned are what is to go, whatever the addresses.
type asked struct {
	remove     bool
	wrong      bool // something was given that is no address
	has4, has6 bool // the families mentioned
	plain      []netip.Addr
	prefixes   []netip.Prefix
	given      bool // any parameter before which the client's own address is not asked for
}

// readAddresses reads the address parameters; client is where the request came
// from.
func readAddresses(p params, client netip.Addr) asked {
	var a asked
	for name, family := range map[string]int{"myip": 0, "myipv4": 4, "myipv6": 6, "ipv6": 6} {
		value, there := p.value[name]
		switch {
		case !there:
		case p.broken[name]:
			a.wrong = true
		case strings.Trim(value, ", ") != "":
			a.given = true
			a.list(value, family)
		case family != 0:
			a.given = true
			a.has4, a.has6 = a.has4 || family == 4, a.has6 || family == 6
		}
	}
	if !a.given && !a.wrong {
		a.mention(client)
	}
	if len(a.plain)+len(a.prefixes) > maxAddresses {
		a.wrong = true
	}
	return a
}

func (a *asked) list(value string, family int) {
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		if item == "" || strings.EqualFold(item, preserve) {
			continue
		}
		addr, prefix, ok := readAddress(item)
		if !ok || family == 4 && !addr.Is4() || family == 6 && addr.Is4() {
			a.wrong = true
			continue
		}
		if prefix.IsValid() {
			a.has6 = true
			a.prefixes = append(a.prefixes, prefix)
			continue
		}
		a.mention(addr)
	}
}

func (a *asked) mention(addr netip.Addr) {
	if !addr.IsValid() {
		a.wrong = true
		return
	}
	a.has4, a.has6 = a.has4 || addr.Is4(), a.has6 || !addr.Is4()
	a.plain = append(a.plain, addr)
}

// readAddress reads ADDRESS or ADDRESS/LENGTH. prefix is valid when it can be one
// for other addresses. A zone (fe80::1%eth0) means nothing to others: not ok.
func readAddress(s string) (addr netip.Addr, prefix netip.Prefix, ok bool) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		return addr.Unmap(), prefix, err == nil && addr.Zone() == ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return addr, prefix, false
	}
	addr = p.Addr().Unmap()
	if addr.Is6() && !addr.IsUnspecified() && p.Masked() == p {
		prefix = p
	}
	return addr, prefix, true
}

// needsHost reports whether the host must be looked at before what is asked for can
// be said, or only to find out whether the caller may know that it is wrong.
func (a asked) needsHost() bool {
	return a.wrong || len(a.prefixes) > 0 && !a.remove || !a.mentionsAny()
}

func (a asked) mentionsAny() bool { return a.has4 || a.has6 }

// fill writes into a request what is asked for of a host with these addresses.
func (a asked) fill(in *pb.SetAddressesRequest, now []netip.Addr) {
	if a.remove {
		in.ClearIpv4, in.ClearIpv6 = a.has4, a.has6
		return
	}
	want := slices.Clone(a.plain)
	for _, p := range a.prefixes {
		want = append(want, renumber(now, p)...)
	}
	has4, has6 := false, false
	for _, w := range want {
		has4, has6 = has4 || w.Is4(), has6 || w.Is6()
		in.Addresses = append(in.Addresses, w.String())
	}
	in.ClearIpv4, in.ClearIpv6 = a.has4 && !has4, a.has6 && !has6
}

// renumber is the IPv6 addresses among now with another prefix; when there are none
// it is the prefix's own address.
func renumber(now []netip.Addr, p netip.Prefix) []netip.Addr {
	var out []netip.Addr
	for _, old := range now {
		if old.Is4() {
			continue
		}
		out = append(out, model.Combine(p.Addr(), p.Bits(), old))
	}
	if out == nil {
		return []netip.Addr{p.Addr()}
	}
	return out
}

// answer is what follows good and nochg: of a host with these addresses, those of
// the families mentioned, IPv4 first; all when none was. There is always something
// that looks like an address, because routers match on it: where all of a family
// are gone it is the address that says so.
func (a asked) answer(now []string) string {
	all := !a.mentionsAny()
	var v4, v6 []string
	for _, addr := range parseAll(now) {
		switch {
		case addr.Is4() && (a.has4 || all):
			v4 = append(v4, addr.String())
		case addr.Is6() && (a.has6 || all):
			v6 = append(v6, addr.String())
		}
	}
	switch found := append(v4, v6...); {
	case len(found) > 0:
		return strings.Join(found, ",")
	case a.has6 && !a.has4:
		return netip.IPv6Unspecified().String()
	}
	return netip.IPv4Unspecified().String()
}

// families is what follows deleted.
func (a asked) families() string {
	switch {
	case a.has4 && a.has6:
		return "A,AAAA"
	case a.has4:
		return "A"
	}
	return "AAAA"
}
