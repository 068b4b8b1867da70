// Package clientaddr answers one question: from which address did this request
// come, when proxies may stand between? Headers that anybody can write are
// believed only as far as listed proxies have written them.
package clientaddr

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/model"
)

// Proxies is the networks whose X-Forwarded-For (the last entry of it) and
// Forwarded (RFC 7239) are believed. None: no header is.
type Proxies []netip.Prefix

// ParseProxies reads prefixes and single addresses. Errors are of kind Invalid.
func ParseProxies(texts []string) (Proxies, error) {
	var out Proxies
	for _, t := range texts {
		bad := func(why string) (Proxies, error) {
			return nil, model.E(model.Invalid, "read trusted proxies", t).In("trusted-proxies").Because(why).Hint("give one such as 192.0.2.0/24")
		}
		p, err := netip.ParsePrefix(t)
		if err != nil {
			a, err := netip.ParseAddr(t)
			if err != nil {
				return bad("it is no address or prefix")
			}
			p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		switch {
		case p.Addr().Is4In6(): // peers are compared in their own form
			return bad("it is an IPv4 prefix written in IPv6, and would hold nobody")
		case p.Bits() == 0:
			return bad("it is everybody, and everybody could then say any address for theirs")
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Contain reports whether an address is a listed proxy's.
func (p Proxies) Contain(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Ignores reports whether a request has headers about its client that are not believed,
// because its peer is no listed proxy.
func (p Proxies) Ignores(remoteAddr string, h http.Header) bool {
	if len(h["X-Forwarded-For"]) == 0 && len(h["Forwarded"]) == 0 {
		return false
	}
	peer, ok := parse(remoteAddr)
	return !ok || !p.Contain(peer)
}

// Client is the address that a request came from: the peer's, or, when that is a
// listed proxy, the first one from the right in the headers that is none. The zero
// Addr: it is not known, and the address that would be left, a proxy's, is surely not
// the client's. Either X-Forwarded-For and Forwarded disagree: then one of them was
// written by the client and passed on, and nobody can say which. Or a listed proxy does
// not say who is before it: "unknown", a hidden name (RFC 7239 6.2 and 6.3), an element
// without "for", or nothing that can be read. Or the peer has no address.
func (p Proxies) Client(remoteAddr string, h http.Header) netip.Addr {
	peer, ok := parse(remoteAddr)
	if !ok {
		return netip.Addr{}
	}
	if !p.Contain(peer) {
		return peer
	}
	var found []netip.Addr
	for _, chain := range [][]string{split(h.Values("X-Forwarded-For")), forwardedFor(h.Values("Forwarded"))} {
		if len(chain) > 0 {
			found = append(found, p.walk(peer, chain))
		}
	}
	switch {
	case len(found) == 0:
		return peer
	case len(found) == 2 && found[0] != found[1]:
		return netip.Addr{}
	}
	return found[0]
}

// walk goes from the peer through what it says, and what each listed proxy says,
// to the first address that is no listed proxy.
func (p Proxies) walk(at netip.Addr, chain []string) netip.Addr {
	for _, text := range slices.Backward(chain) {
		a, ok := parse(text)
		if !ok {
			return netip.Addr{}
		}
		if at = a; !p.Contain(a) {
			return a
		}
	}
	return at
}

// parse reads an address, with or without port and brackets.
func parse(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

// split is the elements of a list; empty ones do not count (RFC 9110 5.6.1).
func split(lines []string) []string {
	var out []string
	for _, l := range lines {
		for e := range strings.SplitSeq(l, ",") {
			if e = strings.TrimSpace(e); e != "" {
				out = append(out, e)
			}
		}
	}
	return out
}

// forwardedFor is the "for" of each element of Forwarded headers; "" where an
// element has none, for then nobody tells who is behind. A line with an odd quotation mark
// is one such element: a client that leaves one open would have what a proxy adds to the
// line read as a part of its own element.
func forwardedFor(lines []string) []string {
	var out []string
	for _, l := range lines {
		if strings.Count(l, `"`)%2 != 0 {
			out = append(out, "")
			continue
		}
		for _, element := range splitQuoted(l, ',') {
			if strings.TrimSpace(element) == "" {
				continue // as in split
			}
			node := ""
			for _, pair := range splitQuoted(element, ';') {
				if k, v, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && strings.EqualFold(k, "for") {
					node = strings.Trim(v, `"`)
				}
			}
			out = append(out, node)
		}
	}
	return out
}

// splitQuoted splits at sep outside of quotation marks.
func splitQuoted(s string, sep rune) []string {
	quoted := false
	return strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == sep && !quoted
	})
}
