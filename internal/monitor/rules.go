package monitor

import (
	"errors"
	"net"
	"net/netip"
	"strings"

	"signpost/internal/health/reach"
	"signpost/internal/model"
)

// Rules is what the operator of a monitor has said of where its checks may go.
type Rules struct {
	Allow map[model.Name][]netip.Prefix // by zone; anyZone: in all
	Own   []netip.Prefix                // the operator's own addresses
}

// anyZone stands for all zones; as a name it is none.
const anyZone model.Name = "*"

// ParseRules reads prefixes that are allowed, ZONE=PREFIX or *=PREFIX, and the operator's own. Errors
// are of kind Invalid and name the field.
func ParseRules(allow, own []string) (Rules, error) {
	r := Rules{Allow: map[model.Name][]netip.Prefix{}}
	for _, text := range allow {
		zone, prefix, ok := strings.Cut(text, "=")
		z, err := anyZone, error(nil)
		if zone != string(anyZone) {
			z, err = model.ParseName(zone)
		}
		p, errPrefix := parsePrefix(prefix)
		if !ok || err != nil || zone == "" || errPrefix != nil {
			return Rules{}, model.E(model.Invalid, "read setting", text).In("allow").Because("it is not ZONE=PREFIX").Hint("write one such as example.org=10.0.0.0/8, or * for all zones")
		}
		r.Allow[z] = append(r.Allow[z], p)
	}
	for _, text := range own {
		p, err := parsePrefix(text)
		if err != nil {
			return Rules{}, model.E(model.Invalid, "read setting", text).In("own-addresses").Because("it is no address or prefix").Hint("write one such as 192.0.2.0/28")
		}
		r.Own = append(r.Own, p)
	}
	return r, nil
}

// parsePrefix reads a prefix or a single address.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Masked() != p {
		err = errors.New("there are bits after the prefix")
	}
	return p, err
}

// Here adds the addresses of this machine to the operator's own.
func (r Rules) Here() (Rules, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return r, model.E(model.Unavailable, "list addresses of this machine", "").From(err)
	}
	own := append([]netip.Prefix(nil), r.Own...)
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, netip.PrefixFrom(p.Addr().Unmap(), p.Addr().Unmap().BitLen()))
		}
	}
	r.Own = own
	return r, nil
}

// of is the rules for checks of a zone's hosts.
func (r Rules) of(zone model.Name) reach.Rules {
	return reach.Rules{Allow: append(append([]netip.Prefix(nil), r.Allow[anyZone]...), r.Allow[zone]...), Own: r.Own}
}
