package dyndns2

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"signpost/internal/model"
)

// The words that a host's line starts with.
const (
	wordGood     = "good"
	wordSame     = "nochg"
	wordDeleted  = "deleted"
	wordNoHost   = "nohost"
	wordNotFQDN  = "notfqdn"
	wordTooMany  = "numhost"
	wordDNSError = "dnserr"
	wordBadAuth  = "badauth"
	wordAbuse    = "abuse"
	wordBadAgent = "badagent"
	wordOurFault = "911"
)

// retryAfter is in seconds: a new leader is there sooner, and clients that ask
// every minute ask once more.
const retryAfter = "10"

// verdict is a word and the HTTP status it comes with.
type verdict struct {
	status int
	word   string
}

var ourFault = verdict{http.StatusServiceUnavailable, wordOurFault}

// words says every kind of error in the protocol's words, which are few. Lost:
// which field was wrong and why (dnserr), whether a name is missing or another's
// (nohost, on purpose), whether the name or the secret was wrong (badauth, on
// purpose), and what is the matter with us (911).
//
// Many clients take every 200 for done, so whatever may be different next time is
// 503: also a race that we lost again and again, and a full etcd.
var words = map[model.Kind]verdict{
	model.Internal:        ourFault,
	model.Invalid:         {http.StatusOK, wordDNSError},
	model.NotFound:        {http.StatusOK, wordNoHost},
	model.AlreadyExists:   {http.StatusOK, wordDNSError},
	model.Unauthenticated: {http.StatusUnauthorized, wordBadAuth},
	model.Denied:          {http.StatusOK, wordNoHost},
	model.Aborted:         ourFault,
	model.Precondition:    {http.StatusOK, wordDNSError},
	model.Exhausted:       ourFault,
	model.Unavailable:     ourFault,
	model.Compacted:       ourFault, // only streams fail with it
}

// causes is what is said of refusals that the protocol has words for.
var causes = map[error]verdict{
	model.ErrBlocked:  {http.StatusOK, wordAbuse},
	model.ErrDisabled: {http.StatusOK, wordNoHost},
	model.ErrBarred:   {http.StatusForbidden, wordAbuse},
	model.ErrBadAgent: {http.StatusOK, wordBadAgent},
}

// tooMuch is for those who do too much of something and are told when to go on.
func tooMuch(after time.Duration) reply {
	return reply{status: http.StatusTooManyRequests, lines: []string{wordAbuse}, after: after}
}

func (v verdict) reply() reply { return reply{status: v.status, lines: []string{v.word}} }

// reply is what is answered.
type reply struct {
	status    int
	lines     []string
	challenge string
	after     time.Duration // when to try again; 0: retryAfter where that is said
}

func say(lines ...string) reply { return reply{status: http.StatusOK, lines: lines} }

func badauth(who credential) reply {
	scheme := "Basic"
	if who.bearer {
		scheme = "Bearer"
	}
	r := words[model.Unauthenticated].reply()
	r.challenge = scheme + ` realm="authenticate to update DNS"`
	return r
}

func (r reply) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("Cache-Control", "no-store") // a cached GET would be an update that nobody made
	if r.challenge != "" {
		h.Set("WWW-Authenticate", r.challenge)
	}
	switch {
	case r.after > 0:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.after.Seconds()))))
	case r.status == http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(r.status)
	_, _ = io.WriteString(w, strings.Join(r.lines, "\n")) // a client that is gone hears nothing
}

func notAllowed(w http.ResponseWriter, methods string) {
	w.Header().Set("Allow", methods)
	reply{status: http.StatusMethodNotAllowed, lines: []string{"use " + methods}}.write(w)
}
