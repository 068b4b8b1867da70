// Package plain answers one question: what may be said without TLS where there is TLS
// beside it? A client's own address, for routers that know no better, and where to come
// instead. A credential that comes here has been seen on the way: it is refused, not
// redirected, so that whoever configured it sees it.
package plain

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"signpost/internal/model"
)

// headers and parameters are those that carry credentials, ours or those of other services
// that a client was made for; parameters without case, - and _.
var (
	headers    = []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Api-User", "X-Auth-Token"}
	parameters = []string{"password", "passwd", "pass", "pwd", "pw", "secret", "token", "accesstoken", "authtoken", "apikey", "key", "auth", "authorization"}
	// prefixes are how our secrets begin, under whatever name they come.
	prefixes = []string{"sp_", "sph_", "spe_"}
)

// carries reports whether a request brings a credential, or a body, in which one may be.
// A line that is there counts whatever is in it: there may be another one below.
func carries(r *http.Request) bool {
	if r.ContentLength != 0 || r.URL.User != nil {
		return true
	}
	if slices.ContainsFunc(headers, func(name string) bool { return len(r.Header[name]) > 0 }) {
		return true
	}
	for pair := range strings.FieldsFuncSeq(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		name = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(unescaped(name)))
		value = unescaped(value)
		if slices.Contains(parameters, name) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(value, p) }) {
			return true
		}
	}
	return false
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// ParseURL reads a public URL: scheme and host, and nothing else. Errors are of kind
// Invalid.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return nil, model.E(model.Invalid, "read setting", "public-url").Because("\"" + text + "\" is no URL such as https://dns.example.org")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// New sends everybody to the same path below public, but for /myip, which myip answers.
// What a request says of the host it wants is not looked at.
func New(public *url.URL, myip http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if carries(r) {
			refuse(w, public)
			return
		}
		if strings.TrimSuffix(r.URL.Path, "/") == "/myip" {
			myip.ServeHTTP(w, r)
			return
		}
		to := *public
		to.Path, to.RawPath, to.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
		if !strings.HasPrefix(to.Path, "/") { // OPTIONS *
			to.Path, to.RawPath = "/", ""
		}
		w.Header().Set("Location", to.String())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusPermanentRedirect)
		fmt.Fprintf(w, "use %s\n", public)
	})
}

func refuse(w http.ResponseWriter, public *url.URL) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, "neither credentials nor bodies are taken without TLS: use %s instead, and replace this credential, which could be read on its way here\n", public)
}
