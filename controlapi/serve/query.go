package serve

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "signpost/proto/signpost/v1"
)

// lifted is the query parameters that every call takes, and the metadata that
// they become.
var lifted = map[string]string{"wait": mdWait, "wait_timeout": mdWaitTimeout, "request_id": mdRequestID}

// queries is the request that the query parameters of a method and path are for;
// nil where the request is the body. It is read from the declaration of the API.
func queries() map[string]protoreflect.MessageDescriptor {
	out := map[string]protoreflect.MessageDescriptor{}
	services := pb.File_signpost_v1_signpost_proto.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			rule, _ := proto.GetExtension(methods.Get(j).Options(), annotations.E_Http).(*annotations.HttpRule)
			method, path := methodAndPath(rule)
			out[method+" "+path] = methods.Get(j).Input()
			if rule.GetBody() == "*" {
				out[method+" "+path] = nil
			}
		}
	}
	return out
}

func methodAndPath(rule *annotations.HttpRule) (string, string) {
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		return http.MethodGet, p.Get
	case *annotations.HttpRule_Post:
		return http.MethodPost, p.Post
	case *annotations.HttpRule_Put:
		return http.MethodPut, p.Put
	case *annotations.HttpRule_Patch:
		return http.MethodPatch, p.Patch
	case *annotations.HttpRule_Delete:
		return http.MethodDelete, p.Delete
	}
	return "", ""
}

// strictQuery refuses query parameters that the gateway would silently drop: those
// that the request has no field for, that the path has set, or that stand beside a
// body. Handlers of paths that are not declared look after themselves. It also
// refuses text that gRPC would not carry and take for an error inside.
func strictQuery(requests map[string]protoreflect.MessageDescriptor) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
			refuse := func(why string) {
				writeError(w, http.StatusBadRequest, status.Error(codes.InvalidArgument, why))
			}
			query, err := url.ParseQuery(r.URL.RawQuery)
			if err != nil {
				refuse("query: it cannot be read")
				return
			}
			if why := uncarried(query, path); why != "" {
				refuse(why)
				return
			}
			pattern, _ := runtime.HTTPPattern(r.Context())
			in, declared := requests[r.Method+" "+strings.ReplaceAll(pattern.String(), "=*}", "}")]
			for key := range query {
				if declared && lifted[key] == "" && !takes(in, key, path) {
					refuse(key + ": there is no such query parameter")
					return
				}
			}
			next(w, r, path)
		}
	}
}

// uncarried says what of a request gRPC cannot carry: fields are UTF-8, and metadata
// is printable.
func uncarried(query url.Values, path map[string]string) string {
	for key, value := range path {
		if !utf8.ValidString(value) {
			return key + ": it is no UTF-8"
		}
	}
	for key, values := range query {
		for _, v := range values {
			if !utf8.ValidString(v) || lifted[key] != "" && v != printable(v) {
				return key + ": it holds octets that are no text"
			}
		}
	}
	return ""
}

// printable is text as metadata can carry it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func takes(in protoreflect.MessageDescriptor, key string, path map[string]string) bool {
	if in == nil {
		return false
	}
	f := in.Fields().ByJSONName(key)
	if f == nil {
		f = in.Fields().ByName(protoreflect.Name(key))
	}
	if f == nil {
		return false
	}
	_, set := path[string(f.Name())]
	return !set
}
