package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi/door"
	pb "signpost/proto/signpost/v1"
)

var toJSON = protojson.MarshalOptions{EmitDefaultValues: true}

// rest is the API over HTTP and JSON.
func (s *Server) rest() (http.Handler, error) {
	declared := calls()
	byHand := map[string]runtime.HandlerFunc{
		http.MethodPost + " /v1/zones/{name}:import": s.importZone,
		http.MethodGet + " /v1/zones/{name}:export":  s.exportZone,
		http.MethodGet + " /v1/watch":                s.watch,
	}
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{MarshalOptions: toJSON}),
		runtime.WithMiddlewares(strictQuery(declared), conditions(declared)),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptReserved), // names may hold what URLs escape, a slash too
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD { return s.metadata(r) }),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			code := httpStatus(status.Code(err))
			if failedMatch(r, err) {
				code = http.StatusPreconditionFailed
			}
			writeError(w, code, err)
		}),
		runtime.WithForwardResponseOption(func(_ context.Context, w http.ResponseWriter, m proto.Message) error {
			showEtag(w, m)
			return nil
		}),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
			if code == http.StatusMethodNotAllowed {
				w.Header().Set("Allow", allowed(slices.Concat(slices.Collect(maps.Keys(declared)), slices.Collect(maps.Keys(byHand))), r.URL))
			}
			writeError(w, code, status.Error(codes.NotFound, http.StatusText(code)+"; /openapi.json says what there is"))
		}),
	)
	ctx := context.Background() // of no call: the client it makes closes with s.local
	for _, register := range []func(context.Context, *runtime.ServeMux) error{
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterZoneServiceHandlerClient(ctx, m, pb.NewZoneServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterHostServiceHandlerClient(ctx, m, pb.NewHostServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterRecordServiceHandlerClient(ctx, m, pb.NewRecordServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterEndpointServiceHandlerClient(ctx, m, pb.NewEndpointServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterHealthServiceHandlerClient(ctx, m, pb.NewHealthServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterCertificateServiceHandlerClient(ctx, m, pb.NewCertificateServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterTokenServiceHandlerClient(ctx, m, pb.NewTokenServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterAuditServiceHandlerClient(ctx, m, pb.NewAuditServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterPrincipalServiceHandlerClient(ctx, m, pb.NewPrincipalServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterServerServiceHandlerClient(ctx, m, pb.NewServerServiceClient(s.local))
		},
	} {
		if err := register(ctx, mux); err != nil {
			return nil, err
		}
	}
	for key, h := range byHand {
		method, path, _ := strings.Cut(key, " ")
		if err := mux.HandlePath(method, path, h); err != nil {
			return nil, err
		}
	}
	return answerHead(s.limitBody(wellFormed(mux))), nil
}

// bodyWithin is how long a client may take to send a body of at most maxBody, when
// nothing else is said.
const bodyWithin = 30 * time.Second

// limitBody refuses bodies that are too large before anything is done with them.
func (s *Server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isZoneFile(r) {
			next.ServeHTTP(w, r)
			return
		}
		// Who sends slowly holds a connection and what was sent until then, no longer.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.bodyWithin))
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			writeError(w, http.StatusRequestTimeout, bodyError(err))
			return
		case errors.Is(err, door.ErrBodies):
			writeError(w, http.StatusTooManyRequests, status.Error(codes.ResourceExhausted, "body: "+err.Error()))
			return
		case err != nil:
			writeError(w, http.StatusBadRequest, bodyError(err))
			return
		case len(body) > maxBody:
			writeError(w, http.StatusRequestEntityTooLarge, status.Error(codes.InvalidArgument, "body: it is larger than 1 MiB"))
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func bodyError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return status.Error(codes.InvalidArgument, "body: it did not come in time")
	}
	return status.Error(codes.InvalidArgument, "the body cannot be read")
}

// metadata is what a call over REST carries into gRPC.
func (s *Server) metadata(r *http.Request) metadata.MD {
	md := metadata.Pairs(mdRestAgent, printable(r.UserAgent()), mdAuthorization, printable(r.Header.Get("Authorization")))
	if a := s.proxies.Client(r.RemoteAddr, r.Header); a.IsValid() {
		md.Set(mdRestSource, a.String())
	}
	query := r.URL.Query()
	for param, key := range lifted {
		if v := query.Get(param); v != "" {
			md.Set(key, v)
		}
	}
	return md
}

// writeError answers with google.rpc.Status.
func writeError(w http.ResponseWriter, code int, err error) {
	st := status.Convert(err)
	body, jsonErr := toJSON.Marshal(st.Proto())
	if jsonErr != nil {
		body = []byte(`{"code":13,"message":"internal error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	for _, d := range st.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok {
			h.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.GetRetryDelay().AsDuration().Seconds()))))
		}
	}
	switch code {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="signpost"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	fmt.Fprintf(w, "%s\n", body)
}
