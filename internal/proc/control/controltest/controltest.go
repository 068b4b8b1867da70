// Package controltest starts real control services on a real etcd, with a zone
// vo.example.org and an operator's connection, for tests of those who call them.
package controltest

import (
	"context"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"signpost/internal/proc/control"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

// Services are control services on one etcd.
type Services struct {
	t       testing.TB
	etcd    *localetcd.Server
	dir     string
	running []*control.Server // nil: it has ended
	urls    []string
	// The operator's clients, of the last service that was started.
	Zones     pb.ZoneServiceClient
	Hosts     pb.HostServiceClient
	Endpoints pb.EndpointServiceClient
	Health    pb.HealthServiceClient
	// Ctx carries the operator's token.
	Ctx context.Context
}

// Start starts so many.
func Start(t testing.TB, n int) *Services {
	t.Helper()
	s := &Services{t: t, etcd: localetcd.New(t), dir: t.TempDir()}
	for range n {
		s.Another("127.0.0.1:0")
	}
	_, err := s.Zones.CreateZone(s.Ctx, &pb.CreateZoneRequest{Name: "vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Another starts one more, and gives its URL.
func (s *Services) Another(listen string) string {
	s.t.Helper()
	token := filepath.Join(s.dir, "admin.token")
	c, err := control.Start(s.t.Context(), control.Config{
		EtcdEndpoints: []string{s.etcd.Endpoint()}, EtcdPrefix: "/signpost", HTTPListen: listen, AdminListen: "127.0.0.1:0",
		MasterKeyFile: filepath.Join(s.dir, "master.key"), AdminTokenFile: token, PerAddress: 256,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	i := len(s.running)
	s.running, s.urls = append(s.running, c), append(s.urls, c.URL())
	s.t.Cleanup(func() { s.End(i) })
	raw, err := os.ReadFile(token)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := grpc.NewClient("dns:///"+strings.TrimPrefix(c.URL(), "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	s.Zones, s.Hosts, s.Endpoints, s.Health = pb.NewZoneServiceClient(conn), pb.NewHostServiceClient(conn), pb.NewEndpointServiceClient(conn), pb.NewHealthServiceClient(conn)
	basic := base64.StdEncoding.EncodeToString([]byte("admin:" + strings.TrimSpace(string(raw))))
	s.Ctx = metadata.AppendToOutgoingContext(context.WithoutCancel(s.t.Context()), "authorization", "Basic "+basic)
	return c.URL()
}

// URLs is where they are, those that have ended, too.
func (s *Services) URLs() []string { return s.urls }

// End ends one, if it runs.
func (s *Services) End(i int) {
	if c := s.running[i]; c != nil {
		s.running[i] = nil
		if err := c.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

// Host makes a host without addresses and gives its secret.
func (s *Services) Host(fqdn string) string {
	s.t.Helper()
	answer, err := s.Hosts.CreateHost(s.Ctx, &pb.CreateHostRequest{Fqdn: fqdn})
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.GetSecret()
}

// Endpoint makes an endpoint with an address and gives its secret.
func (s *Services) Endpoint(fqdn, id, address string) string {
	s.t.Helper()
	if _, err := s.Endpoints.SetEndpoint(s.Ctx, &pb.SetEndpointRequest{Fqdn: fqdn, Id: id, Addresses: []string{address}}); err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.Endpoints.RotateEndpointSecret(s.Ctx, &pb.RotateEndpointSecretRequest{Fqdn: fqdn, Id: id})
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.GetSecret()
}

// Addresses is those of a host, with blanks between.
func (s *Services) Addresses(fqdn string) string {
	s.t.Helper()
	h, err := s.Hosts.GetHost(s.Ctx, &pb.GetHostRequest{Fqdn: fqdn})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(h.GetAddresses(), " ")
}

// State is how an endpoint stands.
func (s *Services) State(fqdn, id string) *pb.Endpoint {
	s.t.Helper()
	e, err := s.Endpoints.GetEndpoint(s.Ctx, &pb.GetEndpointRequest{Fqdn: fqdn, Id: id})
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// Beats is how many signs of life of endpoints etcd has seen, one after the other.
func (s *Services) Beats() (n int64) {
	s.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.etcd.Endpoint()}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // it has only read
	all, err := c.Get(s.t.Context(), "/signpost/v1/beat/", clientv3.WithPrefix())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, kv := range all.Kvs {
		n += kv.Version
	}
	return n
}
