package serve

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// oneEtag is an entity tag (RFC 9110 section 8.8.3). A weak one matches nothing.
var oneEtag = regexp.MustCompile(`^(W/)?"[\x21\x23-\x7e]*"$`)

// conditions makes If-Match the etag of the request that it stands before. A
// condition that nothing would look at is refused: who gives one does not want the
// change without it.
func conditions(declared map[string]call) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
			safe := r.Method == http.MethodGet // for which If-None-Match only saves a body
			given := r.Header.Values("If-Match")
			switch {
			case !safe && len(r.Header.Values("If-None-Match")) > 0:
				refuse(w, "If-None-Match", "it is not supported; creating what exists is refused anyway")
				return
			case len(given) == 0:
				next(w, r, path)
				return
			}
			call, ok := declared[r.Method+" "+patternOf(r)]
			switch {
			case !ok || !call.takes("etag"):
				refuse(w, "If-Match", "this call takes no etag")
			case len(given) > 1 || !oneEtag.MatchString(given[0]):
				refuse(w, "If-Match", "give one etag with its quotation marks, as the answer to a GET shows it")
			default:
				if why := setEtag(r, given[0], call.body); why != "" {
					refuse(w, "If-Match", why)
					return
				}
				next(w, r, path)
			}
		}
	}
}

// setEtag puts an etag where the gateway looks for it: into the body, or the query of
// a call that has none. It answers why it cannot.
func setEtag(r *http.Request, etag string, inBody bool) string {
	const twice = "the request has an etag, too"
	if !inBody {
		query := r.URL.Query()
		if query.Has("etag") {
			return twice
		}
		query.Set("etag", etag)
		u := *r.URL
		u.RawQuery = query.Encode()
		r.URL, r.Form = &u, nil
		return ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "the body cannot be read"
	}
	if len(bytes.TrimSpace(body)) == 0 {
		body = []byte("{}")
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err == nil { // else the gateway says what is wrong
		if _, has := fields["etag"]; has {
			return twice
		}
		// Into the text, so that a field that is given twice is still seen to be.
		rest := bytes.TrimPrefix(bytes.TrimSpace(body), []byte("{"))
		comma := ","
		if len(fields) == 0 {
			comma = ""
		}
		body = []byte(`{"etag":` + strconv.Quote(etag) + comma + string(rest))
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return ""
}

// showEtag is the ETag header of what a GET shows.
func showEtag(w http.ResponseWriter, m proto.Message) {
	if tagged, ok := m.(interface{ GetEtag() string }); ok && tagged.GetEtag() != "" {
		w.Header().Set("ETag", tagged.GetEtag())
	}
}

// failedMatch reports whether an error is that the etag in If-Match is not the one
// that there is: HTTP has a status of its own for it.
func failedMatch(r *http.Request, err error) bool {
	st := status.Convert(err)
	if r.Header.Get("If-Match") == "" || st.Code() != codes.Aborted {
		return false
	}
	for _, d := range st.Details() {
		bad, _ := d.(*errdetails.BadRequest)
		for _, v := range bad.GetFieldViolations() {
			if v.GetField() == "etag" {
				return true
			}
		}
	}
	return false
}

// patternOf is the declared path of a request that a route was found for.
func patternOf(r *http.Request) string {
	pattern, _ := runtime.HTTPPattern(r.Context())
	return strings.ReplaceAll(pattern.String(), "=*}", "}")
}

// allowed is the methods that there are for a path, as Allow says it; routes are
// methods and paths.
func allowed(routes []string, u *url.URL) string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		for _, route := range routes {
			if method, pattern, _ := strings.Cut(route, " "); method == m && matches(pattern, u.EscapedPath()) {
				methods = append(methods, m)
				if m == http.MethodGet {
					methods = append(methods, http.MethodHead)
				}
				break
			}
		}
	}
	return strings.Join(methods, ", ")
}

// matches reports whether a path is of a declared form, in which a name in braces
// stands for one segment or the part of it before a verb.
func matches(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, w := range want {
		if _, verb, named := strings.Cut(w, "}"); named {
			if rest, ok := strings.CutSuffix(got[i], verb); !ok || rest == "" {
				return false
			}
		} else if w != got[i] {
			return false
		}
	}
	return true
}
