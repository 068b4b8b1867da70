package dyndns2

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

func TestEveryKindHasAWord(t *testing.T) {
	for _, k := range model.Kinds() {
		v, ok := words[k]
		switch {
		case !ok:
			t.Errorf("%s has none", k)
		case v.word == wordOurFault != (v.status == http.StatusServiceUnavailable):
			t.Errorf("%s: %d %s, but 911 and 503 go together", k, v.status, v.word)
		case v.word == wordGood || v.word == wordSame:
			t.Errorf("%s is said to be %s", k, v.word)
		}
	}
	if len(words) != len(model.Kinds()) {
		t.Errorf("there are words for %v", slices.Sorted(maps.Keys(words)))
	}
}

func TestCredentials(t *testing.T) {
	for header, want := range map[string]struct {
		credential
		ok bool
	}{
		"":                          {},
		"Basic":                     {},
		"Basic !":                   {},
		"Basic YQ==":                {},                            // a
		"Basic YTpi":                {credential{user: "a"}, true}, // a:b
		"basic  YTpi":               {credential{user: "a"}, true},
		"Basic Ong=":                {credential{}, true},                        // :x
		"Basic YTpzcF94":            {credential{token: true, user: "a"}, true},  // a:sp_x
		"Basic YTpzcGhfeA==":        {credential{token: false, user: "a"}, true}, // a:sph_x
		"Bearer x":                  {credential{bearer: true, token: true}, true},
		"bearer":                    {credential{bearer: true, token: true}, false},
		"Cookie x":                  {},
		"Basic YTpi, Basic YTpj":    {},
		"Basic YTpi\x00":            {},
		"Digest username=\"a\", x=": {},
	} {
		got, ok := readCredential(header)
		if got != want.credential || ok != want.ok {
			t.Errorf("%q: %+v %v, want %+v", header, got, ok, want)
		}
	}
}

func parsed(query string) params {
	p := params{value: map[string]string{}, broken: map[string]bool{}}
	p.add(query)
	return p
}

func TestTheLastValueOfAParameterCounts(t *testing.T) {
	p := parsed("hostname=a.b&myip=%zz&hostname=c.d;e&myip=+192.0.2.1+&=x&&novalue")
	if diff := cmp.Diff(map[string]string{"hostname": "c.d;e", "myip": "192.0.2.1", "novalue": ""}, p.value); diff != "" {
		t.Error(diff)
	}
	if p.broken["myip"] {
		t.Error("the broken value was not the last")
	}
}

// FuzzRequest: whatever the query, what is asked of the service is what its contract
// allows: families and addresses agree, no address has a zone, and renumbering keeps
// the number and the host bits of addresses.
func FuzzRequest(f *testing.F) {
	for _, q := range []string{
		"", "hostname=a.example.org&myip=", "myip=192.0.2.1,2001:db8::1", "myip=2001:db8:2::/64&myipv6=", "myipv6=preserve&myipv4=",
		"myip=::ffff:1.2.3.4/120", "myip=fe80::1%25eth0", "ipv6=%zz", "myip=1.2.3.4;5", "hostname=a.,.,b..c&&=&%=", "myip=::/0&ipv6=2001:db8::/33",
	} {
		f.Add(q)
	}
	client := netip.MustParseAddr("198.51.100.7")
	now := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:1::5"), netip.MustParseAddr("2001:db8:1:2::6")}
	f.Fuzz(func(t *testing.T, query string) {
		p := parsed(query)
		for _, n := range p.hostnames() {
			if n == "" || strings.ContainsAny(n, ",") {
				t.Errorf("a name %q", n)
			}
		}
		a := readAddresses(p, client)
		if a.wrong {
			return
		}
		if !a.mentionsAny() {
			if !a.given || len(a.plain) > 0 {
				t.Fatalf("nothing is mentioned, but %+v", a)
			}
			return
		}
		in := &pb.SetAddressesRequest{}
		a.fill(in, now)
		has4, has6 := false, false
		for _, s := range in.GetAddresses() {
			addr, err := netip.ParseAddr(s)
			if err != nil || addr.Zone() != "" || addr.Is4In6() {
				t.Fatalf("an address %q: %v", s, err)
			}
			has4, has6 = has4 || addr.Is4(), has6 || addr.Is6()
		}
		if a.has4 != (has4 || in.GetClearIpv4()) || a.has6 != (has6 || in.GetClearIpv6()) || has4 && in.GetClearIpv4() || has6 && in.GetClearIpv6() {
			t.Fatalf("%+v became %v", a, in)
		}
		if got := a.answer(in.GetAddresses()); got == "" || strings.ContainsAny(got, " \n") {
			t.Fatalf("it is answered %q", got)
		}
		for _, prefix := range a.prefixes {
			for _, to := range renumber(now, prefix) {
				if !prefix.Contains(to) {
					t.Fatalf("%s is not in %s", to, prefix)
				}
			}
		}
	})
}

// FuzzCredential: whatever the header, what is taken for a credential can be one.
func FuzzCredential(f *testing.F) {
	for _, h := range []string{"", "Bearer sp_x", "bearer  ", "Basic d3d3OnNlY3JldA==", "Basic d3d3", "Basic %", "Digest x", "Basic Og=="} {
		f.Add(h)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, ok := readCredential(header)
		switch {
		case !ok:
		case c.bearer && (!c.token || c.user != ""), strings.Contains(c.user, ":"):
			t.Fatalf("%q is read as %+v", header, c)
		}
	})
}
