package model

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

const (
	noData  = "there is no data after the type"
	misfits = "the data does not fit its type"
)

func parseRR(t uint16, ttl uint32, text string) (dns.RR, error) {
	return parseRRAt(".", t, ttl, text)
}

// parseRRAt reads a record whose relative names are relative to origin.
func parseRRAt(origin string, t uint16, ttl uint32, text string) (dns.RR, error) {
	if strings.ContainsAny(text, "\n\r") {
		return nil, errText("a record is one line")
	}
	line := strings.TrimSpace(". "+strconv.FormatUint(uint64(ttl), 10)+" IN "+TypeName(t)+" "+text) + "\n"
	p := dns.NewZoneParser(strings.NewReader(line), origin, "")
	p.SetIncludeAllowed(false)
	if e := badEscape(line); e != "" {
		return nil, errText(e + " is no octet")
	}
	rr, ok := p.Next()
	if err := p.Err(); err != nil {
		return nil, errText("it does not parse as " + TypeName(t) + " data")
	}
	if !ok || rr.Header().Rrtype != t {
		return nil, errText("it does not parse as " + TypeName(t) + " data")
	}
	if withoutData(rr, line) {
		return nil, errText(noData)
	}
	if _, more := p.Next(); more || p.Err() != nil {
		return nil, errText("a value is one record")
	}
	return rr, nil
}

// loneLabel is a name in record data that is one label without a final dot, or "@";
// "" when there is none. Whoever writes one thinks of a zone file, where it is relative:
// so it is what differs between two origins.
func loneLabel(t uint16, text string) string {
	const one, other = `\001.`, `\002.`
	in, again := wordsAt(one, t, text), wordsAt(other, t, text)
	if len(in) != len(again) {
		return ""
	}
	for i, word := range in {
		switch label, relative := strings.CutSuffix(word, "."+one); {
		case word == again[i]:
		case word == one:
			return "@"
		case relative && dns.CountLabel(label) == 1:
			return label
		}
	}
	return ""
}

// wordsAt is the words of a record's data with names relative to origin.
func wordsAt(origin string, t uint16, text string) []string {
	rr, err := parseRRAt(origin, t, 0, text)
	if err != nil {
		return nil
	}
	return strings.Fields(strings.TrimPrefix(rr.String(), rr.Header().String()))
}

type errText string

func (e errText) Error() string { return string(e) }

// withoutData reports whether rr was read from a line that ends with its type, or
// with no octets in the format of RFC 3597: miekg/dns takes that for the empty
// record of an UPDATE, all its fields zero. An APL may have no data (RFC 3123
// section 4), and a NULL that says so.
func withoutData(rr dns.RR, line string) bool {
	t := rr.Header().Rrtype
	if t == dns.TypeAPL {
		return false
	}
	zero := dns.RR(&dns.RFC3597{})
	if blank := dns.TypeToRR[t]; blank != nil {
		zero = blank()
	}
	*zero.Header() = *rr.Header()
	if !reflect.DeepEqual(rr, zero) {
		return false
	}
	word := lastWord(line)
	none := word == "0" && t != dns.TypeNULL && strings.Contains(line, `\#`)
	return none || strings.EqualFold(word, TypeName(t)) || strings.EqualFold(word, "TYPE"+strconv.Itoa(int(t)))
}

// badEscape is an escape \DDD of more than 255 (RFC 1035 section 5.1), "" when there
// is none: miekg/dns would take it for other data.
func badEscape(record string) string {
	quoted := false
	for i := 0; i < len(record); i++ {
		switch c := record[i]; {
		case c == '"':
			quoted = !quoted
		case c == ';' && !quoted:
			end := strings.IndexByte(record[i:], '\n')
			if end < 0 {
				return ""
			}
			i += end
		case c == '\\':
			if n, err := strconv.ParseUint(record[i+1:min(i+4, len(record))], 10, 16); err == nil && n > 255 {
				return record[i : i+4]
			}
			i++
		}
	}
	return ""
}

// lastWord is the last word of a record in presentation format: comments and
// parentheses are none.
func lastWord(record string) string {
	var b strings.Builder
	quoted, comment := false, false
	for i := 0; i < len(record); i++ {
		c := record[i]
		switch {
		case c == '\n':
			comment = false
		case comment:
			continue
		case c == '\\' && i+1 < len(record):
			b.WriteByte(c)
			i++
			c = record[i]
		case c == '"':
			quoted = !quoted
		case !quoted && c == ';':
			comment = true
			continue
		case !quoted && (c == '(' || c == ')'):
			c = ' '
		}
		b.WriteByte(c)
	}
	words := strings.Fields(b.String())
	if len(words) == 0 {
		return ""
	}
	return words[len(words)-1]
}

func rdataOf(rr dns.RR) ([]byte, error) {
	h := rr.Header()
	bad := func(why string) error {
		return E(Invalid, "read record", strings.Join(strings.Fields(rr.String()), " ")).In("rdata").Because(why)
	}
	if !IsDataType(h.Rrtype) {
		return nil, bad("it is not a type of stored data")
	}
	buf := make([]byte, dns.Len(rr)+64)
	off, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return nil, bad(misfits)
	}
	_, start, err := dns.UnpackDomainName(buf, 0)
	if err != nil {
		return nil, bad("the owner is no domain name")
	}
	data := slices.Clone(buf[start+10 : off]) // type, class, TTL, RDLENGTH: 10 octets
	// What we store we must be able to read again: for every replica, forever.
	if err := checkRData(h.Rrtype, data); err != nil {
		return nil, bad(err.Error())
	}
	return data, nil
}

func unpackRData(t uint16, owner string, ttl uint32, data []byte) (dns.RR, error) {
	h := dns.RR_Header{Name: owner, Rrtype: t, Class: dns.ClassINET, Ttl: ttl, Rdlength: uint16(len(data))}
	rr, off, err := dns.UnpackRRWithHeader(h, data, 0)
	if err != nil {
		return nil, err
	}
	if off != len(data) {
		return nil, errText("octets left over after the data")
	}
	return rr, nil
}

// checkRData says whether RDATA is whole and in the one form that we write.
// miekg/dns unpacks what ends early, at the end of any field.
func checkRData(t uint16, data []byte) error {
	switch t {
	case dns.TypeA, dns.TypeAAAA: // nearly all that a replica reads
		if t == dns.TypeA && len(data) == 4 || t == dns.TypeAAAA && len(data) == 16 {
			return nil
		}
		return errText(misfits)
	case dns.TypeAPL, dns.TypeNULL: // the types that may be empty
	default:
		if len(data) == 0 {
			return errText(noData)
		}
	}
	rr, err := unpackRData(t, ".", 0, data)
	if err != nil || lacksName(rr) {
		return errText(misfits)
	}
	buf := make([]byte, dns.Len(rr)+64)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil || !bytes.Equal(buf[11:end], data) { // after the owner ".", type, class, TTL and RDLENGTH
		return errText(misfits)
	}
	return nil
}

// lacksName reports whether a domain name in the data is not there: even the root
// has an octet.
func lacksName(rr dns.RR) bool {
	v := reflect.ValueOf(rr).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		switch f.Tag.Get("dns") {
		case "domain-name", "cdomain-name":
			if f.Type.Kind() == reflect.String && v.FieldByIndex(f.Index).Len() == 0 {
				return true
			}
		}
	}
	return false
}

func textOf(t uint16, data []byte) string {
	if rr, err := unpackRData(t, ".", 0, data); err == nil {
		text := strings.TrimPrefix(rr.String(), rr.Header().String())
		if same, err := parseRR(t, 0, text); err == nil {
			if d, err := rdataOf(same); err == nil && bytes.Equal(d, data) {
				return text
			}
		}
	}
	return "\\# " + strconv.Itoa(len(data)) + " " + hex.EncodeToString(data)
}
