package serve

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wellFormed refuses what the gateway would pass over: a body that is more or less
// than one JSON value, and one that contradicts the path. It stands behind limitBody.
func wellFormed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isZoneFile(r) {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			refuse(w, "body", "it cannot be read")
			return
		}
		switch takes := r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch; {
		case !takes && len(body) > 0:
			refuse(w, "body", "a "+r.Method+" has none")
			return
		case len(bytes.TrimSpace(body)) > 0 && !json.Valid(body):
			refuse(w, "body", "it is not one JSON value")
			return
		}
		if field := contradiction(r.URL, body); field != "" {
			refuse(w, field, "the body says another than the path")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, field, why string) {
	writeError(w, http.StatusBadRequest, status.Error(codes.InvalidArgument, field+": "+why))
}

// contradiction names the field of a body that is in the path too, and differs.
func contradiction(u *url.URL, body []byte) string {
	parts := strings.Split(strings.TrimPrefix(u.Path, "/v1/"), "/")
	inPath := map[string]string{}
	if len(parts) > 1 {
		name, _, _ := strings.Cut(parts[1], ":")
		switch parts[0] {
		case "hosts":
			inPath["fqdn"] = name
		case "zones":
			inPath["name"] = name
		}
	}
	if len(parts) > 3 && parts[2] == "records" {
		inPath["type"] = parts[3]
	}
	var fields map[string]any
	if len(inPath) == 0 || json.Unmarshal(body, &fields) != nil {
		return ""
	}
	for field, want := range inPath {
		if got, ok := fields[field].(string); ok && !strings.EqualFold(strings.TrimSuffix(got, "."), strings.TrimSuffix(want, ".")) {
			return field
		}
	}
	return ""
}
