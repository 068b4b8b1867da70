// Package local answers one question: which addresses does this machine have that others
// can reach? It reads the kernel's tables and sends nothing.
package local

import (
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/agent"
	"signpost/internal/model"
)

// Choice says which addresses are meant.
type Choice struct {
	Interface string // "": that of the default route, for each family its own
	Private   bool   // also private ones
}

// address is an address of the machine's.
type address struct {
	netip.Addr
	link   int  // the number of its interface
	passes bool // it is temporary, deprecated, or not in use yet: nobody should rely on it
}

// route is a default route.
type route struct {
	v4     bool
	link   int
	metric uint32
}

// shared is the space between a provider and its customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Public reports whether an address is one that others reach, private ones only if they
// are wanted.
func Public(a netip.Addr, private bool) bool {
	return a.IsGlobalUnicast() && (private || !a.IsPrivate() && !shared.Contains(a))
}

// choose is the addresses that are meant. The first row that matches:
//
//	address                               chosen
//	of another interface                  no
//	temporary, deprecated, tentative      no
//	loopback, link-local, multicast       no
//	private or shared                     if they are wanted
//	any                                   yes
func choose(all []address, links func(v4 bool) []int, private bool) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		if slices.Contains(links(a.Is4()), a.link) && !a.passes && Public(a.Addr, private) {
			out = append(out, a.Addr)
		}
	}
	return model.NormalizeAddresses(out)
}

// nearest is the interfaces of the default routes of a family with the lowest metric.
func nearest(routes []route, v4 bool) []int {
	var out []int
	var least uint32
	for _, r := range routes {
		switch {
		case r.v4 != v4:
		case out == nil || r.metric < least:
			out, least = []int{r.link}, r.metric
		case r.metric == least:
			out = append(out, r.link)
		}
	}
	return out
}

// Parse reads what a command printed: one address a line. Errors are of kind Invalid.
func Parse(text string) (agent.Seen, error) {
	var out []netip.Addr
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		a, err := netip.ParseAddr(line)
		if err != nil || a.Zone() != "" {
			return agent.Seen{}, model.E(model.Invalid, "read the addresses", "of the address command").Because("a line of its output is no address").Hint("let it print one address a line, nothing else")
		}
		out = append(out, a.Unmap())
	}
	return agent.Seen{Addresses: model.NormalizeAddresses(out), Whole: true}, nil
}
