package serve

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"

	pb "signpost/proto/signpost/v1"
)

// unimplemented serves calls that arrive with 501: they were understood.
func unimplemented(f *testing.F) http.Handler {
	s := &Server{log: slog.New(slog.DiscardHandler), memory: bufconn.Listen(1 << 20)}
	s.grpc = grpc.NewServer(grpc.MaxRecvMsgSize(maxBody+64<<10), grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream))
	pb.RegisterZoneServiceServer(s.grpc, pb.UnimplementedZoneServiceServer{})
	pb.RegisterHostServiceServer(s.grpc, pb.UnimplementedHostServiceServer{})
	pb.RegisterRecordServiceServer(s.grpc, pb.UnimplementedRecordServiceServer{})
	pb.RegisterEndpointServiceServer(s.grpc, pb.UnimplementedEndpointServiceServer{})
	pb.RegisterHealthServiceServer(s.grpc, pb.UnimplementedHealthServiceServer{})
	pb.RegisterCertificateServiceServer(s.grpc, pb.UnimplementedCertificateServiceServer{})
	pb.RegisterAuditServiceServer(s.grpc, pb.UnimplementedAuditServiceServer{})
	pb.RegisterPrincipalServiceServer(s.grpc, pb.UnimplementedPrincipalServiceServer{})
	pb.RegisterServerServiceServer(s.grpc, pb.UnimplementedServerServiceServer{})
	go s.grpc.Serve(s.memory)
	var err error
	if s.local, err = dialMemory(s.memory); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(s.Close)
	h, err := s.rest()
	if err != nil {
		f.Fatal(err)
	}
	return h
}

// FuzzREST: whatever comes as path, query and body, it is understood (501 here) or
// the client is told in JSON what is wrong; nothing fails inside.
func FuzzREST(f *testing.F) {
	h := unimplemented(f)
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"}
	f.Add(uint8(1), "/v1/zones", "", "curl/8", `{"name":"example.org","name_servers":[{"name":"ns1.example.org","addresses":["192.0.2.1"]}],"ttl":60}`)
	f.Add(uint8(1), "/v1/hosts", "request_id=1&wait=visible&wait_timeout=5s", "curl/8", `{"fqdn":"a.example.org","addresses":["192.0.2.1"],"wildcard":true}`)
	f.Add(uint8(1), "/v1/hosts/a.example.org:setAddresses", "", "curl/8", `{"addresses":["192.0.2.1"],"clear_ipv6":true}`)
	f.Add(uint8(1), "/v1/zones/example.org:import", "replace=true&dry_run=", "curl/8", "@ SOA a b 1 2 3 4 5\n")
	f.Add(uint8(2), "/v1/hosts/a%2Fb.example.org/records/TXT", "", "curl/8", `{"rdata":["\"x\""],"ttl":-1}`)
	f.Add(uint8(0), "/v1/hosts", "page_size=x&zone=%zz", "curl/8", "")
	f.Add(uint8(0), "/v1/zones/example.org:export", "", "curl/8", "")
	f.Add(uint8(4), "/v1/hosts/..", "etag=%22", "curl/8", "")
	f.Fuzz(func(t *testing.T, method uint8, path, query, agent, body string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || !strings.HasPrefix(u.Path, "/v1/") {
			return
		}
		u.RawQuery = query
		r := &http.Request{
			Method: methods[int(method)%len(methods)], URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"User-Agent": {agent}, "Authorization": {"Bearer " + agent}},
			Body: io.NopCloser(strings.NewReader(body)), RemoteAddr: "192.0.2.1:1234", Host: "localhost",
		}
		w := httptest.NewRecorder()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // none comes near it
		defer cancel()
		h.ServeHTTP(w, r.WithContext(ctx))
		switch {
		case w.Code == http.StatusNotImplemented:
		case w.Code < 400 || w.Code >= 500:
			t.Fatalf("%s %s?%s %q is answered %d %s", r.Method, path, query, body, w.Code, w.Body)
		}
		var status struct {
			Code    int
			Message string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil || status.Code == 0 || status.Message == "" {
			t.Fatalf("%s %s?%s %q is answered %d %q: %v", r.Method, path, query, body, w.Code, w.Body, err)
		}
	})
}
