package egi

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// fqdn is the name that the parameters fqdn, or name and domain, make, as far as they are
// there.
func (c *call) fqdn() string {
	if f := c.param("fqdn"); f != "" {
		return strings.TrimSuffix(f, ".")
	}
	return strings.Trim(c.param("name")+"."+c.param("domain"), ".")
}

// missing is which of name and domain is missing where there is no fqdn.
func (c *call) missing() (name, domain bool) {
	if c.param("fqdn") != "" {
		return false, false
	}
	return c.param("name") == "", c.param("domain") == ""
}

func lacks(parameter string) answer {
	return failed(http.StatusBadRequest, "Missing parameter: "+parameter)
}

func noDot() answer { return malformed("name", "This is not a fully qualified domain name") }

// parts is the first label of the name, or all of the parameter name, and the domain.
func (c *call) parts() (name, domain string) {
	if c.param("fqdn") != "" {
		name, domain, _ = strings.Cut(c.fqdn(), ".")
		return name, domain
	}
	return c.param("name"), c.param("domain")
}

// register is the table of what is answered to those who are let in; first match wins.
func (c *call) register() answer {
	switch name, domain := c.missing(); {
	case name:
		return lacks("name")
	case domain:
		return lacks("domain")
	case !strings.Contains(c.fqdn(), "."):
		return noDot()
	}
	in := &pb.CreateHostRequest{Fqdn: c.fqdn(), Comment: c.param("comment")}
	switch strings.ToLower(c.param("wildcard")) {
	case "true", "1", "yes":
		in.Wildcard = true
	}
	ip := c.param("ip")
	badIP := failed(http.StatusBadRequest, "Invalid IP address: "+ip)
	if _, given := c.query["ip"]; given {
		addr, err := netip.ParseAddr(ip)
		if err != nil || addr.Zone() != "" {
			return badIP
		}
		in.Addresses = []string{addr.Unmap().String()}
	}
	if name, domain := c.parts(); !isHostName(name) {
		if _, err := c.service.GetZone(c.ctx, &pb.GetZoneRequest{Name: domain}); err != nil {
			return notRegistered(err, badIP)
		}
		return malformed("name", `Invalid host name: only "a-z", "0-9" and "-" is allowed`)
	}
	out, err := c.service.CreateHost(c.ctx, in)
	if err != nil {
		return notRegistered(err, badIP)
	}
	return answer{status: http.StatusOK, body: struct {
		Status  string     `json:"status"`
		Message string     `json:"message"`
		Host    registered `json:"host"`
	}{"ok", "Host registered.", registeredObject(c.base, out)}}
}

// isHostName reports whether a name can be a host's, as it is: what people write in other
// letters is not read here, as the answers would be about another name than was asked for.
func isHostName(name string) bool {
	_, err := model.ParseHostName("name", name)
	return err == nil && !strings.HasSuffix(name, ".") && !strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf })
}

// notRegistered is why a name was not registered.
func notRegistered(err error, badIP answer) answer {
	kind := model.KindOf(err)
	e := new(model.Error)
	_ = errors.As(err, &e)
	switch {
	case errors.Is(err, model.ErrBlocked), errors.Is(err, model.ErrBarred), errors.Is(err, model.ErrBadAgent):
		return translate(err)
	case errors.Is(err, model.ErrRecords):
		return failed(http.StatusBadGateway, "Host already exists in DNS.")
	case errors.Is(err, model.ErrReserved):
		return malformed("name", "This name is blacklisted")
	case errors.Is(err, model.ErrNotFree):
		return malformed("name", reason(err))
	case kind == model.AlreadyExists:
		return malformed(all, "Host with this Name and Domain already exists.")
	case errors.Is(err, model.ErrTooDeep), kind == model.NotFound, kind == model.Denied,
		kind == model.Invalid && (e.Field == "fqdn" || e.Field == "name"):
		return failed(http.StatusBadRequest, "nxdomain")
	case kind == model.Invalid && strings.HasPrefix(e.Field, "addresses"):
		return badIP
	case kind == model.Invalid && e.Field != "":
		return malformed(e.Field, reason(err))
	}
	return translate(err)
}

// which reads the host that unregister and generate_secret are about; none is what is
// said when no parameter is there.
func (c *call) which() (fqdn string, wrong *answer) {
	is := func(a answer) (string, *answer) { return "", &a }
	switch name, domain := c.missing(); {
	case name && domain:
		return is(lacks("fqdn or name, domain"))
	case name:
		return is(lacks("name"))
	case domain:
		return is(lacks("domain"))
	case !strings.Contains(c.fqdn(), "."):
		return is(noDot())
	}
	return c.fqdn(), nil
}

func (c *call) unregister() answer {
	fqdn, wrong := c.which()
	if wrong != nil {
		return *wrong
	}
	if !isHostName(fqdn) {
		return translate(model.E(model.NotFound, "find host", fqdn))
	}
	host, err := c.host(fqdn)
	if err == nil {
		_, err = c.service.DeleteHost(c.ctx, &pb.DeleteHostRequest{Fqdn: fqdn})
	}
	if err != nil {
		return translate(err)
	}
	return answer{status: http.StatusOK, body: struct {
		Status  string   `json:"status"`
		Message string   `json:"message"`
		Host    identity `json:"host"`
	}{"ok", "Host unregistered.", identityOf(host)}}
}

func (c *call) generateSecret() answer {
	fqdn, wrong := c.which()
	if wrong != nil {
		return *wrong
	}
	if !isHostName(fqdn) {
		return failed(http.StatusBadRequest, "Host does not exist")
	}
	var out *pb.RotateSecretResponse
	_, err := c.host(fqdn)
	if err == nil {
		out, err = c.service.RotateSecret(c.ctx, &pb.RotateSecretRequest{Fqdn: fqdn})
	}
	switch kind := model.KindOf(err); {
	case err == nil:
	case errors.Is(err, model.ErrBlocked), errors.Is(err, model.ErrBarred), errors.Is(err, model.ErrBadAgent):
		return translate(err)
	case kind == model.NotFound, kind == model.Denied, kind == model.Invalid:
		return failed(http.StatusBadRequest, "Host does not exist")
	default:
		return translate(err)
	}
	return answer{status: http.StatusOK, body: struct {
		Status string `json:"status"`
		Secret string `json:"secret"`
	}{"ok", out.GetSecret()}}
}

func (c *call) nicDomains() answer {
	zones, err := c.zones()
	if err != nil {
		return translate(err)
	}
	out := struct {
		Status  string      `json:"status"`
		Private []nicDomain `json:"private"`
		Public  []nicDomain `json:"public"`
	}{"ok", []nicDomain{}, []nicDomain{}}
	for _, z := range zones {
		if d := nicDomainOf(z); z.GetPublic() {
			out.Public = append(out.Public, d)
		} else {
			out.Private = append(out.Private, d)
		}
	}
	return answer{status: http.StatusOK, body: out}
}

func (c *call) nicHosts() answer {
	domain := strings.TrimSuffix(c.param("domain"), ".")
	hosts, err := c.hosts(domain)
	kind := model.KindOf(err)
	switch {
	case err == nil:
	case domain != "" && (kind == model.NotFound || kind == model.Denied || kind == model.Invalid):
		return failed(http.StatusBadRequest, "Unknown domain: "+domain)
	default:
		return translate(err)
	}
	out := struct {
		Status string    `json:"status"`
		Hosts  []nicHost `json:"hosts"`
	}{"ok", []nicHost{}}
	for _, h := range hosts {
		out.Hosts = append(out.Hosts, nicHostOf(h))
	}
	return answer{status: http.StatusOK, body: out}
}
