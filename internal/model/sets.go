package model

import (
	"bytes"
	"slices"

	"github.com/miekg/dns"
)

// Sets is the record sets of the name by type, its host's A and AAAA among them;
// zoneTTL is the TTL of a host that has none of its own.
func (n *NameData) Sets(zoneTTL uint32) []RRset {
	host := n.Host.sets(zoneTTL)
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

func (h *Host) sets(zoneTTL uint32) []RRset {
	if h == nil {
		return nil
	}
	ttl := h.TTL
	if ttl == 0 {
		ttl = zoneTTL
	}
	v4, v6 := RRset{Type: dns.TypeA, TTL: ttl}, RRset{Type: dns.TypeAAAA, TTL: ttl}
	for _, a := range h.Addresses() {
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
