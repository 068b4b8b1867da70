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
		p, err := netip.ParsePrefix(t)
		if err != nil {
			a, err := netip.ParseAddr(t)
			if err != nil {
				return nil, model.E(model.Invalid, "read trusted proxies", t).In("trusted_proxies").
					Because("it is no address or prefix").Hint("give one such as 192.0.2.0/24")
			}
			p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func (p Proxies) contain(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Client is the address that a request came from: the peer's, or, when that is a
// listed proxy, the first one from the right in the headers that is none. Where
// X-Forwarded-For and Forwarded disagree, one of them was written by the client
// and passed on: then the peer's counts. The zero Addr: the peer has none.
func (p Proxies) Client(remoteAddr string, h http.Header) netip.Addr {
	peer, ok := parse(remoteAddr)
	if !ok {
		return netip.Addr{}
	}
	if !p.contain(peer) {
		return peer
	}
	var found []netip.Addr
	for _, chain := range [][]string{split(h.Values("X-Forwarded-For")), forwardedFor(h.Values("Forwarded"))} {
		if len(chain) > 0 {
			found = append(found, p.walk(peer, chain))
		}
	}
	if len(found) == 0 || len(found) == 2 && found[0] != found[1] {
		return peer
	}
	return found[0]
}

// walk goes from the peer through what it says, and what each listed proxy says,
// to the first address that is no listed proxy.
func (p Proxies) walk(at netip.Addr, chain []string) netip.Addr {
	for _, text := range slices.Backward(chain) {
		a, ok := parse(text)
		if !ok {
			return at // "unknown" or hidden: nobody tells who is behind this proxy
		}
		if at = a; !p.contain(a) {
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

func split(lines []string) []string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.Split(l, ",")...)
	}
	return out
}

// forwardedFor is the "for" of each element of Forwarded headers; "" where an
// element has none, for then nobody tells who is behind.
func forwardedFor(lines []string) []string {
	var out []string
	for _, l := range lines {
		for _, element := range splitQuoted(l, ',') {
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
