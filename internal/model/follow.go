package model

import (
	"net/netip"
	"slices"
	"strings"
)

// MostFollowers is how many hosts may follow one: they change with it in one transaction.
const MostFollowers = 20

// Following is that a host has its addresses from another of its zone. Who follows is
// followed by nobody.
type Following struct {
	Main Name
	// IPv4 and IPv6 say how the addresses of a family are made: those of Main, with the bits
	// after the length replaced by those of the prefix's address. With the length of the whole
	// address they are the same; with the zero Prefix the family is not followed.
	IPv4, IPv6 netip.Prefix
}

// Of is how addresses of a family are made.
func (f *Following) Of(v4 bool) netip.Prefix {
	switch {
	case f == nil:
		return netip.Prefix{}
	case v4:
		return f.IPv4
	}
	return f.IPv6
}

// Same is the prefix of a family with which a follower has the same addresses.
func Same(v4 bool) netip.Prefix {
	if v4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 32)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 128)
}

// ParseShare reads how addresses of a family are made: "same", INTERFACE/LENGTH such as
// ::1:2:3:4/64, or "" for not followed. Errors are of kind Invalid and name the field.
func ParseShare(field, text string, v4 bool) (netip.Prefix, error) {
	bad := func(why, hint string) (netip.Prefix, error) {
		return netip.Prefix{}, E(Invalid, "read how addresses are followed", text).In(field).Because(why).Hint(hint)
	}
	switch text = strings.TrimSpace(text); text {
	case "":
		return netip.Prefix{}, nil
	case "same":
		return Same(v4), nil
	}
	example := "give same, or the part of the address that is the host's own, and how many bits before it are the main host's, such as ::1:2:3:4/64"
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return bad("it is not INTERFACE/LENGTH", example)
	case p.Addr().Is4() != v4:
		return bad("it is of the other family", example)
	case p.Bits() == 0:
		return bad("with a length of 0 nothing of the address is the main host's", "set the address itself, and follow nothing in this family")
	case Combine(p.Addr(), p.Bits(), zeroOf(v4)) != zeroOf(v4):
		return bad("it has bits before the length, where those of the main host are", example)
	}
	return p, nil
}

func zeroOf(v4 bool) netip.Addr { return Same(v4).Addr() }

// ShareText is what ParseShare reads.
func ShareText(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case p.Bits() == p.Addr().BitLen():
		return "same"
	}
	return p.String()
}

// Follow is the addresses of one who follows in the families that it follows, those of main
// made as it says, and else its own; sorted, without duplicates.
func (f *Following) Follow(main, own []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range own {
		if !f.Of(a.Is4()).IsValid() {
			out = append(out, a)
		}
	}
	for _, a := range main {
		if p := f.Of(a.Is4()); p.IsValid() {
			out = append(out, Combine(a, p.Bits(), p.Addr()))
		}
	}
	return NormalizeAddresses(out)
}

// Combine is the first bits of one address, and the rest of another of its family.
func Combine(first netip.Addr, bits int, rest netip.Addr) netip.Addr {
	a, b := first.AsSlice(), rest.AsSlice()
	for bit := range bits {
		mask := byte(1) << (7 - bit%8)
		b[bit/8] = b[bit/8]&^mask | a[bit/8]&mask
	}
	out, _ := netip.AddrFromSlice(b)
	return out
}

// String is what is followed, for people; "" for nobody.
func (f *Following) String() string {
	if f == nil {
		return ""
	}
	text := f.Main.Text()
	for _, v4 := range []bool{true, false} {
		if p := f.Of(v4); p.IsValid() {
			text += ", " + familyName(v4) + " " + ShareText(p)
		}
	}
	return text
}

func familyName(v4 bool) string {
	if v4 {
		return "ipv4"
	}
	return "ipv6"
}

// WithFollower is the names of those who follow a host with one more; WithoutFollower
// with one fewer. They are sorted.
func (h *HostControl) WithFollower(n Name) []Name {
	at, found := slices.BinarySearch(h.Followers, n)
	if found {
		return h.Followers
	}
	return slices.Insert(slices.Clone(h.Followers), at, n)
}

// WithoutFollower is the names of those who follow a host without one.
func (h *HostControl) WithoutFollower(n Name) []Name {
	return slices.DeleteFunc(slices.Clone(h.Followers), func(f Name) bool { return f == n })
}
