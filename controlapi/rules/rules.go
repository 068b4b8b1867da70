// Package rules answers one question: which data may stand at a name? Its functions refuse
// the rest, with errors that name the field.
package rules

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// MaxAddresses is how many addresses a host may have.
const MaxAddresses = 16

// Conflict says why what is stored of a name below an apex cannot stand together;
// "" when it can. The first row that matches:
//
//	there is                 and also                           refused
//	a host with addresses    CNAME, NS or DNAME                 yes
//	CNAME                    any other set, or addresses        yes
//	CNAME, DNAME             more than one record of it         yes
//	DNAME                    NS                                 yes
//	DS                       no NS                              yes
//	NS                       the name is a wildcard             yes
//	anything else                                               no
func Conflict(name model.Name, d *model.NameData) string {
	has := func(t uint16) bool { _, ok := model.FindRRset(d.RRsets, t); return ok }
	several := func(t uint16) bool { s, _ := model.FindRRset(d.RRsets, t); return len(s.Data) > 1 }
	addressed := len(d.Host.AllAddresses()) > 0
	switch {
	case addressed && (has(dns.TypeCNAME) || has(dns.TypeNS) || has(dns.TypeDNAME)):
		return "a host with addresses has no CNAME, NS or DNAME"
	case has(dns.TypeCNAME) && model.BesideCNAME(d.RRsets):
		return "a CNAME stands alone at its name"
	case several(dns.TypeCNAME) || several(dns.TypeDNAME):
		return "a name has at most one CNAME and one DNAME"
	case has(dns.TypeDNAME) && has(dns.TypeNS):
		return "a DNAME and a delegation cannot be at the same name"
	case has(dns.TypeDS) && !has(dns.TypeNS):
		return "a DS goes only with the NS of a delegation"
	case has(dns.TypeNS) && name.IsWildcard():
		return "a wildcard cannot be delegated"
	}
	return ""
}

// ApexConflict is conflict for record sets at an apex, where the SOA is and a host
// never.
func ApexConflict(sets []model.RRset) string {
	has := func(t uint16) bool { _, ok := model.FindRRset(sets, t); return ok }
	dname, _ := model.FindRRset(sets, dns.TypeDNAME)
	switch {
	case !has(dns.TypeNS):
		return "a zone has at least one name server"
	case has(dns.TypeCNAME):
		return "an apex has a SOA, and a CNAME stands alone at its name"
	case len(dname.Data) > 1:
		return "a name has at most one DNAME"
	}
	return ""
}

// CheckTTL refuses a TTL outside the zone's bounds; 0 stands for the default.
func CheckTTL(z *model.Zone, ttl uint32) error {
	d := z.WithDefaults()
	if ttl == 0 || d.MinTTL <= ttl && ttl <= d.MaxTTL {
		return nil
	}
	u := func(v uint32) string { return strconv.FormatUint(uint64(v), 10) }
	return model.E(model.Invalid, "set TTL in", z.Name.Text()).In("ttl").
		Because(u(ttl) + " is not within the zone's " + u(d.MinTTL) + " to " + u(d.MaxTTL) + " seconds")
}

// ParseAddresses reads the addresses of a host. Errors are of kind Invalid and
// name the one at fault.
func ParseAddresses(field string, in []string) ([]netip.Addr, error) {
	out := make([]netip.Addr, len(in))
	for i, text := range in {
		a, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || a.Zone() != "" {
			return nil, badAddress(field, i, text, "it is no IPv4 or IPv6 address")
		}
		out[i] = a.Unmap()
	}
	return out, nil
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	compatible = netip.MustParsePrefix("::/96")        // RFC 4291 section 2.5.5.1
	sixToFour  = netip.MustParsePrefix("2002::/16")    // RFC 3056
)

// translated is the IPv4 address in an IPv6 one of the well-known prefixes that hold one.
func translated(a netip.Addr) (netip.Addr, bool) {
	b := a.As16()
	switch {
	case nat64.Contains(a), compatible.Contains(a) && !a.IsUnspecified() && !a.IsLoopback():
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return netip.Addr{}, false
}

// HintsIn is the addresses that records of services give to clients, who may use them
// without asking for more (RFC 9460 section 7.3). Errors are mistakes of ours.
func HintsIn(set model.RRset) ([]netip.Addr, error) {
	if set.Type != dns.TypeHTTPS && set.Type != dns.TypeSVCB {
		return nil, nil
	}
	rrs, err := set.RRs(".")
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, rr := range rrs {
		var values []dns.SVCBKeyValue
		switch rr := rr.(type) {
		case *dns.HTTPS:
			values = rr.Value
		case *dns.SVCB:
			values = rr.Value
		}
		for _, v := range values {
			var ips []net.IP
			switch v := v.(type) {
			case *dns.SVCBIPv4Hint:
				ips = v.Hint
			case *dns.SVCBIPv6Hint:
				ips = v.Hint
			}
			for _, ip := range ips {
				if a, ok := netip.AddrFromSlice(ip); ok {
					out = append(out, a)
				}
			}
		}
	}
	return out, nil
}

func badAddress(field string, i int, text, why string) error {
	return model.E(model.Invalid, "read address", text).In(field + "[" + strconv.Itoa(i) + "]").Because(why)
}

// AddressSets is addresses as A and AAAA record sets.
func AddressSets(addrs []netip.Addr, ttl uint32) []model.RRset {
	main := model.Endpoint{ID: model.MainEndpoint, Addresses: model.NormalizeAddresses(addrs)}
	return (&model.NameData{Host: &model.Host{Endpoints: []model.Endpoint{main}}}).Sets(ttl)
}
