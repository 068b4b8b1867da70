package egi

import (
	"net/http"
	"slices"
	"strings"

	pb "signpost/proto/signpost/v1"
)

const (
	noHost   = "No Host matches the given query."
	noDomain = "No Domain matches the given query."
	nothing  = "Not found."
)

func (h *Handler) serveAPI(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")[1:]
	c, end := h.open(r)
	defer end()
	c.answers = w
	fqdn := ""
	if len(path) > 1 && path[0] == "hosts" {
		fqdn = path[1]
	}
	if refused := c.enter(fqdn); refused != nil {
		issuers, err := h.service.ListIssuers(r.Context(), &pb.ListIssuersRequest{}) // which are nobody's secret
		if err != nil {
			issuers = nil
		}
		refused.api(issuers.GetIssuers()).write(w)
		return
	}
	if c.broken {
		detail(http.StatusBadRequest, "The query cannot be read.").write(w)
		return
	}
	c.api(path).write(w)
}

// api is what is at a path below /api/.
func (c *call) api(path []string) answer {
	do := func() answer { return detail(http.StatusNotFound, nothing) }
	switch {
	case len(path) == 1 && path[0] == "domains":
		do = c.apiDomains
	case len(path) == 2 && path[0] == "domains":
		do = func() answer { return c.apiDomain(path[1]) }
	case len(path) == 1 && path[0] == "hosts":
		do = c.apiHosts
	case len(path) == 2 && path[0] == "hosts":
		do = func() answer { return c.apiHost(path[1], func(h *pb.Host) any { return c.apiHostOf(h) }) }
	case len(path) == 3 && path[0] == "hosts" && path[2] == "ipv4":
		do = func() answer {
			return c.apiHost(path[1], func(h *pb.Host) any {
				return struct {
					IPv4 *string `json:"ipv4"`
				}{firstOf(h, true)}
			})
		}
	case isCertificate(path):
		do = func() answer { return c.apiCertificate(path[1]) }
	default:
		return do()
	}
	m, allowed := c.request.Method, "GET, HEAD"
	if isCertificate(path) {
		allowed += ", POST"
	}
	if slices.Contains(strings.Split(allowed, ", "), m) {
		return do()
	}
	c.answers.Header().Set("Allow", allowed)
	if m == http.MethodPost && len(path) == 1 && path[0] == "hosts" {
		return detail(http.StatusMethodNotAllowed, "POST not allowed on this endpoint")
	}
	return detail(http.StatusMethodNotAllowed, `Method "`+m+`" not allowed.`)
}

func (c *call) apiDomains() answer {
	zones, err := c.zones()
	if err != nil {
		return translateAPI(err, nothing)
	}
	var items []any
	for _, z := range zones {
		items = append(items, c.apiDomainOf(z))
	}
	return c.page(items, "name", "owner", "virtual_organization", "comment")
}

// apiDomain shows a zone to its administrators, who alone are shown its policy.
func (c *call) apiDomain(name string) answer {
	z, err := c.service.GetZone(c.ctx, &pb.GetZoneRequest{Name: name})
	switch {
	case err != nil:
		return translateAPI(err, noDomain)
	case z.GetPolicy() == nil:
		return detail(http.StatusForbidden, "You do not have permission to perform this action.")
	}
	return answer{status: http.StatusOK, body: c.apiDomainOf(z)}
}

func (c *call) apiHosts() answer {
	hosts, err := c.hosts("")
	if err != nil {
		return translateAPI(err, nothing)
	}
	var items []any
	for _, h := range hosts {
		items = append(items, c.apiHostOf(h))
	}
	return c.page(items, "fqdn", "comment")
}

func (c *call) apiHost(fqdn string, show func(*pb.Host) any) answer {
	if !isHostName(strings.TrimSuffix(fqdn, ".")) {
		return detail(http.StatusNotFound, noHost)
	}
	h, err := c.host(fqdn)
	if err != nil {
		return translateAPI(err, noHost)
	}
	return answer{status: http.StatusOK, body: show(h)}
}

func isCertificate(path []string) bool {
	return len(path) == 3 && path[0] == "hosts" && path[2] == "certificate"
}
