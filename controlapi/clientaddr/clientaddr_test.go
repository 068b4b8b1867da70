package clientaddr

import (
	"net/http"
	"net/netip"
	"testing"

	"signpost/internal/model"
)

func TestClient(t *testing.T) {
	proxies, err := ParseProxies([]string{"192.0.2.0/24", "2001:db8:1::1", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, peer string
		xff, fwd   []string
		want       string
	}{
		{"no proxy: headers are not believed", "203.0.113.9:1", []string{"198.51.100.1"}, []string{"for=198.51.100.1"}, "203.0.113.9"},
		{"v4-mapped peer", "[::ffff:203.0.113.9]:1", nil, nil, "203.0.113.9"},
		{"v6 peer with zone", "[fe80::1%eth0]:1", nil, nil, "fe80::1"},
		{"proxy without headers", "192.0.2.1:1", nil, nil, "192.0.2.1"},
		{"one proxy", "192.0.2.1:1", []string{"198.51.100.1"}, nil, "198.51.100.1"},
		{"the client's own entries stand left", "192.0.2.1:1", []string{"10.0.0.1, 198.51.100.1"}, nil, "198.51.100.1"},
		{"two proxies", "127.0.0.1:1", []string{"10.0.0.1, 198.51.100.1, 192.0.2.7"}, nil, "198.51.100.1"},
		{"several header lines", "127.0.0.1:1", []string{"10.0.0.1", "198.51.100.1", "192.0.2.7"}, nil, "198.51.100.1"},
		{"all proxies: the leftmost", "127.0.0.1:1", []string{"192.0.2.9,192.0.2.8"}, nil, "192.0.2.9"},
		{"a proxy that does not know its client", "127.0.0.1:1", []string{"198.51.100.1, unknown, 192.0.2.8"}, nil, ""},
		{"a proxy that hides its client", "127.0.0.1:1", nil, []string{"for=198.51.100.1, for=_hidden, for=192.0.2.8"}, ""},
		{"unknown left of the client is the client's own", "127.0.0.1:1", []string{"unknown, 198.51.100.1"}, nil, "198.51.100.1"},
		{"hidden port", "127.0.0.1:1", nil, []string{`for="198.51.100.1:_port"`}, "198.51.100.1"},
		{"nothing that can be read", "127.0.0.1:1", []string{"198.51.100.1, 1.2.3"}, nil, ""},
		{"empty elements do not count", "127.0.0.1:1", []string{" ,198.51.100.1, ,"}, []string{"for=198.51.100.1,,"}, "198.51.100.1"},
		{"entry with port", "127.0.0.1:1", []string{"[2001:db8::5]:4711"}, nil, "2001:db8::5"},
		{"Forwarded", "[2001:db8:1::1]:1", nil, []string{`for="[2001:db8::5]:4711";proto=https;by=203.0.113.43, for=192.0.2.43`}, "2001:db8::5"},
		{"Forwarded with a comma in quotes", "127.0.0.1:1", nil, []string{`host="a,b";For=198.51.100.1`}, "198.51.100.1"},
		{"Forwarded without for", "127.0.0.1:1", nil, []string{`for=198.51.100.1, proto=https`}, ""},
		{"a quotation mark left open by the client, before what its proxy adds", "127.0.0.1:1", nil, []string{`for=10.9.9.9;x=", for=198.51.100.1`}, ""},
		{"the same, and the proxy quotes", "127.0.0.1:1", nil, []string{`for=10.9.9.9;x=", for="[2001:db8::5]:4711"`}, ""},
		{"one left open in a line of its own", "127.0.0.1:1", nil, []string{`for=10.9.9.9;x="`, `for=198.51.100.1`}, "198.51.100.1"},
		{"both agree", "127.0.0.1:1", []string{"198.51.100.1"}, []string{"for=198.51.100.1"}, "198.51.100.1"},
		{"both disagree: one is forged", "127.0.0.1:1", []string{"198.51.100.1"}, []string{"for=198.51.100.2"}, ""},
		{"both disagree on a proxy: it is no client", "127.0.0.1:1", []string{"198.51.100.1"}, []string{"proto=https"}, ""},
	} {
		got := proxies.Client(c.peer, http.Header{"X-Forwarded-For": c.xff, "Forwarded": c.fwd})
		if want, _ := netip.ParseAddr(c.want); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if a := proxies.Client("@", nil); a.IsValid() {
		t.Errorf("a peer without address: %s", a)
	}
	for _, bad := range []string{"nonsense", "::ffff:192.0.2.0/120", "0.0.0.0/0", "192.0.2.1/0", "::/0"} {
		if _, err := ParseProxies([]string{bad}); err == nil || model.KindOf(err) != model.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if mapped, err := ParseProxies([]string{"::ffff:192.0.2.1"}); err != nil || !mapped.Contain(netip.MustParseAddr("192.0.2.1")) {
		t.Errorf("%v, %v", mapped, err)
	}
}

func TestHeadersOfAnUnlistedPeerAreNoticed(t *testing.T) {
	proxies, err := ParseProxies([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		peer string
		h    http.Header
		want bool
	}{
		{"203.0.113.9:1", http.Header{}, false},
		{"203.0.113.9:1", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, true},
		{"203.0.113.9:1", http.Header{"Forwarded": {"for=198.51.100.1"}}, true},
		{"192.0.2.9:1", http.Header{"X-Forwarded-For": {"198.51.100.1"}, "Forwarded": {"for=198.51.100.1"}}, false},
		{"@", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, true},
	} {
		if got := proxies.Ignores(c.peer, c.h); got != c.want {
			t.Errorf("%s %v: %v", c.peer, c.h, got)
		}
	}
}
