package egi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// retryAfter is in seconds: a new leader is there sooner.
const retryAfter = "10"

// answer is what is answered: JSON, or text when there is no body.
type answer struct {
	status    int
	body      any
	text      string
	file      string // text is a PEM file of this name
	challenge string
	after     time.Duration // when to try again; 0: retryAfter where that is said
}

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store") // a cached GET would be a registration that nobody made
	h.Set("Content-Type", "text/plain")
	text := a.text
	if a.body != nil {
		h.Set("Content-Type", "application/json")
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false) // ${myip} and & are for people to copy
		if err := enc.Encode(a.body); err != nil {
			a.status = http.StatusInternalServerError
		}
		text = strings.TrimSuffix(b.String(), "\n")
	}
	if a.file != "" {
		h.Set("Content-Type", "application/x-pem-file")
		h.Set("Content-Disposition", `attachment; filename="`+a.file+`"`)
	}
	if a.challenge != "" {
		h.Set("WWW-Authenticate", a.challenge)
	}
	switch {
	case a.after > 0:
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(a.after.Seconds()))))
	case a.status == http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, text) // a client that is gone hears nothing
}

// failure is what /nic/ says when it does not do something.
type failure struct {
	Status  string              `json:"status"`
	Message string              `json:"message"`
	Errors  map[string][]string `json:"errors,omitempty"`
}

func failed(status int, message string) answer {
	return answer{status: status, body: failure{Status: "error", Message: message}}
}

// malformed is failed for what is wrong with a field.
func malformed(field, why string) answer {
	return answer{status: http.StatusBadRequest, body: failure{Status: "error", Message: "formerr", Errors: map[string][]string{field: {why}}}}
}

// all is the field of what is wrong with no single one.
const all = "__all__"

const realm = ` realm="authenticate to update DNS"`

// verdict is what /nic/ says of a kind of error.
type verdict struct {
	status  int
	message string
}

var ourFault = verdict{http.StatusServiceUnavailable, "dnserr"}

// verdicts says every kind of error in the words of /nic/. Lost: what is the matter with
// us. formerr says what was wrong beside it.
var verdicts = map[model.Kind]verdict{
	model.Internal:        ourFault,
	model.Invalid:         {http.StatusBadRequest, "formerr"},
	model.NotFound:        {http.StatusNotFound, "nohost"},
	model.AlreadyExists:   {http.StatusBadRequest, "formerr"},
	model.Unauthenticated: {http.StatusUnauthorized, "badauth"},
	model.Denied:          {http.StatusUnauthorized, "badauth"},
	model.Aborted:         ourFault,
	model.Precondition:    {http.StatusBadRequest, "formerr"},
	model.Exhausted:       {http.StatusBadRequest, "formerr"}, // a quota; 429 when waiting helps
	model.Unavailable:     ourFault,
	model.Compacted:       ourFault, // only streams fail with it
}

// causes is what is said of refusals that there are words for.
var causes = map[error]verdict{
	model.ErrBlocked:  {http.StatusForbidden, "abuse"},
	model.ErrBarred:   {http.StatusForbidden, "abuse"},
	model.ErrBadAgent: {http.StatusForbidden, "badagent"},
	model.ErrOthers:   {http.StatusUnauthorized, "badauth"},
}

// translate is an error of the service in the words of /nic/.
func translate(err error) answer {
	v := verdicts[model.KindOf(err)]
	for cause, of := range causes {
		if errors.Is(err, cause) {
			v = of
		}
	}
	if after := model.RetryAfter(err); model.KindOf(err) == model.Exhausted && after > 0 {
		a := failed(http.StatusTooManyRequests, "abuse")
		a.after = after
		return a
	}
	if v.message == "formerr" {
		return malformed(all, reason(err))
	}
	return failed(v.status, v.message)
}

// reason is why not, without what was tried.
func reason(err error) string {
	if e := new(model.Error); errors.As(err, &e) && e.Reason != "" {
		return e.Reason
	}
	return model.KindOf(err).String()
}

// nic is the refusal as /nic/ says it: no credential is JSON, a wrong one is text.
func (r *refusal) nic() answer {
	switch {
	case r.err == nil:
		a := failed(http.StatusUnauthorized, "badauth")
		a.challenge = "Bearer" + realm
		return a
	case model.KindOf(r.err) == model.Unauthenticated:
		scheme, _, _ := strings.Cut(r.header, " ")
		if !strings.EqualFold(scheme, "Basic") {
			scheme = "Bearer"
		}
		return answer{status: http.StatusUnauthorized, text: "badauth", challenge: scheme + realm}
	case model.KindOf(r.err) == model.Denied && !errors.Is(r.err, model.ErrBadAgent):
		return failed(http.StatusForbidden, "abuse")
	}
	return translate(r.err)
}

// detail is what /api/ says when it does not do something.
func detail(status int, why string) answer {
	return answer{status: status, body: struct {
		Detail string `json:"detail"`
	}{why}}
}

// translateAPI is an error of the service as /api/ says it; unknown is what it says of
// what is not there. Lost is much, on purpose: these lists take nothing that may be wrong.
func translateAPI(err error, unknown string) answer {
	switch kind := model.KindOf(err); {
	case verdicts[kind] == ourFault:
		return detail(http.StatusServiceUnavailable, "Service temporarily unavailable, try again later.")
	case kind == model.Unauthenticated, kind == model.Denied:
		return detail(http.StatusForbidden, "You do not have permission to perform this action.")
	case kind == model.Exhausted:
		a := detail(http.StatusTooManyRequests, "Request was throttled.")
		a.after = model.RetryAfter(err)
		return a
	}
	return detail(http.StatusNotFound, unknown)
}

// api is the refusal as /api/ says it, which never answers 401.
func (r *refusal) api(issuers []*pb.Issuer) answer {
	switch {
	case r.err == nil:
		return detail(http.StatusForbidden, "Authentication credentials were not provided.")
	case model.KindOf(r.err) == model.Unauthenticated:
		if iss := issuerOf(r.header); iss != "" && !configured(issuers, iss) {
			return detail(http.StatusForbidden, "Unsupported issuer: "+iss)
		}
		return detail(http.StatusForbidden, "Could not resolve issuer of the token.")
	}
	return translateAPI(r.err, "Not found.")
}

func configured(issuers []*pb.Issuer, iss string) bool {
	for _, i := range issuers {
		if i.GetUrl() == iss {
			return true
		}
	}
	return false
}

// issuerOf is who is said to have made a token, which nobody has checked; "" when it does
// not say.
func issuerOf(header string) string {
	_, token, _ := strings.Cut(header, " ")
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || len(claims.Issuer) > 200 {
		return ""
	}
	return claims.Issuer
}
