package dyndns2

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"signpost/internal/model"
)

// maxBody is far more than a request of maxNames names needs.
const maxBody = 64 << 10

// credential is what kind of credential was shown. Whether it is right is for the
// service to say.
type credential struct {
	bearer bool   // the scheme; otherwise it is Basic
	token  bool   // a token, which names no host
	user   string // of Basic
}

// isToken tells tokens from hosts' secrets: ours start with sp_, those of issuers have
// three parts with dots between.
func isToken(password string) bool {
	return strings.HasPrefix(password, "sp_") || strings.Count(password, ".") == 2
}

// readCredential reads an Authorization header; ok is false when there is none that
// can be understood.
func readCredential(header string) (c credential, ok bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return credential{bearer: true, token: true}, rest != ""
	case strings.EqualFold(scheme, "Basic"):
		raw, err := base64.StdEncoding.DecodeString(rest)
		user, password, found := strings.Cut(string(raw), ":")
		if err != nil || !found {
			return credential{}, false
		}
		return credential{token: isToken(password), user: user}, true
	}
	return credential{}, false
}

// params is the parameters of a request: the last value of each name, in which
// spaces around have been taken off.
type params struct {
	value  map[string]string
	broken map[string]bool // its escapes cannot be read
}

// errForm is a body that is no form: taking only the query would point the name at the
// caller although the body may say something else.
var errForm = errors.New("the body is not application/x-www-form-urlencoded")

// readParams reads the query and, of a POST, the form. Errors: errForm, and those of
// reading too large a body.
func readParams(r *http.Request) (params, error) {
	p := params{value: map[string]string{}, broken: map[string]bool{}}
	p.add(r.URL.RawQuery)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method == http.MethodPost && kind != "application/x-www-form-urlencoded" && r.ContentLength != 0 {
		return params{}, errForm
	}
	if r.Method == http.MethodPost && kind == "application/x-www-form-urlencoded" {
		form, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
		if err != nil {
			return params{}, err
		}
		p.add(string(form))
	}
	return p, nil
}

// add reads name=value pairs. Unlike url.ParseQuery it gives up on one pair at a
// time, and a semicolon is a character like others.
func (p params) add(query string) {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || name == "" {
			continue
		}
		value, err = url.QueryUnescape(value)
		p.value[name], p.broken[name] = strings.TrimSpace(value), err != nil
	}
}

// hostnames is the names in the parameter hostname, none when it is missing or
// empty. One that cannot be read is there, and no host's.
func (p params) hostnames() []string {
	if p.broken["hostname"] {
		return []string{".."}
	}
	var names []string
	for n := range strings.SplitSeq(p.value["hostname"], ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}

// hasDot reports whether a name has a dot that is not the final one.
func hasDot(name string) bool { return strings.Contains(strings.TrimSuffix(name, "."), ".") }

// sameName compares names without case, with or without the final dot.
func sameName(a, b string) bool {
	na, errA := model.ParseHostName("hostname", a)
	nb, errB := model.ParseHostName("hostname", b)
	return errA == nil && errB == nil && na == nb
}
