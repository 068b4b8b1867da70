// Package dyndns2 answers one question: how do routers, and everything else that
// speaks the dyndns2 protocol, tell us their address? It reads their requests, calls
// the control service and answers in their words; it decides nothing about names.
//
// What it serves: /nic/update (also /update and /v3/update) and /myip, each with or
// without a slash at the end.
//
// A host's secret changes one host, so every other name in a list of names gets
// nohost. A token changes one host in one call: a list gets numhost, because its
// changes would not be one change. A token is sent as Bearer, or as the password of
// Basic with any user name.
package dyndns2

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// patterns is where the handler is to be mounted, in http.ServeMux's words.
var patterns = []string{"/nic/", "/myip", "/myip/", "/update", "/update/", "/v3/update", "/v3/update/"}

const (
	// maxNames is how many names one request may hold.
	maxNames = 20
	// answerWithin is when we say that we do not know. Clients that take a silence
	// for a failure wait 4 s.
	answerWithin = 3500 * time.Millisecond
	// renumberings is how often a new prefix is put before addresses that others
	// keep changing.
	renumberings = 3
)

// Handler serves all paths.
type Handler struct {
	service *controlapi.Service
	proxies clientaddr.Proxies
	log     *slog.Logger
}

// New makes a Handler. proxies are those whose word on a client's address is
// believed. Changes and refusals are logged by the service; log gets, at debug, what
// every request was answered.
func New(service *controlapi.Service, proxies clientaddr.Proxies, log *slog.Logger) *Handler {
	return &Handler{service: service, proxies: proxies, log: log}
}

// Mounts is the handler under each of its patterns.
func (h *Handler) Mounts() map[string]http.Handler {
	m := make(map[string]http.Handler, len(patterns))
	for _, p := range patterns {
		m[p] = h
	}
	return m
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case "/nic/update", "/update", "/v3/update":
		// HEAD must not change anything, and a 200 would say that it did.
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			notAllowed(w, "GET, POST")
			return
		}
		answer := h.update(r)
		answer.write(w)
		h.log.Debug("dyndns2", "source", h.proxies.Client(r.RemoteAddr, r.Header), "agent", r.UserAgent(), "status", answer.status, "answer", answer.lines)
	case "/myip":
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			notAllowed(w, "GET, HEAD")
			return
		}
		reply{status: http.StatusOK, lines: []string{h.proxies.Client(r.RemoteAddr, r.Header).String()}}.write(w)
	default:
		reply{status: http.StatusNotFound, lines: []string{"there is nothing here; did you mean /nic/update?"}}.write(w)
	}
}

// update is the table of what is answered, first match wins.
func (h *Handler) update(r *http.Request) reply {
	who, ok := readCredential(r.Header.Get("Authorization"))
	if !ok {
		return badauth(who)
	}
	p, err := readParams(r)
	if errors.Is(err, errForm) {
		return reply{status: http.StatusUnsupportedMediaType, lines: []string{wordDNSError}}
	}
	if err != nil {
		return reply{status: http.StatusRequestEntityTooLarge, lines: []string{wordDNSError}}
	}
	client := h.proxies.Client(r.RemoteAddr, r.Header)
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	c := call{service: h.service, who: who, asked: readAddresses(p, client)}
	c.ctx = controlapi.WithCaller(ctx, controlapi.Caller{
		Authorization: r.Header.Get("Authorization"), Source: client, UserAgent: r.UserAgent(),
	})
	names := p.hostnames()
	if len(names) == 0 && who.user != "" {
		names = []string{who.user}
	}
	if who.token {
		return c.withToken(names)
	}
	return c.withSecret(names)
}

// call is one request to update, read.
type call struct {
	ctx     context.Context
	service *controlapi.Service
	who     credential
	asked   asked
}

func (c *call) withToken(names []string) reply {
	switch {
	case len(names) == 1 && hasDot(names[0]):
		return c.change(names[0])
	case len(names) == 1:
		return c.afterVerdict(wordNotFQDN)
	case len(names) > 1:
		return c.afterVerdict(wordTooMany)
	}
	return c.afterVerdict(wordNoHost)
}

func (c *call) withSecret(names []string) reply {
	if !hasDot(c.who.user) {
		return say(wordNotFQDN)
	}
	if len(names) > maxNames {
		return c.afterVerdict(wordTooMany)
	}
	lines := make([]string, len(names))
	var own reply // of the one name that the secret may change
	for i, n := range names {
		switch {
		case !hasDot(n):
			lines[i] = wordNotFQDN
		case !sameName(n, c.who.user):
			lines[i] = wordNoHost
		default:
			if own.status == 0 {
				if own = c.change(n); own.status != http.StatusOK {
					return own
				}
			}
			lines[i] = own.lines[0]
		}
	}
	if own.status == 0 {
		return c.afterVerdict(lines...)
	}
	return reply{status: http.StatusOK, lines: lines}
}

// afterVerdict says words that follow from the request alone, but only to somebody
// whose credential is right.
func (c *call) afterVerdict(words ...string) reply {
	me, err := c.service.WhoAmI(c.ctx, &pb.WhoAmIRequest{})
	switch {
	case err != nil:
		return c.translate(err)
	case me.GetPrincipal() == "" || me.GetKind() == "nobody":
		return badauth(c.who)
	}
	return say(words...)
}

// change does what is asked for to one host.
func (c *call) change(fqdn string) reply {
	for try := 1; ; try++ {
		in := &pb.SetAddressesRequest{Fqdn: fqdn}
		if c.asked.needsHost() {
			host, err := c.service.GetHost(c.ctx, &pb.GetHostRequest{Fqdn: fqdn})
			if err != nil {
				return c.translate(err)
			}
			if c.asked.wrong {
				return say(wordDNSError)
			}
			if !c.asked.mentionsAny() {
				return say(wordSame + " " + c.asked.answer(host.GetAddresses()))
			}
			in.Etag = host.GetEtag() // a new prefix goes before the addresses that we looked at
			c.asked.fill(in, parseAll(host.GetAddresses()))
		} else {
			c.asked.fill(in, nil)
		}
		out, err := c.service.SetAddresses(c.ctx, in)
		switch {
		case model.KindOf(err) == model.Aborted && err != nil && try < renumberings:
			continue
		case err != nil:
			return c.translate(err)
		}
		word := wordGood
		if !out.GetChange().GetChanged() {
			word = wordSame
		}
		return say(word + " " + c.asked.answer(out.GetHost().GetAddresses()))
	}
}

// translate is an error of the service in the words of the protocol. Of an error
// only its kind is left, and what kinds lose is said at words.
func (c *call) translate(err error) reply {
	kind := model.KindOf(err)
	var e *model.Error
	if errors.As(err, &e) && kind == model.Invalid && e.Field == "fqdn" {
		kind = model.NotFound // a name that cannot be a host's is no host
	}
	if kind == model.Unauthenticated {
		return badauth(c.who)
	}
	return words[kind].reply()
}

func parseAll(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		if a, err := netip.ParseAddr(t); err == nil {
			out = append(out, a)
		}
	}
	return out
}
