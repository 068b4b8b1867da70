package model

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// ZoneFile is what a zone file says (RFC 1035 section 5). It takes about as much
// memory as the file: names below the apex are kept packed, and unpacked as they are
// asked for.
type ZoneFile struct {
	Zone    Zone   // Name, SOA and Apex; the rest is not in a zone file
	Serial  uint32 // the SOA's
	Records int    // the SOA included, duplicates once
	Sets    int    // record sets, the SOA included
	names   []packedName
	order   func(a, b Name) int
}

// ReadOptions says what ReadZoneFile lets through.
type ReadOptions struct {
	// Lenient lets through what name servers refuse to load but a stored zone may
	// hold: CNAME beside other data, several CNAMEs or DNAMEs at a name, DNAME beside
	// NS below the apex, NS at a wildcard.
	Lenient bool
	// Order is that of the file's names; nil: CompareNames.
	Order func(a, b Name) int
	// Seen, if not nil, is told of each record.
	Seen func()
}

// maxProblems is how many problems of a zone file are told at once.
const maxProblems = 20

// ReadZoneFile reads a zone file. Names without a final dot are relative to zone;
// an empty zone is that of the SOA, which is then the first record. Duplicates are
// merged, and a record set takes the smallest TTL of its records. Errors are of kind
// Invalid and say the line; several are joined. $INCLUDE is refused, for it reads
// files of this machine, $GENERATE, so that a short text is a small zone, and a byte
// order mark, which no name begins with. An error of r is of kind Invalid too, and in the chain.
func ReadZoneFile(r io.Reader, zone Name, o ReadOptions) (*ZoneFile, error) {
	in := &lineReader{r: bufio.NewReader(r)}
	p := dns.NewZoneParser(in, string(zone), "")
	f := &fileReader{zone: zone, in: in}
	for rr, ok := p.Next(); ok && len(f.problems) < maxProblems; rr, ok = p.Next() {
		f.record(rr)
		if o.Seen != nil {
			o.Seen()
		}
	}
	if err := cmp.Or(in.problem, p.Err()); err != nil {
		f.broken(err)
	}
	if f.soa == nil && len(f.problems) == 0 {
		f.problem(0, "there is no SOA record", "a zone has exactly one, at its apex")
	}
	out := f.zoneFile(o)
	if len(f.problems) > 0 {
		return nil, errors.Join(f.problems...)
	}
	return out, nil
}

type fileReader struct {
	zone     Name
	in       *lineReader
	soa      *dns.SOA
	names    []packedName // as they come, so a name may be there again
	pack     packer
	last     Name // that of the records in at, which are not in names yet
	at       owner
	problems []error
}

type owner struct {
	sets []RRset
	line int // of its first record
}

func (f *fileReader) problem(line int, why, hint string) {
	e := E(Invalid, "read zone file", f.zone.Text()).Because(why).Hint(hint)
	if line > 0 {
		e.Field = "line " + strconv.Itoa(line)
	}
	f.problems = append(f.problems, e)
}

// broken is for an error that ended the reading.
func (f *fileReader) broken(err error) {
	why, line := strings.TrimPrefix(err.Error(), "dns: "), f.in.lines
	if i := strings.LastIndex(why, " at line: "); i >= 0 {
		at, _, _ := strings.Cut(why[i+len(" at line: "):], ":")
		line, _ = strconv.Atoi(at)
		why = why[:i]
	} else if f.in.problem != nil {
		line++
	}
	hint := ""
	if strings.HasPrefix(why, "$INCLUDE ") {
		why = "$INCLUDE is not taken: it would read a file of the server's machine"
		hint = "put the text of that file in its place, or import what named-compilezone makes of all of it"
	}
	f.problems = append(f.problems, E(Invalid, "read zone file", f.zone.Text()).In("line "+strconv.Itoa(line)).Because(why).Hint(hint).From(err))
}

func (f *fileReader) record(rr dns.RR) {
	line, text := f.in.lines, f.in.record()
	name, err := ParseName(rr.Header().Name)
	if err != nil {
		f.problem(line, "the owner is no domain name", "")
		return
	}
	soa, isSOA := rr.(*dns.SOA)
	if f.zone == "" && isSOA {
		f.zone = name
	}
	if !name.In(f.zone) || f.zone == "" {
		f.problem(line, "the owner "+name.Text()+" is outside the zone", "give only names at or below the zone's own")
		return
	}
	if withoutData(rr, text) {
		f.problem(line, name.Text()+" "+TypeName(rr.Header().Rrtype)+": "+noData, "")
		return
	}
	if e := badEscape(text); e != "" {
		f.problem(line, name.Text()+" "+TypeName(rr.Header().Rrtype)+": "+e+" is no octet", "")
		return
	}
	set, err := NewRRset([]dns.RR{rr})
	if err != nil {
		f.problem(line, reasonOf(err), "")
		return
	}
	if isSOA {
		f.start(line, name, soa)
		return
	}
	if name != f.last {
		f.flush()
		f.last, f.at.line = name, line
	}
	f.at.add(set)
}

// flush packs the records that have come in a row for one name.
func (f *fileReader) flush() {
	if len(f.at.sets) > 0 {
		f.names = append(f.names, packedName{f.last, f.pack.pack(f.at.sets), f.at.line})
	}
	f.last, f.at.sets = "", f.at.sets[:0]
}

func reasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Reason != "" {
		return e.Subject + ": " + e.Reason
	}
	return err.Error()
}

func (f *fileReader) start(line int, name Name, soa *dns.SOA) {
	switch {
	case name != f.zone:
		f.problem(line, "there is a SOA record at "+name.Text(), "a zone has exactly one, at its apex "+f.zone.Text())
	case f.soa != nil:
		f.problem(line, "there is a second SOA record", "a zone has exactly one")
	default:
		f.soa = soa
	}
}

func (o *owner) add(set RRset) {
	for i := range o.sets {
		if o.sets[i].Type == set.Type {
			o.sets[i].Data = append(o.sets[i].Data, set.Data...)
			o.sets[i].TTL = min(o.sets[i].TTL, set.TTL)
			return
		}
	}
	o.sets = append(o.sets, set)
}

// zoneFile is what was read, as far as it goes; it finds the problems that one
// record does not show.
func (f *fileReader) zoneFile(o ReadOptions) *ZoneFile {
	f.flush()
	out := &ZoneFile{order: o.Order}
	if out.order == nil {
		out.order = CompareNames
	}
	if f.soa != nil {
		out.Records, out.Sets = 1, 1
		out.Serial = f.soa.Serial
		out.Zone = Zone{Name: f.zone, SOA: SOA{
			MName: f.soa.Ns, RName: f.soa.Mbox, Refresh: f.soa.Refresh, Retry: f.soa.Retry,
			Expire: f.soa.Expire, Minimum: f.soa.Minttl, TTL: f.soa.Hdr.Ttl,
		}}
	}
	ordered := func(a, b packedName) int { return cmp.Or(out.order(a.name, b.name), cmp.Compare(a.line, b.line)) }
	if !slices.IsSortedFunc(f.names, ordered) {
		slices.SortFunc(f.names, ordered)
	}
	out.names = f.names[:0]
	for rest := f.names; len(rest) > 0; {
		var at owner
		var first packedName
		first, at, rest = f.joined(rest)
		out.Sets += len(at.sets)
		for _, set := range at.sets {
			out.Records += len(set.Data)
		}
		f.checkOwner(first.name, at, o)
		if first.name == f.zone {
			out.Zone.Apex = at.sets
		} else {
			out.names = append(out.names, first)
		}
	}
	if ns, _ := FindRRset(out.Zone.Apex, dns.TypeNS); f.soa != nil && len(ns.Data) == 0 {
		f.problem(0, "there is no NS record at the apex", "a zone has at least one name server")
	}
	return out
}

// joined is all that was read of the first of names, which are in order.
func (f *fileReader) joined(names []packedName) (packedName, owner, []packedName) {
	first := names[0]
	at := owner{sets: first.sets(), line: first.line}
	n := 1
	for ; n < len(names) && names[n].name == first.name; n++ {
		for _, set := range names[n].sets() {
			at.add(set)
		}
	}
	changed := n > 1
	for i := range at.sets {
		if data := at.sets[i].Data; len(data) > 1 {
			slices.SortFunc(data, bytes.Compare)
			at.sets[i].Data = slices.CompactFunc(data, bytes.Equal)
			changed = true
		}
	}
	if byType := func(a, b RRset) int { return cmp.Compare(a.Type, b.Type) }; !slices.IsSortedFunc(at.sets, byType) {
		slices.SortFunc(at.sets, byType)
		changed = true
	}
	if changed && first.name != f.zone {
		first.data = f.pack.pack(at.sets)
	}
	return first, at, names[n:]
}

func (f *fileReader) checkOwner(name Name, at owner, o ReadOptions) {
	for _, set := range at.sets {
		if set.Size() > MaxSetSize {
			f.problem(at.line, name.Text()+" "+TypeName(set.Type)+": the record set does not fit a DNS message", "take records out")
		}
	}
	if why := Odd(at.sets, name == f.zone, name.IsWildcard()); why != "" && (!o.Lenient || name == f.zone) && len(f.problems) < maxProblems {
		f.problem(at.line, name.Text()+": "+why, "")
	}
}
