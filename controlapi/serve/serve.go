// Package serve answers one question: how does the control service stand on the
// network? It puts gRPC, REST and what is mounted beside them on one port. REST
// reaches the service through the same gRPC server, over a connection in memory,
// so that one chain serves all.
package serve

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
	// PublicURL is where clients find this, for /openapi.json; empty: it does not say.
	PublicURL string
	// BodyWithin is how long a client may take to send a body, or a piece of a zone file;
	// 0: 30 s.
	BodyWithin time.Duration
}

// Server serves one control service. It opens no port: Handler is for an
// http.Server of door's.
type Server struct {
	service    *controlapi.Service
	proxies    clientaddr.Proxies
	log        *slog.Logger
	grpc       *grpc.Server
	memory     *bufconn.Listener
	local      *grpc.ClientConn
	handler    http.Handler
	document   func() ([]byte, error)
	publicHost string // of PublicURL
	bodyWithin time.Duration
}

// maxBody is the largest request body, in octets.
const maxBody = 1 << 20

// New makes a Server, to be ended with Close.
func New(c Config) (*Server, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.BodyWithin == 0 {
		c.BodyWithin = bodyWithin
	}
	s := &Server{
		service: c.Service, proxies: c.Proxies, log: c.Log, memory: bufconn.Listen(1 << 20),
		publicHost: hostOf(c.PublicURL),
		document:   sync.OnceValues(func() ([]byte, error) { return document(c.PublicURL) }),
		bodyWithin: c.BodyWithin,
	}
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

func (s *Server) route(rest http.Handler, mounts map[string]http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /openapi.json", s.openAPI)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	for pattern, h := range mounts {
		mux.Handle(pattern, h)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
			var rest func()
			if r.URL.Path == pb.ZoneService_ImportZone_FullMethodName {
				body := s.patient(w, r)
				r.Body, rest = body, body.rest
			}
			s.grpc.ServeHTTP(w, pace(r, rest)) // caller refuses what the next case does
		case len(r.Header["Authorization"]) > 1:
			refuse(w, "Authorization", "it is given more than once, and a proxy on the way may have looked at another")
		case s.madeByAPage(r):
			writeError(w, http.StatusForbidden, status.Error(codes.PermissionDenied, "a page of another site had the browser send this with a credential that it keeps; nothing was done"))
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			rest.ServeHTTP(w, r) // not through the mux, which would clean paths that hold names
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// madeByAPage reports whether a browser adds its user's credential to what another site's
// page asks for. Browsers keep Basic credentials and send them as they do cookies, and
// /nic/update changes something with a GET. The site of a name that we serve is another
// one, too, though browsers may call it the same site. Older browsers, and all of them over
// plain HTTP, say no more than the page's origin, and that only where a page does not just
// look (Fetch standard, section 3.2).
func (s *Server) madeByAPage(r *http.Request) bool {
	if len(r.Header["Authorization"]) == 0 {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") { // which no page can set
	case "none", "same-origin":
		return false
	case "":
		origin := r.Header.Get("Origin") // nor that
		u, err := url.Parse(origin)
		return origin != "" && (err != nil || u.Host != r.Host && u.Host != s.publicHost || u.Host == "")
	}
	return true
}

// hostOf is the host of a URL; "" for none.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.service.Ready(r.Context()); err != nil {
		http.Error(w, "etcd does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
