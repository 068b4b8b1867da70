package probe

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	"signpost/internal/model"
)

var quiet = log.New(io.Discard, "", 0)

// serveGRPC is a real server, with the real health service when words are given.
func serveGRPC(t *testing.T, words map[string]healthpb.HealthCheckResponse_ServingStatus, options ...grpc.ServerOption) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(options...)
	if words != nil {
		h := health.NewServer()
		for service, status := range words {
			h.SetServingStatus(service, status)
		}
		healthpb.RegisterHealthServer(s, h)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return portOf(l.Addr())
}

func TestGRPC(t *testing.T) {
	port := serveGRPC(t, map[string]healthpb.HealthCheckResponse_ServingStatus{
		"": healthpb.HealthCheckResponse_SERVING, "example.v1.Up": healthpb.HealthCheckResponse_SERVING,
		"example.v1.Down": healthpb.HealthCheckResponse_NOT_SERVING, "example.v1.Odd": healthpb.HealthCheckResponse_UNKNOWN,
	})
	for service, want := range map[string]model.Reason{
		"": model.Fine, "example.v1.Up": model.Fine, "example.v1.Down": model.NotServing, "example.v1.Odd": model.NotServing, "example.v1.None": model.UnknownService,
	} {
		wants(t, "service "+service, try(t, model.Check{Kind: model.CheckGRPC, Port: port, Service: service}, Target{}), want)
	}
	wants(t, "no health service", try(t, model.Check{Kind: model.CheckGRPC, Port: serveGRPC(t, nil)}, Target{}), model.UnknownService)

	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	if got := try(t, model.Check{Kind: model.CheckGRPC, Port: portOf(web.Listener.Addr())}, Target{}); got.Reason != model.NotTheProtocol && got.Reason != model.Broken {
		t.Errorf("a web server: %v", got.Reason)
	}
	closes := listen(t, func(net.Conn) {})
	wants(t, "closed at once", try(t, model.Check{Kind: model.CheckGRPC, Port: closes}, Target{}), model.Broken)
}

// Whoever is checked may send what they like: it costs the checker no more than an answer.
func TestGRPCFramesWithoutEnd(t *testing.T) {
	frame := func(kind, flags byte, stream uint32, payload []byte) []byte {
		head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags}
		return append(binary.BigEndian.AppendUint32(head, stream), payload...)
	}
	for what, bomb := range map[string][]byte{
		"pings":                frame(6, 0, 0, make([]byte, 8)),
		"settings":             frame(4, 0, 0, nil),
		"unknown frames":       frame(0x77, 0, 0, make([]byte, 1<<14)),
		"empty data":           frame(0, 0, 1, nil),
		"headers without end":  frame(9, 0, 1, make([]byte, 1<<14)),
		"priorities":           frame(2, 0, 1, make([]byte, 5)),
		"window updates":       frame(8, 0, 0, []byte{0, 0, 0, 1}),
		"what is no frame":     []byte(strings.Repeat("x", 1<<14)),
		"pings that are acked": frame(6, 1, 0, make([]byte, 8)),
	} {
		sent := make(chan int64, 1)
		port := listen(t, func(c net.Conn) {
			n, buffer := int64(0), bytes.Repeat(bomb, 1+(1<<16)/len(bomb))
			if _, err := c.Write(frame(4, 0, 0, nil)); err == nil {
				for {
					done, err := c.Write(buffer)
					if n += int64(done); err != nil {
						break
					}
					go func() { _, _ = io.CopyN(io.Discard, c, 1<<16) }() // its answers
				}
			}
			sent <- n
		})
		got := try(t, model.Check{Kind: model.CheckGRPC, Port: port}, Target{})
		if got.Reason != model.NotTheProtocol && got.Reason != model.Broken {
			t.Errorf("%s: %v", what, got.Reason)
		}
		if n := <-sent; n > 32<<20 { // most of it is in the buffers of two sockets
			t.Errorf("%s: %d octets were taken", what, n)
		}
	}
}

func TestGRPCOverTLS(t *testing.T) {
	issue, roots := authority(t)
	now := time.Now()
	serving := map[string]healthpb.HealthCheckResponse_ServingStatus{"": healthpb.HealthCheckResponse_SERVING}
	for name, c := range map[string]struct {
		cert tls.Certificate
		any  bool
		want model.Reason
	}{
		"valid":                 {issue("www.example.org", now.Add(-time.Hour), now.Add(time.Hour)), false, model.Fine},
		"expired":               {issue("www.example.org", now.Add(-2*time.Hour), now.Add(-time.Hour)), false, model.CertificateTime},
		"for another name":      {issue("www.example.net", now.Add(-time.Hour), now.Add(time.Hour)), false, model.CertificateName},
		"for another name, any": {issue("www.example.net", now.Add(-time.Hour), now.Add(time.Hour)), true, model.Fine},
	} {
		t.Run(name, func(t *testing.T) {
			port := serveGRPC(t, serving, grpc.Creds(credentials.NewServerTLSFromCert(&c.cert)))
			wants(t, name, try(t, model.Check{Kind: model.CheckGRPC, Port: port, TLS: true, AnyCertificate: c.any}, Target{Roots: roots}), c.want)
		})
	}
	web := httptest.NewUnstartedServer(http.NotFoundHandler()) // speaks HTTP/1.1 only
	web.Config.ErrorLog = quiet
	web.TLS = &tls.Config{Certificates: []tls.Certificate{issue("www.example.org", now.Add(-time.Hour), now.Add(time.Hour))}}
	web.StartTLS()
	defer web.Close()
	got := try(t, model.Check{Kind: model.CheckGRPC, Port: portOf(web.Listener.Addr()), TLS: true}, Target{Roots: roots})
	if got.Reason != model.NotTheProtocol && got.Reason != model.HandshakeFailed {
		t.Errorf("HTTP/1.1 over TLS: %v", got.Reason)
	}
}

// TestGRPCMessages are what the generated code makes of them.
func TestGRPCMessages(t *testing.T) {
	for _, service := range []string{"", "a", string(make([]byte, 255))} {
		frame := healthRequest(service)
		var req healthpb.HealthCheckRequest
		if err := proto.Unmarshal(frame[5:], &req); err != nil || req.Service != service || int(binary.BigEndian.Uint32(frame[1:])) != len(frame)-5 {
			t.Errorf("%d octets: %v, %v", len(service), &req, err)
		}
	}
	frame := func(msg ...byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...)
	}
	for _, c := range []struct {
		name, status string
		body         []byte
		want         model.Reason
	}{
		{"serving", "0", frame(8, 1), model.Fine},
		{"not serving", "0", frame(8, 2), model.NotServing},
		{"no status in the message", "0", frame(), model.NotServing},
		{"the last counts", "0", frame(8, 1, 8, 2), model.NotServing},
		{"no message", "0", nil, model.NotTheProtocol},
		{"compressed", "0", append([]byte{1}, frame(8, 1)[1:]...), model.NotTheProtocol},
		{"too short", "0", frame(8, 1)[:6], model.NotTheProtocol},
		{"two messages", "0", append(frame(8, 1), frame(8, 1)...), model.NotTheProtocol},
		{"another field", "0", frame(16, 1), model.NotTheProtocol},
		{"half a number", "0", frame(8, 0x80), model.NotTheProtocol},
		{"too long", "0", frame(make([]byte, mostBody)...), model.NotTheProtocol},
		{"not found", "5", nil, model.UnknownService},
		{"unimplemented", "12", nil, model.UnknownService},
		{"unavailable", "14", frame(8, 1), model.NotServing},
		{"no trailer", "", frame(8, 1), model.NotTheProtocol},
	} {
		if got := healthAnswer(c.status, c.body); got != c.want {
			t.Errorf("%s: %v, wanted %v", c.name, got, c.want)
		}
	}
}
