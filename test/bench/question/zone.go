// Package question answers one question: which zone do all servers serve, what are
// they asked, and which reply is right?
package question

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
)

// Zone is the zone's name, without the last dot.
const Zone = "bench.example.org"

const (
	ttl = 60
	// One name in four has an AAAA too: a million names are 1.25 million records, and
	// three of four AAAA questions find no data.
	aaaaEvery = 4
)

// Name is the label of the i-th name.
func Name(i int) string { return fmt.Sprintf("h%d", i) }

// A is the IPv4 address of the i-th name. No two names have the same.
func A(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24|uint32(i))
	return netip.AddrFrom4(b)
}

// AAAA is the IPv6 address of the i-th name, if it has one.
func AAAA(i int) (netip.Addr, bool) {
	if i%aaaaEvery != 0 {
		return netip.Addr{}, false
	}
	b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
	binary.BigEndian.PutUint32(b[12:], uint32(i))
	return netip.AddrFrom16(b), true
}

// WriteZone writes the zone with n names as a zone file.
func WriteZone(to io.Writer, n int) error {
	w := bufio.NewWriterSize(to, 1<<20)
	fmt.Fprintf(w, "$ORIGIN %s.\n$TTL %d\n", Zone, ttl)
	fmt.Fprintf(w, "@ SOA ns1 hostmaster 1 7200 900 1209600 30\n@ NS ns1\nns1 A 192.0.2.53\n")
	for i := range n {
		fmt.Fprintf(w, "%s A %s\n", Name(i), A(i))
		if a, ok := AAAA(i); ok {
			fmt.Fprintf(w, "%s AAAA %s\n", Name(i), a)
		}
	}
	return w.Flush()
}
