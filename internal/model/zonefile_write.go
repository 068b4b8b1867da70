package model

import (
	"bufio"
	"io"
	"iter"
	"strconv"

	"github.com/miekg/dns"
)

// WriteZoneFile writes a zone file that name servers load and ReadZoneFile reads:
// absolute names, the SOA first, then the apex and the names as they come: names gives
// each with its record sets, or an error, which ends the file. Errors are that or w's.
func WriteZoneFile(w io.Writer, z *Zone, serial uint32, names iter.Seq2[Owner, error]) error {
	out := bufio.NewWriter(w)
	s := z.SOA
	soa := RRset{Type: dns.TypeSOA, TTL: s.TTL, Data: [][]byte{soaData(s, serial)}}
	ns, _ := FindRRset(z.Apex, dns.TypeNS)
	if err := writeSets(out, z.Name, append([]RRset{soa, ns}, WithoutRRset(z.Apex, dns.TypeNS)...)); err != nil {
		return err
	}
	for n, err := range names {
		if err == nil {
			err = writeSets(out, n.Name, n.Sets)
		}
		if err != nil {
			return err
		}
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

func writeSets(out *bufio.Writer, name Name, sets []RRset) error {
	owner := string(name)
	if owner[0] == '$' {
		owner = `\` + owner // or it would be a directive
	}
	for _, s := range sets {
		start := owner + "\t" + strconv.FormatUint(uint64(s.TTL), 10) + "\tIN\t" + TypeName(s.Type) + "\t"
		for _, text := range s.Text() {
			out.WriteString(start)
			out.WriteString(text)
			if err := out.WriteByte('\n'); err != nil { // a writer's error stays
				return err
			}
		}
	}
	return nil
}
