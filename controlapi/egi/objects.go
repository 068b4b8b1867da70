package egi

import (
	"net/netip"
	"net/url"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "signpost/proto/signpost/v1"
)

// identity is what an unregistered host is shown as.
type identity struct {
	FQDN     string `json:"fqdn"`
	Name     string `json:"name"`
	Domain   string `json:"domain"`
	Wildcard bool   `json:"wildcard"`
	Comment  string `json:"comment"`
}

func identityOf(h *pb.Host) identity {
	return identity{h.GetFqdn(), strings.TrimSuffix(h.GetFqdn(), "."+h.GetZone()), h.GetZone(), h.GetWildcard(), h.GetComment()}
}

// state is what hosts are shown with everywhere. Faults, and abuse by too many of them, are
// counted no longer; who does too much is told to wait. Updates come over TLS, or from the
// machine itself.
type state struct {
	Available    bool `json:"available"` // not switched off
	ClientFaults int  `json:"client_faults"`
	ServerFaults int  `json:"server_faults"`
	AbuseBlocked bool `json:"abuse_blocked"`
	Abuse        bool `json:"abuse"`
}

func stateOf(h *pb.Host) state {
	return state{Available: h.GetDisabled() == nil, AbuseBlocked: h.GetBlocked() != nil}
}

// nicHost is a host as /nic/ shows it.
type nicHost struct {
	identity
	state
	LastUpdateIPv4 *string `json:"last_update_ipv4"`
	TLSUpdateIPv4  bool    `json:"tls_update_ipv4"`
	IPv4           *string `json:"ipv4"`
	LastUpdateIPv6 *string `json:"last_update_ipv6"`
	TLSUpdateIPv6  bool    `json:"tls_update_ipv6"`
	IPv6           *string `json:"ipv6"`
}

func nicHostOf(h *pb.Host) nicHost {
	v4, v6 := h.GetUpdateTimeIpv4(), h.GetUpdateTimeIpv6()
	return nicHost{identityOf(h), stateOf(h), when(v4), v4 != nil, firstOf(h, true), when(v6), v6 != nil, firstOf(h, false)}
}

// registered is a host as registration shows it, with its secret, this once.
type registered struct {
	nicHost
	Secret *string `json:"update_secret"` // null: the token may not have it
	Basic  *string `json:"IPv4_update_url_basic_auth"`
	Bearer string  `json:"IPv4_update_url_bearer_auth"`
}

func registeredObject(base string, out *pb.CreateHostResponse) registered {
	h := out.GetHost()
	r := registered{nicHost: nicHostOf(h), Bearer: base + "/nic/update?hostname=" + h.GetFqdn() + "&myip=${myip}"}
	if secret := out.GetSecret(); secret != "" {
		scheme, rest, _ := strings.Cut(base, "://")
		with := scheme + "://" + url.UserPassword(h.GetFqdn(), secret).String() + "@" + rest + "/nic/update"
		r.Secret, r.Basic = &secret, &with
	}
	return r
}

// apiHost is a host as /api/ shows it.
type apiHost struct {
	URL      string `json:"url"`
	FQDN     string `json:"fqdn"`
	Name     string `json:"name"`
	Domain   string `json:"domain_name"`
	Wildcard bool   `json:"wildcard"`
	Comment  string `json:"comment"`
	state
	Created        *string `json:"created"`
	LastUpdateIPv4 *string `json:"last_update_ipv4"`
	TLSUpdateIPv4  bool    `json:"tls_update_ipv4"`
	LastUpdateIPv6 *string `json:"last_update_ipv6"`
	TLSUpdateIPv6  bool    `json:"tls_update_ipv6"`
}

func (c *call) apiHostOf(h *pb.Host) apiHost {
	n := nicHostOf(h)
	return apiHost{
		c.base + "/api/hosts/" + h.GetFqdn(), n.FQDN, n.Name, n.Domain, n.Wildcard, n.Comment, n.state,
		when(h.GetCreateTime()), n.LastUpdateIPv4, n.TLSUpdateIPv4, n.LastUpdateIPv6, n.TLSUpdateIPv6,
	}
}

// nicDomain is a zone as /nic/ shows it. Those that are shown are those in which the
// caller may register names.
type nicDomain struct {
	Name      string  `json:"name"`
	Public    bool    `json:"public"`
	Available bool    `json:"available"`
	Comment   string  `json:"comment"`
	Owner     *string `json:"owner"`
}

func nicDomainOf(z *pb.Zone) nicDomain {
	return nicDomain{Name: z.GetName(), Public: z.GetPublic(), Available: true, Owner: groupOf(z.GetPolicy().GetAdmins())}
}

// apiDomain is a zone as /api/ shows it.
type apiDomain struct {
	URL        string  `json:"url"`
	Name       string  `json:"name"`
	Owner      *string `json:"owner"`
	Public     bool    `json:"public"`
	VO         *string `json:"virtual_organization"`
	Available  bool    `json:"available"`
	Comment    string  `json:"comment"`
	Created    *string `json:"created"`
	LastUpdate *string `json:"last_update"`
}

func (c *call) apiDomainOf(z *pb.Zone) apiDomain {
	d := nicDomainOf(z)
	return apiDomain{
		URL: c.base + "/api/domains/" + z.GetName(), Name: d.Name, Owner: d.Owner, Public: d.Public, VO: groupOf(z.GetPolicy().GetGroups()),
		Available: d.Available, Created: when(z.GetCreateTime()),
	}
}

// groupOf is the first group among principals, without its issuer; people have no name
// that others may be shown.
func groupOf(principals []string) *string {
	for _, p := range principals {
		if group, ok := strings.CutPrefix(p, "group:"); ok {
			_, name, _ := strings.Cut(group, "/")
			return &name
		}
	}
	return nil
}

func when(t *timestamppb.Timestamp) *string {
	if t == nil {
		return nil
	}
	text := t.AsTime().UTC().Format("2006-01-02T15:04:05-07:00")
	return &text
}

// firstOf is the host's first address of a family.
func firstOf(h *pb.Host, v4 bool) *string {
	for _, text := range h.GetAddresses() {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() == v4 {
			return &text
		}
	}
	return nil
}
