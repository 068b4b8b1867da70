package zone_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/zone"
	"signpost/internal/zone/zonetest"
)

// What a reply holds belongs to the caller: plugins after us change it.
func TestRepliesShareNothingWithTheView(t *testing.T) {
	text, err := zonetest.Changes(`
$ORIGIN example.org.
$TTL 300
@ SOA ns1 hostmaster 7 7200 900 1209600 600
@ NS ns1
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
two A 192.0.2.1
two A 192.0.2.2
txt TXT "a" "b"
svc HTTPS 1 ns1 alpn=h2,h3 ipv4hint=192.0.2.1 ech=AAAA
ds  DS 1 13 2 00ff
sub NS ns1
alias CNAME two
old DNAME two
raw TYPE65280 \# 2 abcd
`, 1)
	if err != nil {
		t.Fatal(err)
	}
	v := zone.Empty(0).Apply(1, text)
	for _, q := range []struct {
		name  string
		qtype uint16
	}{
		{"example.org.", dns.TypeNS}, {"example.org.", dns.TypeSOA}, {"ns1.example.org.", dns.TypeA}, {"ns1.example.org.", dns.TypeAAAA},
		{"two.example.org.", dns.TypeA}, {"txt.example.org.", dns.TypeTXT}, {"svc.example.org.", dns.TypeHTTPS}, {"ds.example.org.", dns.TypeDS},
		{"x.sub.example.org.", dns.TypeA}, {"alias.example.org.", dns.TypeA}, {"x.old.example.org.", dns.TypeA}, {"raw.example.org.", 65280},
		{"none.example.org.", dns.TypeA},
	} {
		before := says(v, q.name, q.qtype)
		r := v.Zone("example.org.").Answer(q.name, q.qtype, 0)
		spoil(r.Answer)
		spoil(r.Ns)
		spoil(r.Extra)
		if after := says(v, q.name, q.qtype); after != before {
			t.Errorf("%s %s: a caller's change came back\nbefore %s\nafter  %s", q.name, dns.Type(q.qtype), before, after)
		}
	}
	for rr := range v.Zone("example.org.").Records() {
		spoil([]dns.RR{rr})
	}
	expect(t, v, "ns1.example.org.", dns.TypeA, "NOERROR aa; answer ns1.example.org. 300 A 192.0.2.1")
}

// spoil changes all that can be changed in records, and what lies behind a slice.
func spoil(rrs []dns.RR) {
	for i, rr := range rrs {
		rr.Header().Name, rr.Header().Ttl = "spoilt.", 0
		switch rr := rr.(type) {
		case *dns.A:
			for i := range rr.A[:cap(rr.A)] {
				rr.A[:cap(rr.A)][i] = 255
			}
		case *dns.AAAA:
			rr.AAAA[15] = 255
		case *dns.TXT:
			rr.Txt[0] = "spoilt"
		case *dns.HTTPS:
			for _, kv := range rr.Value {
				switch kv := kv.(type) {
				case *dns.SVCBAlpn:
					kv.Alpn[0] = "spoilt"
				case *dns.SVCBIPv4Hint:
					kv.Hint[0][0] = 255
				case *dns.SVCBECHConfig:
					kv.ECH[0] = 255
				}
			}
		case *dns.SOA:
			rr.Serial, rr.Ns = 0, "spoilt."
		}
		rrs[i] = nil
	}
	_ = append(rrs, &dns.TXT{})
}

// A transfer has everything but the SOA: what is hidden below delegations and
// DNAMEs, and wildcards of hosts as "*".
func TestRecords(t *testing.T) {
	const text = `
$ORIGIN example.org.
$TTL 300
@        SOA ns1 hostmaster 7 7200 900 1209600 600
@        NS  ns1.sub
@        TXT "apex"
sub      NS  ns1.sub
ns1.sub  A   192.0.2.1
x.ns1.sub TXT "hidden"
old      DNAME new
a.old    TXT "hidden"
*.w      TXT "explicit"
`
	v := viewOf(t, text, []model.Change{host(t, "w.example.org. ttl=20 wildcard 192.0.2.9 2001:db8::9")})
	var got []string
	first := true
	for rr := range v.Zone("example.org.").Records() {
		if first && rr.Header().Name != "example.org." {
			t.Errorf("the first is %s, not of the apex", rr)
		}
		first = false
		got = append(got, line(rr))
	}
	slices.Sort(got)
	want := []string{
		`*.w.example.org. 20 A 192.0.2.9`,
		`*.w.example.org. 20 AAAA 2001:db8::9`,
		`*.w.example.org. 300 TXT "explicit"`,
		`a.old.example.org. 300 TXT "hidden"`,
		`example.org. 300 NS ns1.sub.example.org.`,
		`example.org. 300 TXT "apex"`,
		`ns1.sub.example.org. 300 A 192.0.2.1`,
		`old.example.org. 300 DNAME new.example.org.`,
		`sub.example.org. 300 NS ns1.sub.example.org.`,
		`w.example.org. 20 A 192.0.2.9`,
		`w.example.org. 20 AAAA 2001:db8::9`,
		`x.ns1.sub.example.org. 300 TXT "hidden"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A name of 255 octets leaves no room for the "*." of its wildcard.
func TestWildcardOfTheLongestName(t *testing.T) {
	l := strings.Repeat("a", 60)
	long := fmt.Sprintf("aa%s.%s.%s.%s.example.", l, l, l, l)
	v := viewOf(t, "$ORIGIN example.\n"+small, []model.Change{host(t, long+" wildcard 192.0.2.1")})
	expect(t, v, long, dns.TypeA, "NOERROR aa; answer "+long+" 60 A 192.0.2.1")
	for rr := range v.Zone("example.").Records() {
		if _, err := model.ParseName(rr.Header().Name); err != nil {
			t.Error(err)
		}
	}
}
