package model

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/miekg/dns"
)

// Sets is the record sets that the name has, by type, A and AAAA of all its host's
// endpoints among them, whichever of them are up; zoneTTL is the TTL of a host that has
// none of its own.
func (n *NameData) Sets(zoneTTL uint32) []RRset {
	if n.Withdrawn {
		return nil
	}
	return n.StoredSets(zoneTTL)
}

// StoredSets is Sets as if the name were not withdrawn.
func (n *NameData) StoredSets(zoneTTL uint32) []RRset {
	if n.Host == nil {
		return n.RRsets
	}
	return n.SetsWith(n.Host.allAddresses(), n.Host.ttl(zoneTTL))
}

// SetsWith is the record sets that the name has when its host is answered with these
// addresses, sorted, and this TTL.
func (n *NameData) SetsWith(addrs []netip.Addr, ttl uint32) []RRset {
	host := addressSets(addrs, ttl)
	if len(n.RRsets) == 0 {
		return host
	}
	sets := n.RRsets
	for _, s := range host {
		sets = Merge(sets, s)
	}
	return sets
}

// WildcardSets is what the name's host gives to the owner "*." below it: the A and
// AAAA of the name. It is none unless the host says so.
func (n *NameData) WildcardSets(zoneTTL uint32) []RRset {
	if n.Host == nil || !n.Host.Wildcard {
		return nil
	}
	var sets []RRset
	for _, s := range n.Sets(zoneTTL) {
		if s.Type == dns.TypeA || s.Type == dns.TypeAAAA {
			sets = append(sets, s)
		}
	}
	return sets
}

// allAddresses is the addresses of all endpoints.
func (h *Host) allAddresses() []netip.Addr {
	if len(h.Endpoints) == 1 {
		return h.Endpoints[0].Addresses
	}
	var all []netip.Addr
	for _, e := range h.Endpoints {
		all = append(all, e.Addresses...)
	}
	return NormalizeAddresses(all)
}

func (h *Host) ttl(zoneTTL uint32) uint32 {
	switch {
	case h.TTL != 0:
		return h.TTL
	case h.Checked:
		return min(zoneTTL, DefaultCheckedTTL)
	}
	return zoneTTL
}

func addressSets(addrs []netip.Addr, ttl uint32) []RRset {
	v4, v6 := RRset{Type: dns.TypeA, TTL: ttl}, RRset{Type: dns.TypeAAAA, TTL: ttl}
	for _, a := range addrs {
		a = a.Unmap()
		if a.Is4() {
			v4.Data = append(v4.Data, a.AsSlice())
		} else {
			v6.Data = append(v6.Data, a.AsSlice())
		}
	}
	var sets []RRset
	for _, s := range []RRset{v4, v6} {
		if len(s.Data) > 0 {
			sets = append(sets, s)
		}
	}
	return sets
}

// Merge is sets with the records of set added to those of its type, whose TTL is
// then the smaller one; sets itself is left alone.
func Merge(sets []RRset, set RRset) []RRset {
	if old, ok := FindRRset(sets, set.Type); ok {
		set = union(old, set)
	}
	return WithRRset(sets, set)
}

func union(a, b RRset) RRset {
	data := append(slices.Clone(a.Data), b.Data...)
	slices.SortFunc(data, bytes.Compare)
	return RRset{a.Type, min(a.TTL, b.TTL), slices.CompactFunc(data, bytes.Equal)}
}
