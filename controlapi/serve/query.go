package serve

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "signpost/proto/signpost/v1"
)

// lifted is the query parameters that every call takes, and the metadata that
// they become.
var lifted = map[string]string{"wait": mdWait, "wait_timeout": mdWaitTimeout, "request_id": mdRequestID}

// call is what the declaration of the API says of a method and path.
type call struct {
	in   protoreflect.MessageDescriptor
	body bool // the request is the body, and else in the query
}

func (c call) takes(field protoreflect.Name) bool { return c.in.Fields().ByName(field) != nil }

// calls is those that the API declares, by method and path.
func calls() map[string]call {
	out := map[string]call{}
	services := pb.File_signpost_v1_signpost_proto.Services()
	for i := range services.Len() {
		methods := services.Get(i).Methods()
		for j := range methods.Len() {
			rule, _ := proto.GetExtension(methods.Get(j).Options(), annotations.E_Http).(*annotations.HttpRule)
			method, path := methodAndPath(rule)
			if path != "" {
				out[method+" "+path] = call{methods.Get(j).Input(), rule.GetBody() == "*"}
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
func strictQuery(declared map[string]call) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, path map[string]string) {
			query, err := url.ParseQuery(r.URL.RawQuery)
			if err != nil {
				refuse(w, "query", "it cannot be read")
				return
			}
			if field, why := uncarried(query, path); why != "" {
				refuse(w, field, why)
				return
			}
			call, known := declared[r.Method+" "+patternOf(r)]
			for key := range query {
				if known && lifted[key] == "" && !takes(call, key, path) {
					refuse(w, key, "there is no such query parameter")
					return
				}
			}
			next(w, r, path)
		}
	}
}

// uncarried names what of a request gRPC cannot carry, and says why: fields are
// UTF-8, metadata is printable, and each of it has one value.
func uncarried(query url.Values, path map[string]string) (field, why string) {
	for key, value := range path {
		if !utf8.ValidString(value) {
			return key, "it is no UTF-8"
		}
	}
	for key, values := range query {
		for _, v := range values {
			switch {
			case !utf8.ValidString(v) || lifted[key] != "" && v != printable(v):
				return key, "it holds octets that are no text"
			case lifted[key] != "" && v == "":
				return key, "it is empty"
			}
		}
		if lifted[key] != "" && len(values) > 1 {
			return key, "it is given more than once"
		}
	}
	return "", ""
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

func takes(c call, key string, path map[string]string) bool {
	if c.body {
		return false
	}
	f := c.in.Fields().ByJSONName(key)
	if f == nil {
		f = c.in.Fields().ByName(protoreflect.Name(key))
	}
	if f == nil {
		return false
	}
	_, set := path[string(f.Name())]
	return !set
}
