// Package model answers one question: what are a zone, a name, a host, a record
// set and a credential, and which of them are valid? It has words only: it opens
// no socket, reads no clock and knows no store. The kinds of error live here too.
package model

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// Name is a domain name in the one form in which names are compared: fully
// qualified, ASCII letters in lower case (RFC 4343), in presentation format with
// exactly the escapes that miekg/dns writes when it unpacks a message. Two Names
// are the same domain name if and only if they are equal strings. The zero Name
// is no name; the root is ".".
type Name string

// Root is the name of the DNS root.
const Root Name = "."

// ParseName reads any domain name that RFC 1035 allows (RFC 2181 section 11: any
// octet in any label), with or without the final dot. Labels are at most 63
// octets, the name at most 255 in wire form. Errors are of kind Invalid.
func ParseName(s string) (Name, error) {
	if s == "" {
		return "", E(Invalid, "read domain name", s).Because("it is empty").Hint("give a name such as www.example.org")
	}
	var buf [256]byte
	n, err := dns.PackDomainName(dns.Fqdn(s), buf[:255], 0, nil, false)
	if err != nil || !escapesAreWhole(s) {
		return "", E(Invalid, "read domain name", s).Because("a label is empty or longer than 63 octets, the name longer than 255, or an escape is broken")
	}
	return nameFromWire(buf[:n])
}

// escapesAreWhole reports whether each backslash is followed by three digits of at
// most 255 or by something else than a digit (RFC 1035 section 5.1). miekg/dns lets
// others through.
func escapesAreWhole(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		if i == len(s) {
			return false
		}
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		if i+3 > len(s) {
			return false
		}
		if _, err := strconv.ParseUint(s[i:i+3], 10, 8); err != nil {
			return false
		}
		i += 2
	}
	return true
}

// NameFromWire reads an uncompressed name in wire form. Errors are of kind
// Invalid.
func NameFromWire(wire []byte) (Name, error) { return nameFromWire(append([]byte(nil), wire...)) }

func nameFromWire(wire []byte) (Name, error) {
	for i := 0; i < len(wire); {
		l := int(wire[i])
		i++
		for j := i; j < i+l && j < len(wire); j++ {
			if c := wire[j]; 'A' <= c && c <= 'Z' {
				wire[j] = c + 'a' - 'A'
			}
		}
		i += l
	}
	s, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		return "", E(Invalid, "read domain name", "").Because(err.Error())
	}
	return Name(s), nil
}

// NameOf turns a name that miekg/dns has unpacked from a message, and which
// therefore has canonical escapes, into a Name. It allocates only when the name
// holds upper-case letters.
func NameOf(unpacked string) Name {
	for i := 0; i < len(unpacked); i++ {
		if c := unpacked[i]; 'A' <= c && c <= 'Z' {
			return Name(lower(unpacked))
		}
	}
	return Name(unpacked)
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// NameFromLabels builds a name from its labels as raw octets, the leftmost first.
// No labels make the root. Errors are of kind Invalid.
func NameFromLabels(labels ...string) (Name, error) {
	wire := make([]byte, 0, 64)
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return "", E(Invalid, "read label", l).Because("a label has 1 to 63 octets")
		}
		wire = append(wire, byte(len(l)))
		wire = append(wire, l...)
	}
	if len(wire)+1 > 255 {
		return "", E(Invalid, "read domain name", strings.Join(labels, ".")).Because("a name has at most 255 octets in wire form")
	}
	return nameFromWire(append(wire, 0))
}

// String is the name in presentation format, with the final dot.
func (n Name) String() string { return string(n) }

// Text is the name without the final dot, as people write it; the root is ".".
func (n Name) Text() string {
	if n == Root || n == "" {
		return string(n)
	}
	return string(n[:len(n)-1])
}

// Wire appends the name in uncompressed wire form to buf.
func (n Name) Wire(buf []byte) []byte {
	var b [256]byte
	off, err := dns.PackDomainName(string(n), b[:], 0, nil, false)
	if err != nil {
		panic("model: a Name that is no domain name: " + string(n)) // a Name was made without ParseName
	}
	return append(buf, b[:off]...)
}

// Labels is the name's labels as raw octets, the leftmost first; the root has none.
func (n Name) Labels() []string {
	wire := n.Wire(nil)
	var labels []string
	for i := 0; i < len(wire) && wire[i] != 0; i += 1 + int(wire[i]) {
		labels = append(labels, string(wire[i+1:i+1+int(wire[i])]))
	}
	return labels
}

// CountLabels is the number of labels; the root has none.
func (n Name) CountLabels() int { return dns.CountLabel(string(n)) }

// Parent is the name without its leftmost label. The root has none: ok is false.
func (n Name) Parent() (parent Name, ok bool) {
	if n == Root || n == "" {
		return "", false
	}
	i, end := dns.NextLabel(string(n), 0)
	if end {
		return Root, true
	}
	return n[i:], true
}

// In reports whether n is z or a name below it.
func (n Name) In(z Name) bool {
	if z == Root || n == z {
		return n != ""
	}
	if len(n) <= len(z)+1 || n[len(n)-len(z):] != z {
		return false
	}
	// The octet before must be a separating dot, not an escaped one.
	i := len(n) - len(z) - 1
	if n[i] != '.' {
		return false
	}
	slashes := 0
	for j := i - 1; j >= 0 && n[j] == '\\'; j-- {
		slashes++
	}
	return slashes%2 == 0
}

// Below reports whether n is strictly below z.
func (n Name) Below(z Name) bool { return n != z && n.In(z) }

// IsWildcard reports whether the leftmost label is "*" (RFC 4592 section 2.1.1).
func (n Name) IsWildcard() bool { return strings.HasPrefix(string(n), "*.") }

// Child is the name label.n. Errors are of kind Invalid.
func (n Name) Child(label string) (Name, error) {
	return NameFromLabels(append([]string{label}, n.Labels()...)...)
}

// ParseHostName reads the name of a host: labels of letters, digits and hyphens
// (LDH, RFC 1123 section 2.1), none of them starting or ending with a hyphen.
// Internationalized names are accepted in U-label form and kept in A-label form
// (IDNA2008, RFC 5891). Errors are of kind Invalid and name the field.
func ParseHostName(field, s string) (Name, error) {
	bad := func(why string) (Name, error) {
		return "", E(Invalid, "read host name", s).In(field).Because(why).Hint("use letters, digits and hyphens, such as my-server.vo.example.org")
	}
	plain := strings.TrimSuffix(s, ".")
	if plain == "" {
		return bad("it is empty")
	}
	for i := 0; i < len(plain); i++ {
		if plain[i] >= 0x80 {
			a, err := idna.Lookup.ToASCII(plain)
			if err != nil || strings.ContainsRune(plain, utf8.RuneError) { // what is no UTF-8 is such runes to idna
				return bad("it is not a valid internationalized name")
			}
			plain = a
			break
		}
	}
	for l := range strings.SplitSeq(plain, ".") {
		if !isLDH(l) {
			return bad("the label \"" + l + "\" is not of 1 to 63 letters, digits and inner hyphens")
		}
	}
	// Nothing in it needs an escape, so that its text is its canonical form.
	if len(plain)+2 > 255 {
		return bad("it is longer than 255 octets")
	}
	return NameOf(plain + "."), nil
}

func isLDH(l string) bool {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return false
	}
	for i := 0; i < len(l); i++ {
		c := l[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// CompareNames orders names canonically (RFC 4034 section 6.1): by their labels as
// octets, the rightmost first, so that a name comes just before those below it.
func CompareNames(a, b Name) int {
	if a == b {
		return 0
	}
	return slices.Compare(a.reversed(), b.reversed())
}

func (n Name) reversed() []string {
	labels := n.Labels()
	slices.Reverse(labels)
	return labels
}
