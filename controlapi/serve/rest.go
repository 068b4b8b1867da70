package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	pb "signpost/proto/signpost/v1"
)

var toJSON = protojson.MarshalOptions{EmitDefaultValues: true}

// rest is the API over HTTP and JSON.
func (s *Server) rest() (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{MarshalOptions: toJSON}),
		runtime.WithMiddlewares(strictQuery(queries())),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptReserved), // names may hold what URLs escape, a slash too
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMetadata(func(_ context.Context, r *http.Request) metadata.MD { return s.metadata(r) }),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, httpStatus(status.Code(err)), err)
		}),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, code int) {
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
			return pb.RegisterAuditServiceHandlerClient(ctx, m, pb.NewAuditServiceClient(s.local))
		},
		func(ctx context.Context, m *runtime.ServeMux) error {
			return pb.RegisterServerServiceHandlerClient(ctx, m, pb.NewServerServiceClient(s.local))
		},
	} {
		if err := register(ctx, mux); err != nil {
			return nil, err
		}
	}
	if err := mux.HandlePath(http.MethodPost, "/v1/zones/{name}:import", s.importZone); err != nil {
		return nil, err
	}
	if err := mux.HandlePath(http.MethodGet, "/v1/zones/{name}:export", s.exportZone); err != nil {
		return nil, err
	}
	if err := mux.HandlePath(http.MethodGet, "/v1/watch", s.watch); err != nil {
		return nil, err
	}
	return limitBody(wellFormed(mux)), nil
}

// bodyWithin is how long a client may take to send a body of at most maxBody.
const bodyWithin = 30 * time.Second

// limitBody refuses bodies that are too large before anything is done with them.
func limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Who sends slowly holds a connection and what was sent until then, no longer.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWithin))
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			writeError(w, http.StatusRequestTimeout, status.Error(codes.InvalidArgument, "body: it did not come within 30 s"))
			return
		case err != nil:
			writeError(w, http.StatusBadRequest, status.Error(codes.InvalidArgument, "the body cannot be read"))
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
	switch code {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="signpost"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(code)
	fmt.Fprintf(w, "%s\n", body)
}
