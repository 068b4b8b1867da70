package model

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestHowAddressesAreFollowed(t *testing.T) {
	addrs := func(texts ...string) (out []netip.Addr) {
		for _, a := range texts {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	for _, tt := range []struct {
		says      string
		v4, v6    string
		main, own []netip.Addr
		want      string
	}{
		{"the same in both", "same", "same", addrs("192.0.2.1", "2001:db8::1"), addrs("192.0.2.9", "2001:db8::9"), "[192.0.2.1 2001:db8::1]"},
		{"one family alone", "", "same", addrs("192.0.2.1", "2001:db8::1"), addrs("192.0.2.9"), "[192.0.2.9 2001:db8::1]"},
		{"a prefix", "same", "::1:2:3:4/64", addrs("192.0.2.1", "2001:db8:1:2:aaaa::1"), nil, "[192.0.2.1 2001:db8:1:2:1:2:3:4]"},
		{"a prefix of IPv4", "0.0.0.7/24", "", addrs("192.0.2.1"), addrs("2001:db8::9"), "[192.0.2.7 2001:db8::9]"},
		{"a length between octets", "", "::1f:0:0:0:5/59", addrs("2001:db8:0:ffe0::1"), nil, "[2001:db8:0:ffff::5]"},
		{"two addresses of one prefix", "", "::5/64", addrs("2001:db8::1", "2001:db8::2", "2001:db8:1::1"), nil, "[2001:db8::5 2001:db8:1::5]"},
		{"none of a family", "same", "same", addrs("192.0.2.1"), addrs("2001:db8::9"), "[192.0.2.1]"},
		{"none at all", "same", "same", nil, addrs("2001:db8::9"), "[]"},
	} {
		t.Run(tt.says, func(t *testing.T) {
			v4, err4 := ParseShare("ipv4", tt.v4, true)
			v6, err6 := ParseShare("ipv6", tt.v6, false)
			if err4 != nil || err6 != nil {
				t.Fatal(err4, err6)
			}
			if ShareText(v4) != tt.v4 || ShareText(v6) != tt.v6 {
				t.Errorf("shown as %q and %q", ShareText(v4), ShareText(v6))
			}
			f := &Following{IPv4: v4, IPv6: v6}
			if got := fmt.Sprint(f.Follow(tt.main, tt.own)); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestHowAddressesCannotBeFollowed(t *testing.T) {
	for _, tt := range []struct {
		text string
		v4   bool
	}{
		{"::5", false}, {"::5/0", false}, {"::5/129", false}, {"2001:db8::5/64", false}, {"0.0.0.5/24", false}, {"::ffff:0.0.0.5/120", false},
		{"10.0.0.5/24", true}, {"::5/64", true}, {"0.0.0.5/33", true}, {"other", true}, {"0.0.0.0/0", true}, {"fe80::1%eth0/64", false},
	} {
		if got, err := ParseShare("follows", tt.text, tt.v4); err == nil || KindOf(err) != Invalid {
			t.Errorf("%s: %v, %v", tt.text, got, err)
		}
	}
}

// The first bits are the one's and the others the other's, whatever the length.
func TestCombine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{4, 16}).Draw(t, "octets")
		address := func(what string) netip.Addr {
			a, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, what))
			return a
		}
		first, rest, bits := address("first"), address("rest"), rapid.IntRange(0, 8*n).Draw(t, "bits")
		got := Combine(first, bits, rest)
		bit := func(a netip.Addr, i int) byte { return a.AsSlice()[i/8] >> (7 - i%8) & 1 }
		for i := range 8 * n {
			if of := map[bool]netip.Addr{true: first, false: rest}[i < bits]; bit(got, i) != bit(of, i) {
				t.Fatalf("bit %d of %v", i, got)
			}
		}
	})
}

func TestFollowersAreKeptInOrder(t *testing.T) {
	h := &HostControl{}
	for _, n := range []Name{"c.", "a.", "b.", "a."} {
		h.Followers = h.WithFollower(n)
	}
	if want := []Name{"a.", "b.", "c."}; !slices.Equal(h.Followers, want) {
		t.Errorf("%v", h.Followers)
	}
	if got := h.WithoutFollower("b."); !slices.Equal(got, []Name{"a.", "c."}) || len(h.Followers) != 3 {
		t.Errorf("%v, and it had %v", got, h.Followers)
	}
}
