package model

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// ZoneFile is what a zone file says (RFC 1035 section 5).
type ZoneFile struct {
	Zone    Zone               // Name, SOA and Apex; the rest is not in a zone file
	Serial  uint32             // the SOA's
	Names   map[Name]*NameData // every name with records strictly below the apex; none is a host
	Records int                // the SOA included, duplicates once
}

// ReadOptions says what ReadZoneFile lets through.
type ReadOptions struct {
	// Lenient lets through what name servers refuse to load but a stored zone may
	// hold: CNAME beside other data, several CNAMEs or DNAMEs at a name, DNAME beside
	// NS below the apex.
	Lenient bool
}

// maxProblems is how many problems of a zone file are told at once.
const maxProblems = 20

// ReadZoneFile reads a zone file. Names without a final dot are relative to zone;
// an empty zone is that of the SOA, which is then the first record. Duplicates are
// merged, and a record set takes the smallest TTL of its records. Errors are of kind
// Invalid and say the line; several are joined. $INCLUDE is refused, for it reads
// files of this machine, and $GENERATE, so that a short text is a small zone. An
// error of r is of kind Invalid too, and in the chain.
func ReadZoneFile(r io.Reader, zone Name, o ReadOptions) (*ZoneFile, error) {
	in := &lineReader{r: bufio.NewReader(r)}
	p := dns.NewZoneParser(in, string(zone), "")
	f := &fileReader{zone: zone, in: in, owners: map[Name]*owner{}}
	for rr, ok := p.Next(); ok && len(f.problems) < maxProblems; rr, ok = p.Next() {
		f.record(rr)
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

// lineReader counts the lines that the parser has read, and ends the last one.
type lineReader struct {
	r       *bufio.Reader
	lines   int
	inLine  bool
	text    []byte // since the last record
	problem error  // why reading stops here
}

// record is the text of the record that the parser has just given, and what stood
// before it.
func (l *lineReader) record() string {
	text := string(l.text)
	l.text = l.text[:0]
	return text
}

func (l *lineReader) Read([]byte) (int, error) { return 0, io.EOF } // the parser reads octets

func (l *lineReader) ReadByte() (byte, error) {
	if !l.inLine && l.generates() {
		l.problem = errText("$GENERATE is not taken; write its records out, as named-compilezone does")
		return 0, io.EOF
	}
	c, err := l.r.ReadByte()
	if err == io.EOF && l.inLine {
		c, err = '\n', nil
	}
	l.inLine = c != '\n' && err == nil
	if c == '\n' && err == nil {
		l.lines++
	}
	if err == nil {
		l.text = append(l.text, c)
	}
	return c, err
}

func (l *lineReader) generates() bool {
	const word = "$GENERATE"
	start, _ := l.r.Peek(len(word))
	return strings.EqualFold(string(start), word)
}

type fileReader struct {
	zone     Name
	in       *lineReader
	soa      *dns.SOA
	owners   map[Name]*owner
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
	f.problems = append(f.problems, E(Invalid, "read zone file", f.zone.Text()).In("line "+strconv.Itoa(line)).Because(why).From(err))
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
	set, err := NewRRset([]dns.RR{rr})
	if err != nil {
		f.problem(line, reasonOf(err), "")
		return
	}
	if isSOA {
		f.start(line, name, soa)
		return
	}
	at := f.owners[name]
	if at == nil {
		at = &owner{line: line}
		f.owners[name] = at
	}
	at.add(set)
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

func (o *owner) has(t uint16) (records int) {
	set, _ := FindRRset(o.sets, t)
	return len(set.Data)
}

// zoneFile is what was read, as far as it goes; it finds the problems that one
// record does not show.
func (f *fileReader) zoneFile(o ReadOptions) *ZoneFile {
	out := &ZoneFile{Names: map[Name]*NameData{}}
	if f.soa != nil {
		out.Records = 1
		out.Serial = f.soa.Serial
		out.Zone = Zone{Name: f.zone, SOA: SOA{
			MName: f.soa.Ns, RName: f.soa.Mbox, Refresh: f.soa.Refresh, Retry: f.soa.Retry,
			Expire: f.soa.Expire, Minimum: f.soa.Minttl, TTL: f.soa.Hdr.Ttl,
		}}
	}
	for name, at := range f.owners {
		slices.SortFunc(at.sets, func(a, b RRset) int { return cmp.Compare(a.Type, b.Type) })
		for i := range at.sets {
			slices.SortFunc(at.sets[i].Data, bytes.Compare)
			at.sets[i].Data = slices.CompactFunc(at.sets[i].Data, bytes.Equal)
			out.Records += len(at.sets[i].Data)
		}
		if name == f.zone {
			out.Zone.Apex = at.sets
		} else {
			out.Names[name] = &NameData{RRsets: at.sets}
		}
	}
	f.checkOwners(o)
	return out
}

func (f *fileReader) checkOwners(o ReadOptions) {
	for _, name := range slices.SortedFunc(maps.Keys(f.owners), func(a, b Name) int { return cmp.Compare(f.owners[a].line, f.owners[b].line) }) {
		at := f.owners[name]
		for _, set := range at.sets {
			if set.Size() > MaxSetSize {
				f.problem(at.line, name.Text()+" "+TypeName(set.Type)+": the record set does not fit a DNS message", "take records out")
			}
		}
		if why := at.odd(name == f.zone); why != "" && (!o.Lenient || name == f.zone) && len(f.problems) < maxProblems {
			f.problem(at.line, name.Text()+": "+why, "")
		}
	}
	if apex := f.owners[f.zone]; f.soa != nil && (apex == nil || apex.has(dns.TypeNS) == 0) {
		f.problem(0, "there is no NS record at the apex", "a zone has at least one name server")
	}
}

// BesideCNAME reports whether there is anything that must not stand beside a CNAME:
// all but what DNSSEC puts there (RFC 2181 section 10.1, RFC 4035 section 2.5).
func BesideCNAME(sets []RRset) bool {
	return slices.ContainsFunc(sets, func(s RRset) bool {
		return s.Type != dns.TypeCNAME && s.Type != dns.TypeRRSIG && s.Type != dns.TypeNSEC && s.Type != dns.TypeKEY
	})
}

// odd says what a name server would not load, or "".
func (o *owner) odd(apex bool) string {
	switch {
	case o.has(dns.TypeCNAME) > 0 && apex:
		return "a CNAME stands beside the SOA (RFC 1034 section 3.6.2)"
	case o.has(dns.TypeCNAME) > 1:
		return "there is more than one CNAME (RFC 2181 section 10.1)"
	case o.has(dns.TypeCNAME) > 0 && BesideCNAME(o.sets):
		return "a CNAME stands beside other data (RFC 1034 section 3.6.2)"
	case o.has(dns.TypeDNAME) > 1:
		return "there is more than one DNAME (RFC 6672 section 2.4)"
	case o.has(dns.TypeDNAME) > 0 && o.has(dns.TypeNS) > 0 && !apex:
		return "a DNAME stands beside a delegation (RFC 6672 section 2.3)"
	}
	return ""
}
