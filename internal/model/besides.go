package model

import (
	"slices"

	"github.com/miekg/dns"
)

// BesideCNAME reports whether there is anything that must not stand beside a CNAME:
// all but what DNSSEC puts there (RFC 2181 section 10.1, RFC 4035 section 2.5).
func BesideCNAME(sets []RRset) bool {
	return slices.ContainsFunc(sets, func(s RRset) bool {
		return s.Type != dns.TypeCNAME && s.Type != dns.TypeRRSIG && s.Type != dns.TypeNSEC && s.Type != dns.TypeKEY
	})
}

// Odd says what a name server would not load of the record sets of one name, or "".
func Odd(sets []RRset, apex, wildcard bool) string {
	has := func(t uint16) int {
		set, _ := FindRRset(sets, t)
		return len(set.Data)
	}
	switch {
	case has(dns.TypeNS) > 0 && wildcard:
		return "a wildcard is delegated, which name servers disagree on (RFC 4592 section 4.2)"
	case has(dns.TypeCNAME) > 0 && apex:
		return "a CNAME stands beside the SOA (RFC 1034 section 3.6.2)"
	case has(dns.TypeCNAME) > 1:
		return "there is more than one CNAME (RFC 2181 section 10.1)"
	case has(dns.TypeCNAME) > 0 && BesideCNAME(sets):
		return "a CNAME stands beside other data (RFC 1034 section 3.6.2)"
	case has(dns.TypeDNAME) > 1:
		return "there is more than one DNAME (RFC 6672 section 2.4)"
	case has(dns.TypeDNAME) > 0 && has(dns.TypeNS) > 0 && !apex:
		return "a DNAME stands beside a delegation (RFC 6672 section 2.3)"
	}
	return ""
}
