package model

import (
	"bufio"
	"io"
	"slices"
	"strconv"

	"github.com/miekg/dns"
)

// WriteZoneFile writes a zone file that name servers load and ReadZoneFile reads:
// absolute names, the SOA first, then the apex and the names in canonical order
// (RFC 4034 section 6.1). A host is written as its A and AAAA, its wildcard as the
// owner "*." below it. Equal zones make equal files. Errors are w's.
func WriteZoneFile(w io.Writer, z *Zone, serial uint32, names map[Name]*NameData) error {
	zone := z.WithDefaults()
	out := bufio.NewWriter(w)
	s := z.SOA
	soa := RRset{Type: dns.TypeSOA, TTL: s.TTL, Data: [][]byte{soaData(s, serial)}}
	writeSets(out, z.Name, []RRset{soa})
	ns, _ := FindRRset(z.Apex, dns.TypeNS)
	writeSets(out, z.Name, []RRset{ns})
	writeSets(out, z.Name, WithoutRRset(z.Apex, dns.TypeNS))

	sets := make(map[Name][]RRset, len(names))
	for name, data := range names {
		for _, set := range data.Sets(zone.TTL) {
			sets[name] = Merge(sets[name], set)
		}
		star, err := ParseName("*." + string(name))
		if err != nil {
			continue // too long to be a name: nothing can be asked that it would match
		}
		for _, set := range data.WildcardSets(zone.TTL) {
			sets[star] = Merge(sets[star], set)
		}
	}
	for _, name := range sortedNames(sets) {
		writeSets(out, name, sets[name])
	}
	return out.Flush()
}

func soaData(s SOA, serial uint32) []byte {
	rr := &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET},
		Ns:  dns.Fqdn(s.MName), Mbox: dns.Fqdn(s.RName), Serial: serial,
		Refresh: s.Refresh, Retry: s.Retry, Expire: s.Expire, Minttl: s.Minimum,
	}
	data, err := rdataOf(rr)
	if err != nil {
		panic("model: a zone that was not checked: " + err.Error())
	}
	return data
}

func sortedNames[V any](m map[Name]V) []Name {
	type item struct {
		name   Name
		labels []string
	}
	items := make([]item, 0, len(m))
	for n := range m {
		items = append(items, item{n, n.reversed()})
	}
	slices.SortFunc(items, func(a, b item) int { return slices.Compare(a.labels, b.labels) })
	names := make([]Name, len(items))
	for i, it := range items {
		names[i] = it.name
	}
	return names
}

func writeSets(out *bufio.Writer, name Name, sets []RRset) {
	owner := string(name)
	if owner[0] == '$' {
		owner = `\` + owner // or it would be a directive
	}
	for _, s := range sets {
		start := owner + "\t" + strconv.FormatUint(uint64(s.TTL), 10) + "\tIN\t" + TypeName(s.Type) + "\t"
		for _, text := range s.Text() {
			out.WriteString(start)
			out.WriteString(text)
			out.WriteByte('\n')
		}
	}
}
