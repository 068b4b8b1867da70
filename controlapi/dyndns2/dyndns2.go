// Package dyndns2 answers one question: how do routers, and everything else that
// speaks the dyndns2 protocol, tell us their address? It reads their requests, calls
// the control service and answers in their words; it decides nothing about names.
//
// What it serves: /nic/update (also /update and /v3/update), /nic/delete and /myip, each
// with or without a slash at the end.
//
// A host's secret changes one host, so every other name in a list of names gets nohost.
// With a token all in the list that can be changed are changed, in one change. A token is
// sent as Bearer, or as the password of Basic with any user name.
package dyndns2

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
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
	case "/nic/update", "/update", "/v3/update", "/nic/delete":
		// HEAD must not change anything, and a 200 would say that it did.
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			notAllowed(w, "GET, POST")
			return
		}
		answer := h.update(r)
		answer.write(w)
		if !h.log.Enabled(r.Context(), slog.LevelDebug) {
			return
		}
		h.log.Debug("dyndns2", "source", h.proxies.Client(r.RemoteAddr, r.Header), "agent", r.UserAgent(), "status", answer.status, "answer", answer.lines)
	case "/myip":
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			notAllowed(w, "GET, HEAD")
			return
		}
		client := h.proxies.Client(r.RemoteAddr, r.Header)
		if !client.IsValid() {
			reply{status: http.StatusBadRequest, lines: []string{"your address is not known: the proxies on the way here hide it or disagree on it"}}.write(w)
			return
		}
		reply{status: http.StatusOK, lines: []string{client.String()}}.write(w)
	default:
		reply{status: http.StatusNotFound, lines: []string{"there is nothing here; did you mean /nic/update?"}}.write(w)
	}
}

// update is the table of what is answered, first match wins.
func (h *Handler) update(r *http.Request) reply {
	who, ok := readCredential(r.Header.Get("Authorization"))
	p, err := readParams(r)
	client := h.proxies.Client(r.RemoteAddr, r.Header)
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	ctx = controlapi.WithCaller(ctx, controlapi.Caller{
		Authorization: r.Header.Get("Authorization"), Source: client, UserAgent: r.UserAgent(),
	})
	c := call{ctx: ctx, service: h.service, who: who}
	if err := h.service.CheckBarred(ctx, append(p.hostnames(), who.user)...); err != nil {
		return c.translate(err)
	}
	if !ok {
		return badauth(who)
	}
	if errors.Is(err, errForm) {
		return reply{status: http.StatusUnsupportedMediaType, lines: []string{wordDNSError}}
	}
	if err != nil {
		return reply{status: http.StatusRequestEntityTooLarge, lines: []string{wordDNSError}}
	}
	c.asked = readAddresses(p, client)
	c.asked.remove = strings.HasPrefix(r.URL.Path, "/nic/delete")
	names := p.hostnames()
	if len(names) == 0 && who.user != "" {
		names = []string{who.user}
	}
	if who.token {
		return c.withToken(names)
	}
	return c.withSecret(names)
}
