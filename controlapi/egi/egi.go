// Package egi answers one question: how do orchestrators that were made for EGI's former
// Dynamic DNS service register names, and see which are theirs? It reads their requests,
// calls the control service and answers as that service did; it decides nothing about
// names.
//
// What it serves, each with or without a slash at the end: /nic/register, /nic/unregister,
// /nic/domains, /nic/hosts and /nic/generate_secret, which answer {"status":…}, and
// /api/domains and /api/hosts, certificates included, which answer as its newer interface
// did, {"detail":…} when something is wrong. Addresses are updated with dyndns2.
//
// All of it is for people and their tokens: a host's secret is no credential here.
package egi

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// answerWithin is when we say that we do not know. The clients give up after 10 s. They wait
// 60 s for a certificate, which is ordered to the end all the same: when they ask again, with
// the same key, it is there.
const (
	answerWithin      = 8 * time.Second
	certificateWithin = 3 * time.Minute
)

// Handler serves all paths.
type Handler struct {
	service *controlapi.Service
	proxies clientaddr.Proxies
	public  string
}

// New makes a Handler. proxies are those whose word on a client's address is believed.
// publicURL begins the URLs in answers; empty: they begin with the address at which the
// request arrived here, whatever it says itself of where it was meant to go.
func New(service *controlapi.Service, proxies clientaddr.Proxies, publicURL string) *Handler {
	return &Handler{service: service, proxies: proxies, public: strings.TrimSuffix(publicURL, "/")}
}

// endpoint is one path below /nic/.
type endpoint struct {
	do     func(*call) answer
	writes bool // HEAD must not do it
}

var endpoints = map[string]endpoint{
	"/nic/register":        {(*call).register, true},
	"/nic/unregister":      {(*call).unregister, true},
	"/nic/generate_secret": {(*call).generateSecret, true},
	"/nic/domains":         {(*call).nicDomains, false},
	"/nic/hosts":           {(*call).nicHosts, false},
}

// Mounts is the handler under each of its patterns, in http.ServeMux's words.
func (h *Handler) Mounts() map[string]http.Handler {
	m := map[string]http.Handler{"/api/": http.HandlerFunc(h.serveAPI)}
	for path := range endpoints {
		m[path], m[path+"/"] = http.HandlerFunc(h.serveNIC), http.HandlerFunc(h.serveNIC)
	}
	return m
}

func (h *Handler) serveNIC(w http.ResponseWriter, r *http.Request) {
	at, ok := endpoints[strings.TrimSuffix(r.URL.Path, "/")]
	switch {
	case !ok:
		failed(http.StatusNotFound, "there is nothing here").write(w)
	case r.Method == http.MethodGet, r.Method == http.MethodHead && !at.writes:
		c, end := h.open(r)
		defer end()
		if refused := c.enter(c.fqdn()); refused != nil {
			refused.nic().write(w)
			return
		}
		if c.broken {
			malformed(all, "The query cannot be read").write(w)
			return
		}
		at.do(c).write(w)
	default:
		w.Header().Set("Allow", http.MethodGet)
		failed(http.StatusMethodNotAllowed, "use "+http.MethodGet).write(w)
	}
}

// call is one request, read.
type call struct {
	ctx     context.Context
	service *controlapi.Service
	request *http.Request
	answers http.ResponseWriter // of requests with a body
	query   url.Values
	broken  bool               // something in it cannot be read
	base    string             // that URLs begin with
	me      *pb.WhoAmIResponse // once it has been let in
}

func (h *Handler) open(r *http.Request) (*call, context.CancelFunc) {
	within := answerWithin
	if r.Method == http.MethodPost {
		within = certificateWithin
	}
	ctx, cancel := context.WithTimeout(r.Context(), within)
	ctx = controlapi.WithCaller(ctx, controlapi.Caller{
		Authorization: r.Header.Get("Authorization"), Source: h.proxies.Client(r.RemoteAddr, r.Header), UserAgent: r.UserAgent(),
	})
	base := h.public
	if base == "" {
		base = arrivedAt(r)
	}
	query, err := url.ParseQuery(strings.ReplaceAll(r.URL.RawQuery, ";", "%3B")) // a character like others
	return &call{ctx: ctx, service: h.service, request: r, query: query, broken: err != nil || !isText(query), base: base}, cancel
}

// isText reports whether all of a query is UTF-8, as what is stored must be.
func isText(query url.Values) bool {
	for name, values := range query {
		if !utf8.ValidString(name) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return false
		}
	}
	return true
}

// arrivedAt is the URL of the socket that a request came to.
func arrivedAt(r *http.Request) string {
	scheme, at := "http://", "localhost"
	if r.TLS != nil {
		scheme = "https://"
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		at = a.String()
	}
	return scheme + at
}

// refusal is why a caller is not let in.
type refusal struct {
	err    error // of the service; nil: no credential for this was shown
	header string
}

// enter finds out who is asking, so that nothing is said to others, not even what is
// wrong with their request.
func (c *call) enter(fqdn string) *refusal {
	header := c.request.Header.Get("Authorization")
	if err := c.service.CheckBarred(c.ctx, fqdn); err != nil {
		return &refusal{err: err, header: header}
	}
	if header == "" {
		return &refusal{}
	}
	me, err := c.service.WhoAmI(c.ctx, &pb.WhoAmIRequest{})
	switch {
	case err != nil:
		return &refusal{err: err, header: header}
	case me.GetKind() != "user" && me.GetKind() != "admin":
		return &refusal{}
	}
	c.me = me
	return nil
}

// param is a parameter's last value.
func (c *call) param(name string) string {
	if v := c.query[name]; len(v) > 0 {
		return strings.TrimSpace(v[len(v)-1])
	}
	return ""
}

// host is a host that the caller owns or edits. For what is another's, which administrators of
// its zone and operators may see elsewhere, here there is no such host: that is ErrOthers.
func (c *call) host(fqdn string) (*pb.Host, error) {
	h, err := c.service.LookAtHost(c.ctx, &pb.GetHostRequest{Fqdn: fqdn})
	if err != nil {
		return nil, err
	}
	mine := func(who string) bool { return who == c.me.GetPrincipal() || slices.Contains(c.me.GetGroups(), who) }
	if h.GetOwner() != c.me.GetPrincipal() && !slices.ContainsFunc(h.GetEditors(), mine) {
		return nil, model.E(model.NotFound, "find host", fqdn).From(model.ErrOthers)
	}
	return h, nil
}

// hosts is all hosts that the caller owns or edits, of one zone or of all.
func (c *call) hosts(zone string) ([]*pb.Host, error) {
	in := &pb.ListHostsRequest{Zone: zone, Mine: true, PageSize: pageOfService}
	var all []*pb.Host
	for {
		out, err := c.service.ListHosts(c.ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, out.GetHosts()...)
		if in.PageToken = out.GetNextPageToken(); in.PageToken == "" {
			return all, nil
		}
	}
}

// zones is all zones in which the caller may register names.
func (c *call) zones() ([]*pb.Zone, error) {
	in := &pb.ListZonesRequest{PageSize: pageOfService}
	var all []*pb.Zone
	for {
		out, err := c.service.ListZones(c.ctx, in)
		if err != nil {
			return nil, err
		}
		all = append(all, out.GetZones()...)
		if in.PageToken = out.GetNextPageToken(); in.PageToken == "" {
			return all, nil
		}
	}
}

// pageOfService is the most that the service gives in one page.
const pageOfService = 1000
