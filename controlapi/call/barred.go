package call

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"signpost/internal/access"
	"signpost/internal/model"
)

// Barred is whom a service has nothing to do with, by its configuration.
type Barred struct {
	// Hosts is patterns of names, "*" standing for any letters and dots: what is at and
	// below such a name, and their secrets, are for operators only.
	Hosts      []string
	Principals []model.PrincipalName // people and groups
	Agents     []string              // parts of user agents, in lower case
	Addresses  []netip.Prefix        // that calls come from
}

// ParseBarred reads what a configuration says. Errors are of kind Invalid and name the
// setting.
func ParseBarred(hosts, principals, agents, addresses []string) (Barred, error) {
	var b Barred
	bad := func(setting, text, why, hint string) (Barred, error) {
		return Barred{}, model.E(model.Invalid, "read setting", setting).Because("\"" + text + "\" " + why).Hint(hint)
	}
	for _, h := range hosts {
		pattern := strings.ToLower(strings.TrimSuffix(h, "."))
		if strings.Trim(pattern, "*.") == "" || strings.Trim(pattern, "abcdefghijklmnopqrstuvwxyz0123456789-_.*") != "" {
			return bad("blocked-hosts", h, "is no pattern of a host's name", "give one such as login-*.vo.example.org")
		}
		b.Hosts = append(b.Hosts, pattern)
	}
	for _, p := range principals {
		n, err := model.ParsePrincipalName("blocked-principals", p)
		if err != nil {
			return Barred{}, err
		}
		b.Principals = append(b.Principals, n)
	}
	for _, a := range agents {
		if strings.TrimSpace(a) == "" {
			return bad("blocked-agents", a, "is in every user agent", "give a part of one, such as badclient/1.")
		}
		b.Agents = append(b.Agents, strings.ToLower(a))
	}
	for _, text := range addresses {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, err := netip.ParseAddr(text)
			if err != nil || a.Zone() != "" {
				return bad("blocked-addresses", text, "is no address or prefix", "give one such as 192.0.2.0/24")
			}
			p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		if p.Addr().Is4In6() { // calls are compared in their own form: it would hold none
			return bad("blocked-addresses", text, "is an IPv4 prefix written in IPv6", "write it as IPv4, such as 192.0.2.0/24")
		}
		b.Addresses = append(b.Addresses, p.Masked())
	}
	return b, nil
}

// address reports whether calls from an address are refused. One that is not known, as
// the client saw to, may be any.
func (b Barred) address(a netip.Addr) bool {
	return len(b.Addresses) > 0 && !a.IsValid() || slices.ContainsFunc(b.Addresses, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// Host reports whether a name is at or below a barred one.
func (b Barred) Host(name model.Name) bool {
	for n, ok := name, name != "" && len(b.Hosts) > 0; ok; n, ok = n.Parent() {
		if slices.ContainsFunc(b.Hosts, func(pattern string) bool { return model.Matches(pattern, n.Text()) }) {
			return true
		}
	}
	return false
}

func (b Barred) agent(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc(b.Agents, func(part string) bool { return strings.Contains(text, part) })
}

// CheckBarred refuses callers by where they come from and by what they say of
// themselves, before their credential is looked at: fqdns is the hosts that they name.
// For protocols that say so first; all calls are checked in any case. Errors: Denied.
func (d *Desk) CheckBarred(ctx context.Context, fqdns ...string) error {
	if d.Barred.address(CallerOf(ctx).Source) {
		return d.Bar("address", "whoami", "")
	}
	for _, f := range fqdns {
		if n := HostAt(f).Name; d.Barred.Host(n) {
			return d.Bar("host", "whoami", n)
		}
	}
	return nil
}

// barredBy is the list that bars a caller of whom it is known who they are; "": none.
func (c *Call) barredBy() string {
	b := c.Desk.Barred
	operator := c.Who.Kind == access.Admin || c.Who.Operator
	switch {
	case c.Who.Kind == access.User && c.Who.Among(b.Principals):
		return "principal"
	case !operator && (b.Host(c.Who.Host) || b.Host(c.Resource.Name)):
		return "host"
	}
	return ""
}

// Bar refuses a call and counts it.
func (d *Desk) Bar(by string, a access.Action, name model.Name) error {
	d.metrics.barred.WithLabelValues(by).Inc()
	cause := model.ErrBarred
	if by == "agent" {
		cause = model.ErrBadAgent
	}
	return model.E(model.Denied, string(a), name.Text()).Because(barredWhy[by]).Hint("ask those who run this service").From(cause)
}

var barredWhy = map[string]string{
	"address":   "calls from your address are not taken",
	"agent":     "calls of your program, as it calls itself, are not taken",
	"host":      "the host is on this service's list of blocked hosts",
	"principal": "you are on this service's list of blocked people and groups",
}

func (c *Call) bar(by string) error {
	c.Refused = true
	return c.Desk.Bar(by, c.Action, c.Resource.Name)
}
