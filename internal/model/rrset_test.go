package model

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// samples is data of many types, as one writes it.
var samples = map[string][]string{
	"A":          {"192.0.2.1", "192.0.2.2"},
	"AAAA":       {"2001:db8::1"},
	"NS":         {"ns1.Example.org."},
	"CNAME":      {"cname."},
	"SOA":        {"ns. root. 1 2 3 4 5"},
	"PTR":        {"."},
	"HINFO":      {`"" ""`, `"PDP 11" ITS`},
	"MX":         {"10 mx.example.org.", "0 ."},
	"TXT":        {`"a b" c`, `""`, `"semi;colon \"quoted\" back\\slash \009\200"`, `"` + strings.Repeat("x", 255) + `" y`},
	"SRV":        {"0 5 5060 sip.example.org.", "0 0 0 ."},
	"NAPTR":      {`100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .`},
	"DNAME":      {"example.net."},
	"DS":         {"12345 13 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"},
	"SSHFP":      {"4 2 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"},
	"DNSKEY":     {"257 3 13 AAECAwQFBgcICQoLDA0ODw=="},
	"CDNSKEY":    {"0 3 0 AA=="},
	"TLSA":       {"3 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"},
	"SMIMEA":     {"3 1 1 0011"},
	"CAA":        {`0 issue "ca.example.org"`, `128 issuewild ";"`},
	"SVCB":       {"0 other.example.", `1 . alpn="h2,h3" port="8443" ipv4hint="192.0.2.1" ipv6hint="2001:db8::1" mandatory="alpn"`},
	"HTTPS":      {`16 foo.example. alpn="h2" ech="AAAA" key65333="x"`},
	"LOC":        {"42 21 54 N 71 6 18 W -24m 30m 10000m 10m"},
	"URI":        {`10 1 "https://example.org/"`},
	"OPENPGPKEY": {"AAECAwQ="},
	"EUI48":      {"00-00-00-00-00-00"},
	"EUI64":      {"00-00-5e-ef-10-00-00-2a"},
	"RP":         {"mbox.example. txt.example."},
	"AFSDB":      {"1 afs.example."},
	"X25":        {"311061700956"},
	"KX":         {"10 kx.example."},
	"CERT":       {"1 0 0 AAEC"},
	"APL":        {"1:192.168.38.0/28 !1:192.168.38.0/32", ""},
	"NSEC3PARAM": {"1 0 0 -"},
	"CSYNC":      {"66 3 A NS AAAA"},
	"ZONEMD":     {"2018031500 1 1 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"},
	"NULL":       {`\# 2 abcd`, `\# 0`},
	"TYPE65280":  {`\# 3 010203`, `\# 1 00`},
	"TYPE1":      {`\# 4 c0000201`},
}

// What was written comes back from what is stored, as data and as text.
func TestRRsetRoundTrips(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(samples)) {
		typ, err := ParseType(name)
		if err != nil {
			t.Error(err)
			continue
		}
		set, err := ParseRRset(typ, 300, samples[name])
		if err != nil {
			t.Error(err)
			continue
		}
		if len(set.Data) != len(samples[name]) || !slices.IsSortedFunc(set.Data, bytes.Compare) {
			t.Errorf("%s: the data is %x", name, set.Data)
		}
		if err := set.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, err := ParseRRset(typ, 300, set.Text())
		if err != nil || !again.Equal(set) {
			t.Errorf("%s: %q comes back as %x, %v", name, set.Text(), again.Data, err)
		}
		rrs, err := set.RRs("Owner.example.")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err = NewRRset(rrs); err != nil || !again.Equal(set) {
			t.Errorf("%s: unpacked and packed again it is %x, %v", name, again.Data, err)
		}
	}
}

func TestParseRRsetRefuses(t *testing.T) {
	for _, c := range []struct {
		typ   string
		rdata []string
	}{
		{"A", nil},
		{"A", []string{""}},
		{"A", []string{"192.0.2.256"}},
		{"A", []string{"2001:db8::1"}},
		{"AAAA", []string{"192.0.2.1"}},
		{"A", []string{"192.0.2.1 192.0.2.2"}},
		{"A", []string{"192.0.2.1\nx. 1 IN A 192.0.2.2"}},
		{"A", []string{`\# 3 c00002`}},
		{"MX", []string{"mx.example.org."}},
		{"MX", []string{"; a comment"}},
		{"MX", []string{`\# 2 0000`}},
		{"SRV", []string{`\# 7 00000000000000c0`}},
		{"CNAME", []string{`\# 2 c000`}},
		{"CNAME", []string{"a..b."}},
		{"TXT", []string{`"open`}},
		{"TXT", []string{"( )"}},
		{"TXT", []string{`"` + strings.Repeat("x", 256) + `"x"`}},
		{"X25", []string{""}},
		{"HINFO", []string{" "}},
		{"CAA", []string{`\# 0`}},
		{"SSHFP", []string{""}},
		{"TYPE65280", []string{`\# 2 01`}},
		{"TYPE65280", []string{"text"}},
		{"TYPE65280", []string{`\# 0`}},
		{"A", []string{"$INCLUDE /etc/passwd"}},
	} {
		typ, err := ParseType(c.typ)
		if err != nil {
			t.Fatal(err)
		}
		set, err := ParseRRset(typ, 300, c.rdata)
		if err == nil || KindOf(err) != Invalid || !strings.Contains(err.Error(), "rdata") {
			t.Errorf("%s %q: %x, %v", c.typ, c.rdata, set.Data, err)
		}
	}
}

func TestParseType(t *testing.T) {
	for in, want := range map[string]uint16{
		"A": dns.TypeA, "aaaa": dns.TypeAAAA, " txt ": dns.TypeTXT, "TYPE1": dns.TypeA, "type65280": 65280,
		"": 0, "FOO": 0, "TYPE": 0, "TYPE65536": 0, "TYPE-1": 0, "ANY": 0, "AXFR": 0, "TSIG": 0, "OPT": 0, "TYPE255": 0, "TYPE0": 0, "TYPE128": 0,
	} {
		got, err := ParseType(in)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q is %d, %v; want %d", in, got, err, want)
		}
	}
}

// A set read from outside is taken only if it is whole: what a replica cannot pack
// it cannot answer.
func TestCheckRefusesBrokenData(t *testing.T) {
	for _, s := range []RRset{
		{Type: dns.TypeA, TTL: 1},
		{Type: dns.TypeA, TTL: 1, Data: [][]byte{{1, 2, 3}}},
		{Type: dns.TypeAAAA, TTL: 1, Data: [][]byte{{1, 2, 3, 4}}},
		{Type: dns.TypeA, TTL: MaxTTL + 1, Data: [][]byte{{1, 2, 3, 4}}},
		{Type: dns.TypeMX, TTL: 1, Data: [][]byte{{0, 10}}},
		{Type: dns.TypeMX, TTL: 1, Data: [][]byte{{0, 10, 0}, {0}}},
		{Type: dns.TypeNS, TTL: 1, Data: [][]byte{{1, 'a'}}},
		{Type: dns.TypeNS, TTL: 1, Data: [][]byte{{1, 'a', 0, 0}}},
		{Type: dns.TypeNS, TTL: 1, Data: [][]byte{{1, 'a', 0xc0, 0}}},
		{Type: dns.TypeTXT, TTL: 1, Data: [][]byte{{5, 'a'}}},
		{Type: dns.TypeANY, TTL: 1, Data: [][]byte{{0}}},
	} {
		if err := s.Check(); err == nil || KindOf(err) != Invalid {
			t.Errorf("%s %x: %v", TypeName(s.Type), s.Data, err)
		}
	}
}

func TestSetsAreValues(t *testing.T) {
	a, _ := ParseRRset(dns.TypeA, 60, []string{"192.0.2.1"})
	more, _ := ParseRRset(dns.TypeA, 30, []string{"192.0.2.1", "192.0.2.2"})
	txt, _ := ParseRRset(dns.TypeTXT, 60, []string{"x"})
	sets := WithRRset(WithRRset(nil, txt), a)
	if len(sets) != 2 || sets[0].Type != dns.TypeA {
		t.Errorf("the sets are not by type: %v", sets)
	}
	merged := Merge(sets, more)
	if got, _ := FindRRset(merged, dns.TypeA); !got.Equal(more) || !sets[0].Equal(a) {
		t.Errorf("merged: %v, before: %v", merged, sets)
	}
	if left := WithoutRRset(sets, dns.TypeA); len(left) != 1 || len(sets) != 2 {
		t.Errorf("without: %v", left)
	}
}

func TestHostSets(t *testing.T) {
	h := hostData("192.0.2.2", "2001:db8::1", "192.0.2.1")
	if sets := h.Sets(77); len(sets) != 2 || sets[0].TTL != 77 || !slices.Equal(sets[0].Text(), []string{"192.0.2.1", "192.0.2.2"}) {
		t.Errorf("the sets are %v", sets)
	}
	if sets := h.WildcardSets(77); sets != nil {
		t.Errorf("without wildcard it gives %v", sets)
	}
	txt, _ := ParseRRset(dns.TypeTXT, 60, []string{"x"})
	h.RRsets = []RRset{txt}
	h.Host.Wildcard, h.Host.TTL = true, 5
	if sets := h.WildcardSets(77); len(sets) != 2 || sets[1].TTL != 5 || sets[1].Type != dns.TypeAAAA {
		t.Errorf("the wildcard has %v", sets)
	}
	if sets := h.Sets(77); len(sets) != 3 || sets[1].Type != dns.TypeTXT {
		t.Errorf("the sets are %v", sets)
	}
}

// Any octets that pass as data are answered as they are.
func FuzzRRset(f *testing.F) {
	for name, texts := range samples {
		typ, _ := ParseType(name)
		if set, err := ParseRRset(typ, 1, texts); err == nil {
			for _, d := range set.Data {
				f.Add(typ, d)
			}
		}
	}
	f.Fuzz(func(t *testing.T, typ uint16, data []byte) {
		set := RRset{Type: typ, TTL: 1, Data: [][]byte{data}}
		if set.Check() != nil {
			return
		}
		rrs, err := set.RRs("example.")
		if err != nil {
			t.Fatal(err)
		}
		m := &dns.Msg{Answer: rrs}
		wire, err := m.Pack()
		if err != nil {
			t.Fatalf("%s %x does not pack: %v", TypeName(typ), data, err)
		}
		if err := m.Unpack(wire); err != nil {
			t.Fatalf("%s %x does not unpack: %v", TypeName(typ), data, err)
		}
		for _, text := range set.Text() {
			if strings.ContainsAny(text, "\n\r") {
				t.Errorf("%s %x has a line break in its text", TypeName(typ), data)
			}
		}
		again, err := ParseRRset(typ, 1, set.Text())
		if err != nil || !again.Equal(set) {
			t.Errorf("%s %x: %q comes back as %x, %v", TypeName(typ), data, set.Text(), again.Data, err)
		}
	})
}

// A name without a final dot is absolute, but one label is hardly ever meant so.
func TestASingleLabelInDataNeedsItsDot(t *testing.T) {
	for text, bad := range map[string]bool{
		"CNAME www": true, "CNAME @": true, "NS ns1": true, "MX 10 mail": true, "SRV 0 0 5060 sip": true, "PTR www": true, "HTTPS 1 www": true,
		"DNAME a\\.b": true, "RP h.example.org. t": true, "CNAME www.": false, "CNAME .": false, "MX 0 .": false, "CNAME www.example.org": false, "HTTPS 1 .": false,
		"TXT www": false, "TXT @": false, "CAA 0 issue \"ca\"": false, "CNAME a\\.b.": false, "TYPE65280 \\# 2 abcd": false,
	} {
		name, data, _ := strings.Cut(text, " ")
		typ, err := ParseType(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRRset(typ, 60, []string{data}); (KindOf(err) == Invalid && err != nil) != bad || err != nil && !strings.Contains(err.Error(), "absolute") {
			t.Errorf("%s: %v, want refused: %t", text, err, bad)
		}
	}
}

// What is stored of a host is the addresses of all its endpoints, whichever are up: so it
// is exported.
func TestSetsOfAHostWithEndpoints(t *testing.T) {
	h := hostData("192.0.2.2")
	h.Host.Endpoints = append(h.Host.Endpoints,
		Endpoint{ID: "b", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}})
	h.Host.Wildcard, h.Host.Checked = true, true
	for what, sets := range map[string][]RRset{"host": h.Sets(77), "wildcard": h.WildcardSets(77)} {
		if len(sets) != 2 || !slices.Equal(sets[0].Text(), []string{"192.0.2.1", "192.0.2.2"}) || sets[1].Type != dns.TypeAAAA || sets[1].TTL != DefaultCheckedTTL {
			t.Errorf("the sets of the %s are %v", what, sets)
		}
	}
	if sets := h.Sets(20); sets[0].TTL != 20 {
		t.Errorf("in a zone with a TTL of 20 they are %v", sets)
	}
}
