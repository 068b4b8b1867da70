// Package serve answers one question: how does the control service stand on the
// network? It puts gRPC, REST and what is mounted beside them on one port. REST
// reaches the service through the same gRPC server, over a connection in memory,
// so that one chain serves all.
package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// Config is what a Server works with.
type Config struct {
	Service *controlapi.Service
	Proxies clientaddr.Proxies
	Log     *slog.Logger            // nil: none
	Mounts  map[string]http.Handler // by pattern of http.ServeMux: "/nic/", "/myip"
}

// Server serves one control service. It opens no port: Handler is for an
// http.Server with Protocols.
type Server struct {
	service *controlapi.Service
	proxies clientaddr.Proxies
	log     *slog.Logger
	grpc    *grpc.Server
	memory  *bufconn.Listener
	local   *grpc.ClientConn
	handler http.Handler
}

// maxBody is the largest request body, in octets.
const maxBody = 1 << 20

// New makes a Server, to be ended with Close.
func New(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{service: c.Service, proxies: c.Proxies, log: c.Log, memory: bufconn.Listen(1 << 20)}
	s.grpc = s.newGRPC()
	go func() {
		if err := s.grpc.Serve(s.memory); err != nil { // nil when Close stops the gRPC server
			s.log.Error("REST lost its way to gRPC", "error", err)
		}
	}()
	var err error
	if s.local, err = dialMemory(s.memory); err != nil {
		s.Close()
		return nil, model.E(model.Internal, "start REST", "").From(err)
	}
	rest, err := s.rest()
	if err != nil {
		s.Close()
		return nil, model.E(model.Internal, "start REST", "").From(err)
	}
	s.handler = s.route(rest, c.Mounts)
	return s, nil
}

// Close ends all calls in progress; an http.Server that serves Handler is to be
// shut down first.
func (s *Server) Close() {
	if s.local != nil {
		if err := s.local.Close(); err != nil {
			s.log.Warn("REST closes", "error", err)
		}
	}
	s.grpc.Stop()
}

// Handler serves gRPC, REST under /v1/, /openapi.json, /healthz (this process
// runs), /readyz (etcd answers, too) and the mounts.
func (s *Server) Handler() http.Handler { return s.handler }

// Protocols is what an http.Server must speak for gRPC, with TLS and without.
func Protocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func (s *Server) route(rest http.Handler, mounts map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi.json", openAPI)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	for pattern, h := range mounts {
		mux.Handle(pattern, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
			if r.URL.Path == pb.WatchService_Watch_FullMethodName {
				w = &stallGuard{w}
			}
			s.grpc.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			rest.ServeHTTP(w, r) // not through the mux, which would clean paths that hold names
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.service.Ready(r.Context()); err != nil {
		http.Error(w, "etcd does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
