package model

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const start = "@ 3600 IN SOA ns1 h 1 7200 900 1209600 60\n@ 3600 IN NS ns1\nns1 3600 IN A 192.0.2.1\n"

// oddFiles is zone files at the edge of what RFC 1035 section 5 says. differs names
// the line of docs/differences.md that says why BIND and we do not agree; "": we do.
var oddFiles = []struct {
	name, text string
	taken      bool
	differs    string
}{
	{"units of TTLs", "$TTL 1h30m\n" + start + "www A 192.0.2.1\nx 2D A 192.0.2.1\n", true, ""},
	{"no TTL on the first record", "@ IN SOA ns1 h 1 7200 900 1209600 60\n@ IN NS ns1\nns1 A 192.0.2.1\n", false, "no-ttl"},
	{"no TTL, SOA has one", start + "www A 192.0.2.1\n", true, ""},
	{"$ORIGIN outside and unused", start + "$ORIGIN example.net.\n", true, ""},
	{"an owner outside", start + "$ORIGIN example.net.\nwww 60 A 192.0.2.1\n", false, "outside"},
	{"class CH", start + "www 60 CH A 192.0.2.1\n", false, ""},
	{"class before TTL", start + "www IN 60 A 192.0.2.1\n", true, ""},
	{"text after the data", start + "www 60 A 192.0.2.1 trailing\n", false, ""},
	{"text after a name", start + "www 60 CNAME ns1 trailing\n", false, ""},
	{"address of another family", start + "www 60 A 2001:db8::1\n", false, ""},
	{"leading zeros", start + "www 60 A 192.0.2.01\n", false, ""},
	{"short address", start + "www 60 A 192.0.2\n", false, ""},
	{"MX to a CNAME", start + "@ 60 MX 10 m\nm 60 CNAME ns1\n", true, ""},
	{"NS to a CNAME", start + "@ 3600 NS ns2\nns2 60 CNAME ns1\n", true, "server"},
	{"NS without address", start + "@ 3600 NS ns2\n", true, "server"},
	{"NS at a wildcard", start + "*.sub 60 NS ns.example.net.\n", false, ""},
	{"DS at a wildcard", start + "*.sub 60 DS 1 13 2 " + strings.Repeat("ab", 32) + "\n", true, ""},
	{"DS without NS", start + "sub 60 DS 1 13 2 " + strings.Repeat("ab", 32) + "\n", true, ""},
	{"DNAME at a wildcard", start + "*.sub 60 DNAME example.net.\n", true, ""},
	{"CNAME beside data", start + "www 60 CNAME ns1\nwww 60 TXT x\n", false, ""},
	{"two CNAMEs", start + "www 60 CNAME a\nwww 60 CNAME b\n", false, ""},
	{"DNAME beside a delegation", start + "sub 60 DNAME example.net.\nsub 60 NS ns.example.net.\n", false, "dname-ns"},
	{"records below a DNAME", start + "sub 60 DNAME example.net.\na.sub 60 A 192.0.2.1\n", true, ""},
	{"two SOAs", start + "@ 3600 SOA ns1 h 2 7200 900 1209600 60\n", false, ""},
	{"SOA below the apex", start + "sub 3600 SOA ns1 h 2 7200 900 1209600 60\n", false, ""},
	{"no NS", "@ 3600 IN SOA ns1 h 1 7200 900 1209600 60\nns1 60 A 192.0.2.1\n", false, ""},
	{"a label of 64 octets", start + strings.Repeat("a", 64) + " 60 A 192.0.2.1\n", false, ""},
	{"a name of 256 octets", start + strings.Repeat(strings.Repeat("a", 60)+".", 4) + "a 60 A 192.0.2.1\n", false, ""},
	{"an empty label", start + "a..b 60 A 192.0.2.1\n", false, ""},
	{"TTL over 31 bits", start + "www 2147483648 A 192.0.2.1\n", false, "ttl-range"},
	{"two TTLs of a set", start + "www 60 A 192.0.2.1\nwww 70 A 192.0.2.2\n", true, ""},
	{"an unknown type", start + "www 60 NOPE x\n", false, ""},
	{"a meta type", start + "www 60 ANY x\n", false, ""},
	{"data of an unknown type", start + "www 60 TYPE65280 \\# 2 abcd\n", true, ""},
	{"too little data of an unknown type", start + "www 60 TYPE65280 \\# 3 abcd\n", false, ""},
	{"unbalanced parentheses", start + "www 60 TXT ( x\n", false, ""},
	{"an open quotation", start + "www 60 TXT \"x\n", false, ""},
	{"a string of 256 octets", start + "www 60 TXT \"" + strings.Repeat("x", 256) + "\"\n", true, "long-string"},
	{"underscores in a host name", start + "a_b 60 A 192.0.2.1\n", true, ""},
	{"no final newline", start + "www 60 A 192.0.2.1", true, ""},
	{"a byte order mark", "\ufeff" + start, false, ""},
	{"$INCLUDE within parentheses", start + "www 60 TXT ( a\n$INCLUDE )\n", true, ""},
	{"carriage returns", strings.ReplaceAll(start, "\n", "\r\n"), true, ""},
	{"$INCLUDE", start + "$INCLUDE /dev/null\n", false, "directives"},
	{"$GENERATE", start + "$GENERATE 1-2 h$ 60 A 192.0.2.$\n", false, "directives"},
	{"an unknown directive", start + "$COLOUR red\n", false, ""},
	{"nothing", "", false, ""},
	{"no data", start + "www 60 A\n", false, ""},
	{"port out of range", start + "_s._tcp 60 SRV 0 0 65536 ns1\n", false, ""},
	{"negative preference", start + "@ 60 MX -1 ns1\n", false, ""},
	{"escape over 255", start + "www 60 TXT \"\\256\"\n", false, ""},
	{"an escaped backslash before digits", start + "www 60 TXT \"\\\\256\"\n", true, ""},
	{"an escape over 255 in a comment", start + "www 60 TXT x ; \\256\n", true, ""},
	{"owner left out on the first line", " 60 A 192.0.2.1\n" + start, false, ""},
	{"record before the SOA", "www 60 A 192.0.2.1\n" + start, true, ""},
	{"flags out of range", start + "www 60 CAA 256 issue \"x\"\n", false, ""},
}

func TestOddZoneFilesAreTakenAsBINDTakesThem(t *testing.T) {
	checker, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Log("not compared with BIND: there is no named-checkzone")
	}
	docs, err := os.ReadFile("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range oddFiles {
		if f.differs != "" && !strings.Contains(string(docs), "\n| *"+f.differs+"* |") {
			t.Errorf("docs/differences.md does not explain %s", f.differs)
		}
		t.Run(f.name, func(t *testing.T) {
			_, err := ReadZoneFile(strings.NewReader(f.text), "example.org.", ReadOptions{})
			if (err == nil) != f.taken {
				t.Errorf("taken: %t, want %t: %v", err == nil, f.taken, err)
			}
			if checker == "" {
				return
			}
			cmd := exec.Command(checker, "example.org", "/dev/stdin")
			cmd.Stdin = strings.NewReader(f.text)
			out, err := cmd.CombinedOutput()
			if agree := (err == nil) == f.taken; agree != (f.differs == "") {
				t.Errorf("BIND takes it: %t, we: %t, said to differ: %q\n%s", err == nil, f.taken, f.differs, out)
			}
		})
	}
}
