// Package zonetest answers one question: does a reply say what BIND, NSD, Knot and
// PowerDNS say? It reads conformance cases, one JSON object a line, makes a view's
// changes of their zones and compares replies with them.
package zonetest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
)

// Variable is the environment variable that holds the path of the cases.
const Variable = "SIGNPOST_CASES"

// Case is a zone, one question about it, and what the servers answered.
type Case struct {
	ID     int     `json:"id"`
	Tag    string  `json:"tag"`
	Zone   string  `json:"zone"`
	QName  string  `json:"qname"`
	QType  string  `json:"qtype"`
	Groups []Group `json:"groups"`
}

// Group is servers that answered the same.
type Group struct {
	Servers    []string `json:"servers"`
	Rcode      string   `json:"rcode"`
	AA         bool     `json:"aa"`
	Answer     []string `json:"answer"`
	Authority  []string `json:"authority"`
	Additional []string `json:"additional"`
}

// Cases reads the cases that Variable points at. Without it the test is skipped.
func Cases(t testing.TB) []Case {
	t.Helper()
	path := os.Getenv(Variable)
	if path == "" {
		t.Skip(Variable + " does not say where the conformance cases are")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var cases []Case
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%s, case %d: %v", path, len(cases)+1, err)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s holds no case", path)
	}
	return cases
}

// Question is the case's question.
func (c Case) Question() dns.Question {
	return dns.Question{Name: c.QName, Qtype: dns.StringToType[c.QType], Qclass: dns.ClassINET}
}

// Changes makes a zone from the text of a zone file, as the store would show it at
// one revision: oddities that a stored zone may hold are let through. The zone's
// name is that of its SOA.
func Changes(text string, rev int64) ([]model.Change, error) {
	file, err := model.ReadZoneFile(strings.NewReader(text), "", model.ReadOptions{Lenient: true})
	if err != nil {
		return nil, err
	}
	z := file.Zone
	z.Incarnation, z.Generation, z.ModRevision = 1, 1, rev
	z.SerialBase = file.Serial - uint32(rev)
	changes := []model.Change{
		{Key: model.Key{Kind: model.ZoneKey, Zone: z.Name}, ModRevision: rev, Raw: []byte("zone"), Zone: &z},
		{Key: model.Key{Kind: model.ZoneRevKey, Zone: z.Name}, ModRevision: rev},
	}
	for name, sets := range file.Names("") {
		data := &model.NameData{RRsets: sets, ModRevision: rev}
		k := model.Key{Kind: model.NameKey, Zone: z.Name, Generation: 1, Name: name}
		changes = append(changes, model.Change{Key: k, ModRevision: rev, Raw: []byte(name), Name: data})
	}
	return changes, nil
}

// Compare says in what a reply differs from every group, or "": rcode, AA and the
// records of the answer, and, where that is empty, those of the authority section.
// SOA records are compared without serial and TTL.
func (c Case) Compare(rcode int, aa bool, answer, authority []dns.RR) string {
	got := Group{Rcode: dns.RcodeToString[rcode], AA: aa, Answer: texts(answer), Authority: texts(authority)}
	var differ []string
	for _, want := range c.Groups {
		d := want.differs(got)
		if d == "" {
			return ""
		}
		differ = append(differ, strings.Join(want.Servers, ", ")+": "+d)
	}
	return fmt.Sprintf("case %d (%s): %s %s\n%s\n%s", c.ID, c.Tag, c.QName, c.QType, strings.Join(differ, "\n"), c.Zone)
}

func (g Group) differs(got Group) string {
	want, err := g.normal()
	switch {
	case err != nil:
		return err.Error()
	case got.Rcode != g.Rcode || got.AA != g.AA:
		return fmt.Sprintf("rcode and AA are %s %v, want %s %v", got.Rcode, got.AA, g.Rcode, g.AA)
	case !slices.Equal(got.Answer, want.Answer):
		return fmt.Sprintf("the answer is %q, want %q", got.Answer, want.Answer)
	case len(want.Answer) == 0 && !slices.Equal(got.Authority, want.Authority):
		return fmt.Sprintf("the authority is %q, want %q", got.Authority, want.Authority)
	}
	return ""
}

func (g Group) normal() (n Group, err error) {
	for _, s := range []struct {
		from []string
		to   *[]string
	}{{g.Answer, &n.Answer}, {g.Authority, &n.Authority}} {
		rrs := make([]dns.RR, len(s.from))
		for i, text := range s.from {
			if rrs[i], err = dns.NewRR(text); err != nil {
				return n, err
			}
		}
		*s.to = texts(rrs)
	}
	return n, nil
}

// texts is records as a set, in a form that does not care for case of names, nor
// for the serial and the TTL of a SOA.
func texts(rrs []dns.RR) []string {
	out := make([]string, len(rrs))
	for i, rr := range rrs {
		rr = dns.Copy(rr)
		if soa, ok := rr.(*dns.SOA); ok {
			soa.Serial, soa.Hdr.Ttl = 0, 0
		}
		out[i] = rr.String()
		if rr.Header().Rrtype != dns.TypeTXT {
			out[i] = strings.ToLower(out[i])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
