package monitor

import (
	"net/netip"
	"strings"
	"testing"

	"signpost/internal/model"
)

func TestRulesOfAnOperator(t *testing.T) {
	r, err := ParseRules([]string{"a.example.org=10.0.0.0/8", "A.example.org=fd00::/8", "*=192.168.7.9"}, []string{"198.18.0.0/15", "8.8.4.0/24", "9.9.9.9"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		zone model.Name
		addr string
		may  bool
	}{
		{"a.example.org.", "10.1.2.3", true},
		{"b.example.org.", "10.1.2.3", false},
		{"x.a.example.org.", "10.1.2.3", false},
		{"a.example.org.", "fd00::1", true},
		{"b.example.org.", "192.168.7.9", true},
		{"b.example.org.", "192.168.7.8", false},
		{"b.example.org.", "8.8.4.4", false},
		{"b.example.org.", "9.9.9.9", false},
		{"b.example.org.", "8.8.8.8", true},
		{"b.example.org.", "127.0.0.1", false},
	} {
		if why, may := r.of(tt.zone).May(netip.MustParseAddr(tt.addr)); may != tt.may {
			t.Errorf("%s in %s: %t (%s), wanted %t", tt.addr, tt.zone, may, why, tt.may)
		}
	}
}

func TestThisMachinesAddressesAreTheOperators(t *testing.T) {
	r, err := Rules{}.Here()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Own {
		if p.Addr().Is4() && p.Bits() != 32 {
			t.Errorf("%v is more than an address", p)
		}
	}
	r.Allow = map[model.Name][]netip.Prefix{anyZone: {netip.MustParsePrefix("127.0.0.0/8")}}
	if _, may := r.of("example.org.").May(netip.MustParseAddr("127.0.0.1")); may {
		t.Error("an allowed network opens this machine's own address in it")
	}
	if _, may := r.of("example.org.").May(netip.MustParseAddr("127.0.1.1")); !may {
		t.Error("an allowed network does not open another address in it")
	}
}

func TestBadRulesAreRefusedByField(t *testing.T) {
	for _, tt := range []struct {
		allow, own []string
		field      string
	}{
		{[]string{"10.0.0.0/8"}, nil, "allow"},
		{[]string{"=10.0.0.0/8"}, nil, "allow"},
		{[]string{"example.org=10.0.0.0/33"}, nil, "allow"},
		{[]string{"example.org=10.0.0.1/8"}, nil, "allow"},
		{[]string{"-.example..org=10.0.0.0/8"}, nil, "allow"},
		{nil, []string{"ten"}, "own-addresses"},
	} {
		_, err := ParseRules(tt.allow, tt.own)
		if model.KindOf(err) != model.Invalid || !strings.Contains(err.Error(), tt.field) {
			t.Errorf("%v %v: %v, wanted Invalid with %s", tt.allow, tt.own, err, tt.field)
		}
	}
}
