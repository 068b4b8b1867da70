package model

import (
	"net/netip"
	"slices"
	"strings"
)

// MostEndpoints is how many endpoints a host may have.
const MostEndpoints = 16

// CheckEndpointID says whether an endpoint can have an id. Errors are of kind Invalid and
// name the field.
func CheckEndpointID(field, id string) error {
	if plainWord(id) && id[0] != '-' && id[len(id)-1] != '-' {
		return nil
	}
	return E(Invalid, "read id of an endpoint", id).In(field).Because("it is not 1 to 63 lower-case letters, digits and, inside, hyphens").
		Hint("give one such as cesnet-1")
}

// CheckSite says whether a site can have a name. Errors are of kind Invalid and name the
// field.
func CheckSite(field, site string) error {
	if plainWord(site) {
		return nil
	}
	return E(Invalid, "read name of a site", site).In(field).Because("it is not 1 to 63 lower-case letters, digits and hyphens").
		Hint("give one such as cesnet")
}

func plainWord(s string) bool {
	return s != "" && len(s) <= maxSite && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// AllAddresses is the addresses of all endpoints of a host, and those that it falls back
// to: what it may be answered with.
func (h *Host) AllAddresses() (all []netip.Addr) {
	if h == nil {
		return nil
	}
	for i := range h.Endpoints {
		all = append(all, h.Endpoints[i].Addresses...)
	}
	return NormalizeAddresses(append(all, h.Policy.Fallback...))
}

// Secret is what is kept of an endpoint's secret; nil: it has none.
func (h *HostControl) Secret(id string) *EndpointSecret {
	for i := range h.Secrets {
		if h.Secrets[i].ID == id {
			return &h.Secrets[i]
		}
	}
	return nil
}

// WithSecret is the secrets of a host with one put in its place, by id.
func (h *HostControl) WithSecret(s EndpointSecret) []EndpointSecret {
	out := h.WithoutSecret(s.ID)
	at, _ := slices.BinarySearchFunc(out, s.ID, func(e EndpointSecret, id string) int { return strings.Compare(e.ID, id) })
	return slices.Insert(out, at, s)
}

// WithoutSecret is the secrets of a host but that of one endpoint.
func (h *HostControl) WithoutSecret(id string) []EndpointSecret {
	return slices.DeleteFunc(slices.Clone(h.Secrets), func(e EndpointSecret) bool { return e.ID == id })
}

// WithEndpoint is the endpoints of a host with one put in its place, by id.
func (h *Host) WithEndpoint(e Endpoint) []Endpoint {
	out := h.WithoutEndpoint(e.ID)
	at, _ := slices.BinarySearchFunc(out, e.ID, func(e Endpoint, id string) int { return strings.Compare(e.ID, id) })
	return slices.Insert(out, at, e)
}

// WithoutEndpoint is the endpoints of a host but one.
func (h *Host) WithoutEndpoint(id string) []Endpoint {
	return slices.DeleteFunc(slices.Clone(h.Endpoints), func(e Endpoint) bool { return e.ID == id })
}
