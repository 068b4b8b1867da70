package serve

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"signpost/controlapi"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// The metadata that calls may carry. The last is believed only from REST, which
// dials in memory and has found out the client's address itself.
const (
	mdAuthorization = "authorization"
	mdRequestID     = "request-id"
	mdWait          = "wait"
	mdWaitTimeout   = "wait-timeout"
	mdAgent         = "user-agent"
	mdRestAgent     = "signpost-rest-agent"
	mdRestSource    = "signpost-rest-source"
)

func (s *Server) newGRPC() *grpc.Server {
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxBody+64<<10), // the body and its frame
		grpc.ChainUnaryInterceptor(s.unary),
		grpc.ChainStreamInterceptor(s.stream),
	)
	pb.RegisterZoneServiceServer(g, s.service)
	pb.RegisterHostServiceServer(g, s.service)
	pb.RegisterRecordServiceServer(g, s.service)
	pb.RegisterEndpointServiceServer(g, s.service)
	pb.RegisterHealthServiceServer(g, s.service)
	pb.RegisterCertificateServiceServer(g, s.service)
	pb.RegisterTokenServiceServer(g, s.service)
	pb.RegisterAuditServiceServer(g, s.service)
	pb.RegisterPrincipalServiceServer(g, s.service)
	pb.RegisterServerServiceServer(g, s.service)
	pb.RegisterWatchServiceServer(g, s.service)
	pb.RegisterCutoverServiceServer(g, s.service)
	grpc_health_v1.RegisterHealthServer(g, &health{ready: s.service.Ready})
	reflection.Register(g)
	return g
}

func dialMemory(l *bufconn.Listener) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
	)
}

func (s *Server) unary(ctx context.Context, in any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (out any, err error) {
	defer s.caught(info.FullMethod, &err)
	caller, err := s.caller(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	out, err = next(controlapi.WithCaller(ctx, caller), in)
	return out, asStatus(err)
}

func (s *Server) stream(srv any, st grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.caught(info.FullMethod, &err)
	caller, err := s.caller(st.Context())
	if err != nil {
		return toStatus(err)
	}
	return asStatus(next(srv, &callerStream{st, controlapi.WithCaller(st.Context(), caller)}))
}

// asStatus leaves alone what is itself a status: health and reflection make them. One
// that is only the cause of an error of ours is etcd's, and not for the caller.
func asStatus(err error) error {
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err
	}
	return toStatus(err)
}

// caught turns a panic into an error of its call alone.
func (s *Server) caught(method string, err *error) {
	if p := recover(); p != nil {
		s.log.Error("panic", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = status.Error(codes.Internal, "internal error; the server's log says more")
	}
}

type callerStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (c *callerStream) Context() context.Context { return c.ctx }

func (c *callerStream) RecvMsg(m any) error {
	err := c.ServerStream.RecvMsg(m)
	if err == nil {
		bodyOf(c.ctx).taken()
	}
	return err
}

// caller is what came with a call besides its message. Errors are of kind Invalid.
func (s *Server) caller(ctx context.Context) (controlapi.Caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	first := func(key string) string {
		if v := md.Get(key); len(v) > 0 {
			return v[0]
		}
		return ""
	}
	bad := func(field, why string) *model.Error {
		return model.E(model.Invalid, "read call", "").In(field).Because(why)
	}
	for param, key := range lifted {
		switch v := md.Get(key); {
		case len(v) > 1:
			return controlapi.Caller{}, bad(param, "it is given more than once")
		case len(v) == 1 && v[0] == "":
			return controlapi.Caller{}, bad(param, "it is empty").Hint("leave it out")
		}
	}
	c := controlapi.Caller{
		Authorization: first(mdAuthorization), UserAgent: first(mdAgent), RequestID: first(mdRequestID),
	}
	if p, ok := peer.FromContext(ctx); ok && p.Addr.Network() == "bufconn" {
		c.Source, _ = netip.ParseAddr(first(mdRestSource))
		c.UserAgent = first(mdRestAgent)
	} else if ok {
		if len(md.Get(mdAuthorization)) > 1 {
			return controlapi.Caller{}, bad(mdAuthorization, "it is given more than once")
		}
		c.Source = s.proxies.Client(p.Addr.String(), http.Header{
			"X-Forwarded-For": md.Get("x-forwarded-for"), "Forwarded": md.Get("forwarded"),
		})
	}
	switch first(mdWait) {
	case "":
	case "visible":
		c.WaitVisible = true
	default:
		return c, bad("wait", "it is not \"visible\"")
	}
	if text := first(mdWaitTimeout); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return c, bad("wait_timeout", "\""+text+"\" is no duration such as 5s")
		}
		c.WaitTimeout = d
	}
	return c, nil
}

// health tells load balancers whether this server can do its work now.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	ready func(context.Context) error
}

func (h *health) Check(ctx context.Context, in *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if n := in.GetService(); n != "" && !isService(n) {
		return nil, status.Error(codes.NotFound, "there is no such service")
	}
	answer := &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}
	if h.ready(ctx) != nil {
		answer.Status = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return answer, nil
}

func isService(full string) bool {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(full))
	_, is := d.(protoreflect.ServiceDescriptor)
	return err == nil && is
}
