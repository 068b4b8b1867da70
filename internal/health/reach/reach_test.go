package reach

import (
	"net/netip"
	"testing"
)

func prefixes(all ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range all {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// last is the greatest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// TestEveryRowIsRefused from its first address to its last, and is opened by its own
// prefix and by none that is shorter.
func TestEveryRowIsRefused(t *testing.T) {
	for _, row := range table {
		t.Run(row.prefix+" "+row.name, func(t *testing.T) {
			p := netip.MustParsePrefix(row.prefix)
			if p != p.Masked() {
				t.Fatal("it has bits below its length")
			}
			for _, a := range []netip.Addr{p.Addr(), last(p)} {
				if why, may := (Rules{}).May(a); may || why == "" {
					t.Errorf("%s may be tried (%q)", a, why)
				}
				if a.Is4() {
					if _, may := (Rules{}).May(netip.AddrFrom16(a.As16())); may {
						t.Errorf("%s may be tried when it is written in IPv6", a)
					}
				}
				if why, may := (Rules{Allow: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}}).May(a); !may {
					t.Errorf("%s may not be tried although it is allowed: %s", a, why)
				}
				shorter := netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked()
				if _, may := (Rules{Allow: []netip.Prefix{shorter}}).May(a); may {
					t.Errorf("%s may be tried when %s is allowed", a, shorter)
				}
			}
		})
	}
}

func TestMay(t *testing.T) {
	for _, c := range []struct {
		name, addr string
		rules      Rules
		may        bool
	}{
		{"a public address", "8.8.8.8", Rules{}, true},
		{"a public address of IPv6", "2a00:1450::1", Rules{}, true},
		{"a public address written in IPv6", "::ffff:8.8.8.8", Rules{}, true},
		{"just below private use", "9.255.255.255", Rules{}, true},
		{"just above private use", "11.0.0.0", Rules{}, true},
		{"just above shared space", "100.128.0.0", Rules{}, true},
		{"just above 172.16.0.0/12", "172.32.0.0", Rules{}, true},
		{"just above benchmarking", "198.20.0.0", Rules{}, true},
		{"just below multicast", "223.255.255.255", Rules{}, true},
		{"the first of global unicast above protocol assignments", "2001:200::", Rules{}, true},
		{"just above documentation", "2001:db9::", Rules{}, true},
		{"loopback written in IPv6", "::ffff:127.0.0.1", Rules{}, false},
		{"IPv4 in IPv6, the old way", "::127.0.0.1", Rules{}, false},
		{"site-local", "fec0::1", Rules{}, false},
		{"an address of one link", "fe80::1%eth0", Rules{Allow: prefixes("fe80::/10")}, false},
		{"a public address of one link", "2a00:1450::1%eth0", Rules{}, false},
		{"an allowed network", "10.1.2.3", Rules{Allow: prefixes("10.1.0.0/16")}, true},
		{"beside an allowed network", "10.2.2.3", Rules{Allow: prefixes("10.1.0.0/16")}, false},
		{"metadata in an allowed network", "169.254.169.254", Rules{Allow: prefixes("169.254.0.0/16")}, false},
		{"all allowed, private", "10.1.2.3", Rules{Allow: prefixes("0.0.0.0/0")}, false},
		{"all of IPv6 allowed, private", "fd00::1", Rules{Allow: prefixes("::/0")}, false},
		{"all allowed, public", "8.8.8.8", Rules{Allow: prefixes("0.0.0.0/0")}, true},
		{"the operator's own", "8.8.8.8", Rules{Own: prefixes("8.8.8.0/24")}, false},
		{"the operator's own, allowed", "8.8.8.8", Rules{Own: prefixes("8.8.8.0/24"), Allow: prefixes("8.8.8.0/24")}, true},
		{"the operator's own in an allowed network", "10.1.2.3", Rules{Own: prefixes("10.1.2.3/32"), Allow: prefixes("10.0.0.0/8")}, false},
		{"own and private, the own network allowed", "10.1.2.3", Rules{Own: prefixes("10.1.2.0/24"), Allow: prefixes("10.1.2.0/24")}, true},
		{"own and private, less than the own network allowed", "10.1.2.3", Rules{Own: prefixes("10.0.0.0/7"), Allow: prefixes("10.0.0.0/7")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if why, may := c.rules.May(netip.MustParseAddr(c.addr)); may != c.may || may != (why == "") {
				t.Errorf("%s: %v %q", c.addr, may, why)
			}
		})
	}
	if _, may := (Rules{}).May(netip.Addr{}); may {
		t.Error("no address may be tried")
	}
}
