package local

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"signpost/internal/agent/local/netnstest"
)

func looks(t *testing.T, c Choice) string {
	t.Helper()
	seen, err := c.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !seen.Whole {
		t.Error("these are not all")
	}
	return strings.Trim(fmt.Sprint(seen.Addresses), "[]")
}

// Only what others can rely on is told: not link-local, not temporary, deprecated or
// tentative, private only when it is wanted, and of the default route's interface.
func TestAddressesThatOthersReach(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	ip := func(args string) { t.Helper(); netnstest.IP(t, args) }
	if got := looks(t, Choice{}); got != "" {
		t.Errorf("without an interface: %s", got)
	}
	netnstest.Link(t, "up0")
	netnstest.Link(t, "up1")
	ip("addr add 192.0.2.1/24 dev up0")
	ip("addr add 192.0.2.7/24 dev up0") // secondary: the same bit as temporary
	ip("addr add 10.1.1.1/24 dev up0")
	ip("addr add 100.64.0.1/24 dev up0")
	ip("addr add 169.254.1.1/16 dev up0")
	ip("-6 addr add 2001:db8::1/64 dev up0 nodad")
	ip("-6 addr add 2001:db8::d/64 dev up0 nodad preferred_lft 0 valid_lft 3600")
	ip("-6 addr add fd00::1/64 dev up0 nodad")
	ip("addr add 198.51.100.1/24 dev up1")
	ip("-6 addr add 2001:db8:1::1/64 dev up1 nodad")
	if got := looks(t, Choice{}); got != "" {
		t.Errorf("without a default route: %s", got)
	}
	ip("route add default via 192.0.2.254 metric 100")
	ip("-6 route add default via 2001:db8::fe dev up0 metric 100")
	for _, tt := range []struct {
		c    Choice
		want string
	}{
		{Choice{}, "192.0.2.1 192.0.2.7 2001:db8::1"},
		{Choice{Private: true}, "10.1.1.1 100.64.0.1 192.0.2.1 192.0.2.7 2001:db8::1 fd00::1"},
		{Choice{Interface: "up1"}, "198.51.100.1 2001:db8:1::1"},
		{Choice{Interface: "lo"}, ""},
	} {
		if got := looks(t, tt.c); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.c, got, tt.want)
		}
	}
	// Each family has its own default route, and the lowest metric counts.
	ip("route add default via 198.51.100.254 metric 50")
	if got := looks(t, Choice{}); got != "198.51.100.1 2001:db8::1" {
		t.Errorf("the better route: %s", got)
	}
	ip("route replace default metric 50 nexthop via 198.51.100.254 nexthop via 192.0.2.254")
	if got := looks(t, Choice{}); got != "192.0.2.1 192.0.2.7 198.51.100.1 2001:db8::1" {
		t.Errorf("a route with two ways: %s", got)
	}
	if _, err := (Choice{Interface: "none0"}).Look(t.Context()); err == nil || !strings.Contains(err.Error(), "none0") {
		t.Errorf("an interface that is not there: %v", err)
	}
}

func TestChangesAreTold(t *testing.T) {
	if !netnstest.Inside(t) {
		return
	}
	netnstest.Link(t, "up0")
	changes, err := Changes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"addr add 192.0.2.1/24 dev up0", "route add default via 192.0.2.254", "addr del 192.0.2.1/24 dev up0"} {
		for drained := false; !drained; {
			select {
			case <-changes:
			case <-time.After(200 * time.Millisecond): // those of before are through
				drained = true
			}
		}
		netnstest.IP(t, args)
		select {
		case <-changes:
		case <-time.After(10 * time.Second):
			t.Errorf("ip %s: nothing is told", args)
		}
	}
}

func TestWhatIsPublic(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "always", "2001:db8::1": "always", "10.0.0.1": "private", "172.16.0.1": "private", "192.168.0.1": "private",
		"100.64.0.1": "private", "fd00::1": "private", "127.0.0.1": "never", "::1": "never", "169.254.0.1": "never", "fe80::1": "never",
		"224.0.0.1": "never", "ff02::1": "never", "0.0.0.0": "never", "255.255.255.255": "never",
	} {
		a := netip.MustParseAddr(text)
		got := map[[2]bool]string{{true, true}: "always", {false, true}: "private", {false, false}: "never"}[[2]bool{Public(a, false), Public(a, true)}]
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestWhatACommandPrints(t *testing.T) {
	seen, err := Parse("192.0.2.1\n\n 2001:db8::1 \r\n::ffff:192.0.2.2\n192.0.2.1")
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")}
	if err != nil || !seen.Whole || !slices.Equal(seen.Addresses, want) {
		t.Errorf("%v, %v", seen, err)
	}
	for _, text := range []string{"192.0.2.1 192.0.2.2", "<html>", "fe80::1%eth0", "192.0.2.1/24", "error\n192.0.2.1"} {
		if seen, err := Parse(text); err == nil {
			t.Errorf("%q is read as %v", text, seen)
		}
	}
}
