// Package controltest is what the tests of the control service's rooms share: a service on
// a real socket and a real etcd, callers, and what the tests of one room need of another.
package controltest

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/controlapi/door"
	"signpost/controlapi/serve"
	"signpost/internal/access"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

// Etcd is shared: each test has a prefix of its own.
var Etcd *localetcd.Server

// Main runs the tests of a package on an etcd of their own.
func Main(m *testing.M) {
	var err error
	if Etcd, err = localetcd.Start(localetcd.Options{UnsafeNoFsync: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	Etcd.Close()
	os.Exit(code)
}

var prefixes atomic.Int64

// Server is a control service on a real socket, with an admin's clients.
type Server struct {
	T       testing.TB
	Prefix  string
	Store   *store.Store
	Service *controlapi.Service
	URL     string
	Token   string
	Key     *store.MasterKey
	Conn    *grpc.ClientConn
	Metrics *prometheus.Registry
	Log     *logBuffer
	Clock   *clock

	Zones   pb.ZoneServiceClient
	Hosts   pb.HostServiceClient
	Records pb.RecordServiceClient
	Tokens  pb.TokenServiceClient
	Points  pb.EndpointServiceClient
	Health  pb.HealthServiceClient
	Audits  pb.AuditServiceClient
	Servers pb.ServerServiceClient
	People  pb.PrincipalServiceClient
}

func Start(t testing.TB, change ...func(*controlapi.Config)) *Server {
	t.Helper()
	s := NewServer(t, fmt.Sprintf("/test-%d", prefixes.Add(1)))
	s.Token, s.Key = SetUp(t, s.Store)
	return s.Serve(change...)
}

// Again is another control service on the same state.
func (s *Server) Again(change ...func(*controlapi.Config)) *Server {
	s.T.Helper()
	next := NewServer(s.T, s.Prefix)
	next.Token, next.Key = s.Token, s.Key
	if err := next.Store.UseMasterKeys(s.T.Context(), s.Key); err != nil {
		s.T.Fatal(err)
	}
	return next.Serve(change...)
}

func NewServer(t testing.TB, prefix string) *Server {
	t.Helper()
	return &Server{
		T: t, Prefix: prefix, Store: openStore(t, prefix), Metrics: prometheus.NewRegistry(), Log: &logBuffer{},
		Clock: &clock{now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)},
	}
}

func (s *Server) Serve(change ...func(*controlapi.Config)) *Server {
	t := s.T
	t.Helper()
	c := controlapi.Config{
		Store: s.Store, Version: "test", Now: s.Clock.Read, Elapsed: s.Clock.Elapsed, Metrics: s.Metrics, Users: people,
		Operators: []model.PrincipalName{"group:egi/operators"},
		Log:       slog.New(slog.NewJSONHandler(s.Log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if s.Service, err = controlapi.New(c); err != nil {
		t.Fatal(err)
	}
	addr := listen(t, s.Service)
	s.URL = "http://" + addr
	if s.Conn, err = grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Conn.Close() })
	s.Zones, s.Hosts, s.Records = pb.NewZoneServiceClient(s.Conn), pb.NewHostServiceClient(s.Conn), pb.NewRecordServiceClient(s.Conn)
	s.People = pb.NewPrincipalServiceClient(s.Conn)
	s.Tokens = pb.NewTokenServiceClient(s.Conn)
	s.Points, s.Health = pb.NewEndpointServiceClient(s.Conn), pb.NewHealthServiceClient(s.Conn)
	s.Audits, s.Servers = pb.NewAuditServiceClient(s.Conn), pb.NewServerServiceClient(s.Conn)
	return s
}

func openStore(t testing.TB, prefix string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Config{Endpoints: []string{Etcd.Endpoint()}, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	// As in production: the first calls find no copy yet and read etcd, later ones do.
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = st.KeepCopy(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		st.Close()
	})
	return st
}

// SetUp does what the first start does, and answers the admin token and the master key.
func SetUp(t testing.TB, st *store.Store) (token string, key *store.MasterKey) {
	t.Helper()
	key, token = store.NewMasterKey(), access.NewAdminToken()
	parsed, err := access.ParseSecret(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Initialize(context.Background(), key, "first", parsed.Sum[:], time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := st.UseMasterKeys(context.Background(), key); err != nil {
		t.Fatal(err)
	}
	return token, key
}

func listen(t testing.TB, service *controlapi.Service) string {
	t.Helper()
	return ListenWith(t, serve.Config{Service: service})
}

func ListenWith(t testing.TB, c serve.Config) string {
	t.Helper()
	proxies, err := clientaddr.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	c.Proxies = proxies
	sv, err := serve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: sv.Handler(), Protocols: door.Protocols()}
	go h.Serve(l)
	t.Cleanup(func() { h.Close(); sv.Close() })
	return l.Addr().String()
}

// With is a context with metadata; as and admin are contexts of callers.
func With(pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), pairs...)
}

func As(host, secret string, pairs ...string) context.Context {
	return With(append([]string{"authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(host+":"+secret))}, pairs...)...)
}

// people knows the tokens that person makes, in the place of an identity provider.
func people(_ context.Context, token string) (access.Principal, error) {
	words, err := base64.RawURLEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(token, "a."), ".b"))
	names := strings.Fields(string(words))
	if err != nil || len(names) == 0 {
		return access.Principal{}, access.Wrong()
	}
	p := access.Principal{Kind: access.User, Person: model.PrincipalName(names[0])}
	for _, g := range names[1:] {
		p.Groups = append(p.Groups, model.PrincipalName(g))
	}
	return p, nil
}

// Person is a context of somebody who is logged in, and in these groups.
func Person(name string, groups ...string) context.Context {
	words := strings.Join(append([]string{name}, groups...), " ")
	return With("authorization", "Bearer a."+base64.RawURLEncoding.EncodeToString([]byte(words))+".b")
}

func (s *Server) Admin(pairs ...string) context.Context {
	return With(append([]string{"authorization", "Bearer " + s.Token}, pairs...)...)
}

// Zone makes a zone for trials, host a host.
func (s *Server) Zone(name string) *pb.Zone {
	s.T.Helper()
	out, err := s.Zones.CreateZone(s.Admin(), &pb.CreateZoneRequest{Name: name, NameServers: []*pb.NameServer{{Name: "ns1." + name, Addresses: []string{"192.0.2.53"}}}})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.Zone
}

func (s *Server) Host(fqdn string, addrs ...string) string {
	s.T.Helper()
	return s.HostOf(s.Admin(), fqdn, addrs...)
}

// Policy says who may do what in a zone.
func (s *Server) Policy(zone string, in *pb.UpdateZonePolicyRequest) {
	s.T.Helper()
	in.Name = zone
	if _, err := s.Zones.UpdateZonePolicy(s.Admin(), in); err != nil {
		s.T.Fatal(err)
	}
}

func (s *Server) HostOf(who context.Context, fqdn string, addrs ...string) string {
	s.T.Helper()
	out, err := s.Hosts.CreateHost(who, &pb.CreateHostRequest{Fqdn: fqdn, Addresses: addrs})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.Secret
}

func (s *Server) Record(fqdn, rrtype string, rdata ...string) {
	s.T.Helper()
	if _, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: rdata}); err != nil {
		s.T.Fatal(err)
	}
}

// Sets is the record sets of a name, one line each: "A 60 192.0.2.1 192.0.2.2".
func (s *Server) Sets(fqdn string) string {
	s.T.Helper()
	out, err := s.Records.ListRecordSets(s.Admin(), &pb.ListRecordSetsRequest{Fqdn: fqdn})
	if err != nil {
		s.T.Fatal(err)
	}
	var lines []string
	for _, r := range out.RecordSets {
		lines = append(lines, fmt.Sprintf("%s %d %s", r.Type, r.Ttl, strings.Join(r.Rdata, " ")))
	}
	return strings.Join(lines, "\n")
}

// WantErr checks an error's code and, if given, the field at fault.
func WantErr(t *testing.T, err error, code codes.Code, field string) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Errorf("%v: %s, want %s", err, st.Code(), code)
		return
	}
	if field == "" {
		return
	}
	for _, d := range st.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok && bad.FieldViolations[0].Field == field {
			return
		}
	}
	t.Errorf("%v: the field at fault is not %s: %v", err, field, st.Details())
}

// Call makes an HTTP request and answers status and body.
func (s *Server) Call(method, path, auth, body string, headers ...string) (int, string) {
	s.T.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.T.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}
