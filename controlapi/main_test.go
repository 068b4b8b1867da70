package controlapi_test

import (
	"bytes"
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
	"signpost/controlapi/serve"
	"signpost/internal/access"
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
	conn    *grpc.ClientConn
	metrics *prometheus.Registry
	log     *logBuffer
	clock   *clock

	zones   pb.ZoneServiceClient
	hosts   pb.HostServiceClient
	records pb.RecordServiceClient
	audits  pb.AuditServiceClient
	servers pb.ServerServiceClient
}

func start(t testing.TB, change ...func(*controlapi.Config)) *server {
	t.Helper()
	s := &server{t: t, metrics: prometheus.NewRegistry(), log: &logBuffer{}, clock: &clock{now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}}
	s.prefix = fmt.Sprintf("/test-%d", prefixes.Add(1))
	s.store = openStore(t, s.prefix)
	s.token = setUp(t, s.store)
	c := controlapi.Config{
		Store: s.store, Version: "test", Now: s.clock.read, Metrics: s.metrics, Log: slog.New(slog.NewJSONHandler(s.log, nil)),
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
	s.audits, s.servers = pb.NewAuditServiceClient(s.conn), pb.NewServerServiceClient(s.conn)
	return s
}

func openStore(t testing.TB, prefix string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Config{Endpoints: []string{etcd.Endpoint()}, Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// setUp does what the first start does, and answers the admin token.
func setUp(t testing.TB, st *store.Store) string {
	t.Helper()
	key, token := store.NewMasterKey(), access.NewAdminToken()
	parsed, err := access.ParseSecret(token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Initialize(context.Background(), key, "first", parsed.Sum[:], time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := st.UseMasterKey(context.Background(), key); err != nil {
		t.Fatal(err)
	}
	return token
}

func listen(t testing.TB, service *controlapi.Service) string {
	t.Helper()
	proxies, err := clientaddr.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	sv, err := serve.New(serve.Config{Service: service, Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: sv.Handler(), Protocols: serve.Protocols()}
	go h.Serve(l)
	t.Cleanup(func() { h.Close(); sv.Close() })
	return l.Addr().String()
}

// clock is a control service's, set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// with is a context with metadata; as and admin are contexts of callers.
func with(pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), pairs...)
}

func as(host, secret string) context.Context {
	return with("authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(host+":"+secret)))
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
	out, err := s.hosts.CreateHost(s.admin(), &pb.CreateHostRequest{Fqdn: fqdn, Addresses: addrs})
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
