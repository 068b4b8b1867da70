package model

import (
	"bytes"
	"errors"
	"iter"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/miekg/dns"
)

func hostData(addrs ...string) *NameData {
	e := Endpoint{ID: MainEndpoint}
	for _, a := range addrs {
		e.Addresses = append(e.Addresses, netip.MustParseAddr(a))
	}
	e.Addresses = NormalizeAddresses(e.Addresses)
	return &NameData{Host: &Host{Endpoints: []Endpoint{e}}}
}

const head = "$ORIGIN example.org.\n$TTL 300\n@ 3600 SOA ns1 host\\.master 2026 7200 900 1209600 600\n@ NS ns1\n"

func TestReadZoneFile(t *testing.T) {
	f, err := ReadZoneFile(strings.NewReader(head+`
ns1      A 192.0.2.1
         A 192.0.2.1 ; a duplicate
         A 192.0.2.2
www 60 IN A 192.0.2.3
www 30 IN A 192.0.2.4
@        MX ( 10   ; over two lines
              mail )
$ORIGIN sub.example.org.
*        TXT "no newline at the end"`), "", ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	soa := SOA{MName: "ns1.example.org.", RName: `host\.master.example.org.`, Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 600, TTL: 3600}
	if f.Zone.Name != "example.org." || f.Serial != 2026 || f.Zone.SOA != soa || f.Records != 8 || f.Len() != 3 || f.Sets != 6 {
		t.Errorf("got %+v", f)
	}
	if err := f.Zone.Check(); err != nil {
		t.Error(err)
	}
	if len(f.Zone.Apex) != 2 || f.Zone.Apex[0].Type != dns.TypeNS || f.Zone.Apex[1].Type != dns.TypeMX {
		t.Errorf("the apex is %v", f.Zone.Apex)
	}
	if www := f.At("www.example.org."); len(www) != 1 || www[0].TTL != 30 || len(www[0].Data) != 2 {
		t.Errorf("www is %v", www)
	}
	if f.At("*.sub.example.org.") == nil {
		t.Error("the last line is lost")
	}
}

func TestReadZoneFileRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "there is no SOA"},
		{"www.example.org. 60 A 192.0.2.1\n", "line 1: the owner www.example.org is outside"},
		{head + "www A\n", "line 5: www.example.org A: there is no data"},
		{head + "www MX ; none\n", "line 5: "},
		{head + "www CAA \\# 0\n", "line 5: www.example.org CAA: there is no data"},
		{head + "www A 192.0.2\n", "line 5: bad A"},
		{head + "\n\nwww A 192.0.2.1 junk\n", "line 7: garbage"},
		{head + "www TXT \"open\n", "line 5: "},
		{head + "www TXT ( open\n", "line 5: "},
		{head + "$INCLUDE /etc/passwd\n", "line 5: $INCLUDE is not taken: it would read a file of the server's machine; put the text of that file in its place"},
		{head + "$include other.zone sub\n", "line 5: $INCLUDE is not taken"},
		{"\ufeff" + head, "line 1: the file begins with a byte order mark; save it as UTF-8 without one"},
		{"\ufeff", "line 1: the file begins with a byte order mark"},
		{"\xff\xfe@\x00", "line 1: the file is UTF-16; save it as UTF-8"},
		{"\xfe\xff\x00@", "line 1: the file is UTF-16"},
		{head + "$GENERATE 1-65535 $ A 192.0.2.1\n", "line 5: $GENERATE"},
		{head + "\n$generate 1-65535 $ A 192.0.2.1\n", "line 6: $GENERATE"},
		{head + "www.example.net. A 192.0.2.1\n", "line 5: the owner www.example.net is outside"},
		{head + "@ SOA ns1 h 1 2 3 4 5\n", "line 5: there is a second SOA"},
		{head + "sub SOA ns1 h 1 2 3 4 5\n", "line 5: there is a SOA record at sub.example.org"},
		{head + "www CH TXT x\n", "line 5: "},
		{head + "www 2147483648 A 192.0.2.1\n", "line 5: "},
		{head + "www ANY\n", "line 5: "},
		{head + "www TYPE250 \\# 1 00\n", "line 5: "},
		{head + "@ CNAME x\n", "line 4: example.org: a CNAME stands beside the SOA"},
		{head + "www CNAME x\nwww A 192.0.2.1\n", "line 5: www.example.org: a CNAME stands beside other data"},
		{head + "www CNAME x\nwww CNAME y\n", "line 5: www.example.org: there is more than one CNAME"},
		{head + "www DNAME x\nwww DNAME y\n", "line 5: www.example.org: there is more than one DNAME"},
		{head + "www DNAME x\nwww NS y\n", "line 5: www.example.org: a DNAME stands beside a delegation"},
		{head[:strings.Index(head, "@ NS")], "there is no NS"},
		{"$TTL 1\n@ SOA a. b. 1 2 3 4 5\n", "line 2: bad owner"},
	} {
		_, err := ReadZoneFile(strings.NewReader(c.text), "", ReadOptions{})
		if err == nil || !strings.Contains(err.Error(), c.want) || KindOf(err) != Invalid {
			t.Errorf("%q\ngot  %v\nwant %s", strings.TrimPrefix(c.text, head), err, c.want)
		}
	}
	many := head + strings.Repeat("www.example.net. A 192.0.2.1\n", 100)
	if _, err := ReadZoneFile(strings.NewReader(many), "", ReadOptions{}); strings.Count(err.Error(), "\n") != maxProblems-1 {
		t.Errorf("the problems are not %d", maxProblems)
	}
	if _, err := ReadZoneFile(strings.NewReader(head), "example.net.", ReadOptions{}); err == nil {
		t.Error("a file of another zone was taken")
	}
	broke := errors.New("the connection broke")
	if _, err := ReadZoneFile(iotest.ErrReader(broke), "", ReadOptions{}); !errors.Is(err, broke) {
		t.Errorf("got %v", err)
	}
}

func TestLenientReading(t *testing.T) {
	odd := head + "www CNAME x\nwww CNAME y\nwww A 192.0.2.1\nsub DNAME x\nsub DNAME y\nsub NS ns1\n"
	f, err := ReadZoneFile(strings.NewReader(odd), "example.org.", ReadOptions{Lenient: true})
	if err != nil || f.Records != 8 {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := ReadZoneFile(strings.NewReader(head+"@ CNAME x\n"), "", ReadOptions{Lenient: true}); err == nil {
		t.Error("a CNAME beside the SOA was taken")
	}
}

// full is a zone with every sample, odd names, hosts and wildcards.
func full(t *testing.T) (*Zone, map[Name]*NameData) {
	ns, _ := ParseRRset(dns.TypeNS, 3600, []string{"ns1.example.net."})
	txt, _ := ParseRRset(dns.TypeTXT, 3600, samples["TXT"])
	z := &Zone{Name: "example.org.", Apex: []RRset{ns, txt}, SOA: SOA{"ns1.example.net.", "host\\.master.example.org.", 7200, 900, 1209600, 600, 3600}}
	names := map[Name]*NameData{}
	add := func(labels string, sets ...RRset) {
		n, err := ParseName(labels + ".example.org.")
		if err != nil {
			t.Fatal(err)
		}
		names[n] = &NameData{RRsets: sets}
	}
	for typ := range samples {
		if n, _ := ParseType(typ); n != dns.TypeSOA {
			set, err := ParseRRset(n, 300, samples[typ])
			if err != nil {
				t.Fatal(err)
			}
			if n == dns.TypeCNAME || n == dns.TypeDNAME {
				set.Data = set.Data[:1]
			}
			add("t-"+strings.ToLower(typ), set)
		}
	}
	for _, odd := range []string{`$ttl`, `$`, `\@`, `a\;b`, `a\"b`, `a\ b`, `\000\010\200`, `\(`, `a\.b`, `*`, `x.*`, `\\`, "3600", "in", "a", "$generate"} {
		add(odd, txt)
	}
	names["host.example.org."] = hostData("192.0.2.1", "2001:db8::1")
	names["wild.example.org."] = hostData("192.0.2.2")
	names["wild.example.org."].Host.Wildcard = true
	names["wild.example.org."].Host.TTL = 20
	add(`*.wild`, txt)
	return z, names
}

// inOrder is names as they are answered.
func inOrder(names map[Name]*NameData) iter.Seq2[Owner, error] {
	return Served(func(yield func(Owner, error) bool) {
		for _, name := range slices.SortedFunc(maps.Keys(names), CompareNames) {
			if !yield(Owner{Name: name, Data: names[name]}, nil) {
				return
			}
		}
	}, DefaultTTL, CompareNames)
}

// What is written is read again, and loads in BIND.
func TestZoneFileRoundTrips(t *testing.T) {
	z, names := full(t)
	var out bytes.Buffer
	if err := WriteZoneFile(&out, z, 4294967295, inOrder(names)); err != nil {
		t.Fatal(err)
	}
	f, err := ReadZoneFile(bytes.NewReader(out.Bytes()), "", ReadOptions{})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if f.Serial != 4294967295 || f.Zone.SOA != z.SOA || f.Len() != len(names) {
		t.Errorf("serial %d, SOA %+v, %d names; want %d", f.Serial, f.Zone.SOA, f.Len(), len(names))
	}
	for name, data := range names {
		want := data.Sets(DefaultTTL)
		if name == "*.wild.example.org." {
			want = Merge(want, names["wild.example.org."].WildcardSets(DefaultTTL)[0])
		}
		got := f.At(name)
		if len(got) != len(want) {
			t.Errorf("%s comes back as %v", name, got)
			continue
		}
		for i := range want {
			if !got[i].Equal(want[i]) {
				t.Errorf("%s comes back as %v, want %v", name, got[i], want[i])
			}
		}
	}
	var again bytes.Buffer
	if err := WriteZoneFile(&again, z, 4294967295, inOrder(names)); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Error("the same zone makes another file")
	}
	loadsInBIND(t, out.Bytes())
}

func loadsInBIND(t *testing.T, text []byte) {
	check, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Skip("named-checkzone is not installed: apt-get install bind9-utils")
	}
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(check, "-k", "ignore", "-i", "none", "example.org", file).CombinedOutput(); err != nil {
		t.Errorf("BIND does not load it: %v\n%s", err, out)
	}
}

func FuzzReadZoneFile(f *testing.F) {
	f.Add(head + "www A 192.0.2.1\n")
	f.Add(head + "$ORIGIN x\n@ TXT ( \"a\"\n b ) ; c\n\\065 CNAME .\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ReadZoneFile(strings.NewReader(text), "", ReadOptions{})
		if err != nil {
			if KindOf(err) != Invalid {
				t.Errorf("an error of kind %v: %v", KindOf(err), err)
			}
			return
		}
		var out bytes.Buffer
		if err := WriteZoneFile(&out, &file.Zone, file.Serial, func(yield func(Owner, error) bool) {
			for name, sets := range file.Names("") {
				if !yield(Owner{Name: name, Sets: sets}, nil) {
					return
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		again, err := ReadZoneFile(&out, "", ReadOptions{})
		if err != nil || again.Records != file.Records {
			t.Errorf("%q comes back otherwise: %v", text, err)
		}
	})
}
