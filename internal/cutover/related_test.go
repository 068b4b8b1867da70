package cutover

import (
	"testing"

	"signpost/internal/cutover/dump"
)

// A related host has, after the main host's network, its interface; what cannot be said so
// is no follower.
func TestRelatedHosts(t *testing.T) {
	for name, c := range map[string]struct {
		v4, v6       string
		mask4, mask6 int
		want         string
	}{
		"IPv6":                 {"", "::1:2", 0, 0, "www.example.org, ipv6 ::1:2/64"},
		"another netmask":      {"", "::5:0:0:0:1", 0, 56, "www.example.org, ipv6 ::5:0:0:0:1/56"},
		"both":                 {"0.0.0.5", "::1", 24, 64, "www.example.org, ipv4 0.0.0.5/24, ipv6 ::1/64"},
		"the same":             {"0.0.0.0", "", 32, 64, "www.example.org, ipv4 same"},
		"more than its part":   {"0.0.0.5", "", 32, 64, ""},
		"bits of the network":  {"", "2001:db8::1", 32, 64, ""},
		"nothing":              {"", "", 32, 64, ""},
		"garbage":              {"x", "", 32, 64, ""},
		"of the other family":  {"::1", "", 24, 64, ""},
		"a netmask of nothing": {"", "::1", 32, 129, ""},
	} {
		r := &dump.Related{Interface4: c.v4, Interface6: c.v6, Main: &dump.Host{Netmask4: c.mask4, Netmask6: c.mask6}}
		f, why := following(r, "www.example.org.")
		if f.String() != c.want || (f == nil) != (why != "") {
			t.Errorf("%s: %s (%s), want %s", name, f, why, c.want)
		}
	}
}
