package controlapi_test

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

// etcd is shared: each test has a prefix of its own.
var etcd *localetcd.Server

func TestMain(m *testing.M) {
	var err error
	if etcd, err = localetcd.Start(localetcd.Options{UnsafeNoFsync: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	etcd.Close()
	os.Exit(code)
}

var prefixes atomic.Int64

// server is a control service on a real socket, with an admin's clients.
type server struct {
	t       testing.TB
	prefix  string
	store   *store.Store
	service *controlapi.Service
	url     string
	token   string
	key     *store.MasterKey
	conn    *grpc.ClientConn
	metrics *prometheus.Registry
	log     *logBuffer
	clock   *clock

	zones   pb.ZoneServiceClient
	hosts   pb.HostServiceClient
	records pb.RecordServiceClient
	tokens  pb.TokenServiceClient
	points  pb.EndpointServiceClient
	health  pb.HealthServiceClient
	audits  pb.AuditServiceClient
	servers pb.ServerServiceClient
	people  pb.PrincipalServiceClient
}

func start(t testing.TB, change ...func(*controlapi.Config)) *server {
	t.Helper()
	s := newServer(t, fmt.Sprintf("/test-%d", prefixes.Add(1)))
	s.token, s.key = setUp(t, s.store)
	return s.serve(change...)
}

// again is another control service on the same state.
func (s *server) again(change ...func(*controlapi.Config)) *server {
	s.t.Helper()
	next := newServer(s.t, s.prefix)
	next.token, next.key = s.token, s.key
	if err := next.store.UseMasterKeys(s.t.Context(), s.key); err != nil {
		s.t.Fatal(err)
	}
	return next.serve(change...)
}

func newServer(t testing.TB, prefix string) *server {
	t.Helper()
	return &server{
		t: t, prefix: prefix, store: openStore(t, prefix), metrics: prometheus.NewRegistry(), log: &logBuffer{},
		clock: &clock{now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)},
	}
}

func (s *server) serve(change ...func(*controlapi.Config)) *server {
	t := s.t
	t.Helper()
	c := controlapi.Config{
		Store: s.store, Version: "test", Now: s.clock.read, Elapsed: s.clock.elapsed, Metrics: s.metrics, Users: people,
		Operators: []model.PrincipalName{"group:egi/operators"},
		Log:       slog.New(slog.NewJSONHandler(s.log, nil)),
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if s.service, err = controlapi.New(c); err != nil {
		t.Fatal(err)
	}
	addr := listen(t, s.service)
	s.url = "http://" + addr
	if s.conn, err = grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	s.zones, s.hosts, s.records = pb.NewZoneServiceClient(s.conn), pb.NewHostServiceClient(s.conn), pb.NewRecordServiceClient(s.conn)
	s.people = pb.NewPrincipalServiceClient(s.conn)
	s.tokens = pb.NewTokenServiceClient(s.conn)
	s.points, s.health = pb.NewEndpointServiceClient(s.conn), pb.NewHealthServiceClient(s.conn)
	s.audits, s.servers = pb.NewAuditServiceClient(s.conn), pb.NewServerServiceClient(s.conn)
	return s
}

func openStore(t testing.TB, prefix string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Config{Endpoints: []string{etcd.Endpoint()}, Prefix: prefix})
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

// setUp does what the first start does, and answers the admin token and the master key.
func setUp(t testing.TB, st *store.Store) (token string, key *store.MasterKey) {
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
	return listenWith(t, serve.Config{Service: service})
}

func listenWith(t testing.TB, c serve.Config) string {
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

// with is a context with metadata; as and admin are contexts of callers.
func with(pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), pairs...)
}

func as(host, secret string, pairs ...string) context.Context {
	return with(append([]string{"authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(host+":"+secret))}, pairs...)...)
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

// person is a context of somebody who is logged in, and in these groups.
func person(name string, groups ...string) context.Context {
	words := strings.Join(append([]string{name}, groups...), " ")
	return with("authorization", "Bearer a."+base64.RawURLEncoding.EncodeToString([]byte(words))+".b")
}

func (s *server) admin(pairs ...string) context.Context {
	return with(append([]string{"authorization", "Bearer " + s.token}, pairs...)...)
}

// zone makes a zone for trials, host a host.
func (s *server) zone(name string) *pb.Zone {
	s.t.Helper()
	out, err := s.zones.CreateZone(s.admin(), &pb.CreateZoneRequest{Name: name, NameServers: []*pb.NameServer{{Name: "ns1." + name, Addresses: []string{"192.0.2.53"}}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Zone
}

func (s *server) host(fqdn string, addrs ...string) string {
	s.t.Helper()
	return s.hostOf(s.admin(), fqdn, addrs...)
}

// policy says who may do what in a zone.
func (s *server) policy(zone string, in *pb.UpdateZonePolicyRequest) {
	s.t.Helper()
	in.Name = zone
	if _, err := s.zones.UpdateZonePolicy(s.admin(), in); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) hostOf(who context.Context, fqdn string, addrs ...string) string {
	s.t.Helper()
	out, err := s.hosts.CreateHost(who, &pb.CreateHostRequest{Fqdn: fqdn, Addresses: addrs})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Secret
}

func (s *server) record(fqdn, rrtype string, rdata ...string) {
	s.t.Helper()
	if _, err := s.records.SetRecordSet(s.admin(), &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: rdata}); err != nil {
		s.t.Fatal(err)
	}
}

// sets is the record sets of a name, one line each: "A 60 192.0.2.1 192.0.2.2".
func (s *server) sets(fqdn string) string {
	s.t.Helper()
	out, err := s.records.ListRecordSets(s.admin(), &pb.ListRecordSetsRequest{Fqdn: fqdn})
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for _, r := range out.RecordSets {
		lines = append(lines, fmt.Sprintf("%s %d %s", r.Type, r.Ttl, strings.Join(r.Rdata, " ")))
	}
	return strings.Join(lines, "\n")
}

// wantErr checks an error's code and, if given, the field at fault.
func wantErr(t *testing.T, err error, code codes.Code, field string) {
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

// call makes an HTTP request and answers status and body.
func (s *server) call(method, path, auth, body string, headers ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}
