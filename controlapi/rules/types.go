package rules

import (
	"github.com/miekg/dns"

	"signpost/internal/model"
)

// NoAddressBeside is the types that a host with addresses has no records of.
var NoAddressBeside = []uint16{dns.TypeCNAME, dns.TypeNS, dns.TypeDNAME}

// IsAddressType reports whether records of a type are addresses.
func IsAddressType(t uint16) bool { return t == dns.TypeA || t == dns.TypeAAAA }

// OnlyAddresses reports whether there is nothing but addresses.
func OnlyAddresses(sets []model.RRset) bool {
	for _, s := range sets {
		if !IsAddressType(s.Type) {
			return false
		}
	}
	return true
}
