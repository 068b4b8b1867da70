// Package cert asks: does a host get its certificate, from an authority that looks for the
// challenge at name servers of ours, and is nothing left behind when it does not?
package cert

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/controlapi/door"
	"signpost/controlapi/dyndns2"
	"signpost/controlapi/egi"
	"signpost/controlapi/serve"
	"signpost/internal/access"
	"signpost/internal/acme"
	"signpost/internal/acme/pebbletest"
	"signpost/internal/model"
	procdns "signpost/internal/proc/dns"
	"signpost/internal/proc/ports"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
	"signpost/test/proctest"
)

// etcd is shared: each test has a prefix of its own.
var (
	etcd     *localetcd.Server
	prefixes atomic.Int64
)

func TestMain(m *testing.M) {
	clog.Discard()
	var err error
	if etcd, err = localetcd.Start(localetcd.Options{UnsafeNoFsync: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	etcd.Close()
	os.Exit(code)
}

// world is an authority, name servers that follow etcd and control services beside them.
type world struct {
	t       *testing.T
	prefix  string
	token   string
	key     *store.MasterKey
	ca      *pebbletest.Server
	servers []string // name servers, HOST:PORT
	offset  atomic.Int64
	wait    time.Duration // for name servers to serve a challenge
	early   time.Duration // for an order that need not be
	begun   atomic.Int64  // calls with a person's token
}

func newWorld(t *testing.T, replicas int) *world {
	t.Helper()
	t.Parallel()
	w := &world{t: t, wait: 30 * time.Second, prefix: fmt.Sprintf("/test-%d", prefixes.Add(1)), key: store.NewMasterKey(), token: access.NewAdminToken()}
	st := w.store()
	parsed, err := access.ParseSecret(w.token)
	w.check(err)
	_, err = st.Initialize(t.Context(), w.key, "first", parsed.Sum[:], time.Now())
	w.check(err)
	for range replicas {
		w.servers = append(w.servers, w.nameServer(etcd.Endpoint()))
	}
	w.ca = pebbletest.Start(t, w.servers[0])
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) store() *store.Store {
	w.t.Helper()
	st, err := store.Open(store.Config{Endpoints: []string{etcd.Endpoint()}, Prefix: w.prefix})
	w.check(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = st.KeepCopy(ctx) })
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = st.Close() // some tests have closed it
	})
	return st
}

// nameServer is a CoreDNS that follows etcd.
func (w *world) nameServer(endpoint string) string {
	w.t.Helper()
	var last error
	for range 5 { // the port may be taken between finding and binding it
		port, err := ports.Pairs("127.0.0.1", 1)
		w.check(err)
		s, err := procdns.Start(fmt.Sprintf(".:%d {\nbind 127.0.0.1\nsignpost {\nendpoint %s\nprefix %s\nsnapshot %q\n}\n}\n",
			port, endpoint, w.prefix, filepath.Join(w.t.TempDir(), "snapshot")))
		if err == nil {
			w.t.Cleanup(func() { _ = s.Stop() })
			return net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
		}
		last = err
	}
	w.t.Fatal(last)
	return ""
}

// now is the services' clock: the time, and what a test has added to it.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }

// control is a control service, with an operator's clients.
type control struct {
	*controlapi.Service
	w     *world
	store *store.Store
	url   string
	ctx   context.Context // with the operator's token
	zones pb.ZoneServiceClient
	hosts pb.HostServiceClient
	recs  pb.RecordServiceClient
	certs pb.CertificateServiceClient
	audit pb.AuditServiceClient
	watch pb.WatchServiceClient

	tokens pb.TokenServiceClient
}

func (w *world) control(change ...func(*controlapi.Config)) *control {
	w.t.Helper()
	s := &control{w: w, store: w.store()}
	w.check(s.store.UseMasterKeys(w.t.Context(), w.key))
	c := controlapi.Config{
		Store: s.store, Now: w.now, NameServers: w.servers, Users: w.people, Log: slog.New(slog.NewTextHandler(w.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Authority: &controlapi.Authority{
			ACME: acme.New(acme.Config{Directory: w.ca.Directory, Roots: w.ca.Roots}), Directory: w.ca.Directory, Wait: w.wait, Early: w.early,
		},
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	s.Service, err = controlapi.New(c)
	w.check(err)
	proxies, err := clientaddr.ParseProxies(nil)
	w.check(err)
	mounts := dyndns2.New(s.Service, proxies, c.Log).Mounts()
	maps.Copy(mounts, egi.New(s.Service, proxies, "https://dns.example.com").Mounts())
	api, err := serve.New(serve.Config{Service: s.Service, Proxies: proxies, Mounts: mounts})
	w.check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.check(err)
	h := &http.Server{Handler: api.Handler(), Protocols: door.Protocols()}
	go h.Serve(l)
	w.t.Cleanup(func() { s.EndStreams(); h.Close(); api.Close() })
	s.url = "http://" + l.Addr().String()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	w.check(err)
	w.t.Cleanup(func() { conn.Close() })
	s.ctx = bearer(context.WithoutCancel(w.t.Context()), w.token)
	s.zones, s.hosts, s.recs = pb.NewZoneServiceClient(conn), pb.NewHostServiceClient(conn), pb.NewRecordServiceClient(conn)
	s.certs, s.audit, s.watch = pb.NewCertificateServiceClient(conn), pb.NewAuditServiceClient(conn), pb.NewWatchServiceClient(conn)
	s.tokens = pb.NewTokenServiceClient(conn)
	return s
}

func bearer(ctx context.Context, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
}

// people takes the token a.NAME.b for the person NAME.
func (w *world) people(_ context.Context, token string) (access.Principal, error) {
	w.begun.Add(1)
	parts := strings.Split(token, ".")
	name, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || parts[0] != "a" {
		return access.Principal{}, access.Wrong()
	}
	return access.Principal{Kind: access.User, Person: model.PrincipalName(name)}, nil
}

func tokenOf(name string) string {
	return "a." + base64.RawURLEncoding.EncodeToString([]byte(name)) + ".b"
}

func (s *control) person(name string) context.Context {
	return bearer(context.WithoutCancel(s.w.t.Context()), tokenOf(name))
}

// zone makes a zone in which everybody registers.
func (s *control) zone(name string) {
	s.w.t.Helper()
	_, err := s.zones.CreateZone(s.ctx, &pb.CreateZoneRequest{Name: name, NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	s.w.check(err)
	everyone := "everyone"
	_, err = s.zones.UpdateZonePolicy(s.ctx, &pb.UpdateZonePolicyRequest{Name: name, Register: &everyone})
	s.w.check(err)
}

// host makes a host of alice's, without an address.
func (s *control) host(fqdn string, wildcard bool) {
	s.w.t.Helper()
	_, err := s.hosts.CreateHost(s.person("egi/alice"), &pb.CreateHostRequest{Fqdn: fqdn, Wildcard: wildcard})
	s.w.check(err)
}

// txt is what the name servers of ours say of the challenge of a host, all of them.
func (w *world) txt(fqdn string) []string {
	w.t.Helper()
	var all []string
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn("_acme-challenge."+fqdn), dns.TypeTXT)
	for _, server := range w.servers {
		in, err := dns.Exchange(q, server)
		w.check(err)
		for _, rr := range in.Answer {
			if txt, ok := rr.(*dns.TXT); ok {
				all = append(all, strings.Join(txt.Txt, ""))
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// shows fails the test if the name servers do not come to say just this of the challenge of
// a host: they hear of what is in etcd a moment later.
func (w *world) shows(what, fqdn string, want ...string) {
	w.t.Helper()
	got := w.txt(fqdn)
	for deadline := time.Now().Add(proctest.Patience); !slices.Equal(got, want); got = w.txt(fqdn) {
		if time.Now().After(deadline) {
			w.t.Errorf("%s: the challenge of %s is %q, want %q", what, fqdn, got, want)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// nothingLeft fails the test if anything of an order is still in etcd, but counts.
func (w *world) nothingLeft() {
	w.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}})
	w.check(err)
	defer c.Close()
	resp, err := c.Get(w.t.Context(), w.prefix+"/v1/ctl/acme/challenge/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	w.check(err)
	for _, kv := range resp.Kvs {
		w.t.Errorf("%s is left", kv.Key)
	}
}

// request is a signing request for a common name and others, in PEM.
func request(t *testing.T, key crypto.Signer, cn string, names ...string) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: cn, Country: []string{"CZ"}, Locality: []string{"Brno"}, Organization: []string{"VO"}}, DNSNames: names,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verify checks a chain as a client does that is sent to a name.
func (w *world) verify(chain, name string) {
	w.t.Helper()
	var certs []*x509.Certificate
	for rest := []byte(chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		w.check(err)
		certs = append(certs, c)
	}
	if len(certs) < 2 {
		w.t.Fatalf("the chain has %d certificates:\n%s", len(certs), chain)
	}
	middle := x509.NewCertPool()
	for _, c := range certs[1:] {
		middle.AddCert(c)
	}
	if _, err := certs[0].Verify(x509.VerifyOptions{DNSName: name, Roots: w.ca.Issuers, Intermediates: middle}); err != nil {
		w.t.Errorf("%s: %v", name, err)
	}
}

// ask sends a request with somebody's token.
func (s *control) ask(method, path, who, kind, body string) (*http.Response, string) {
	s.w.t.Helper()
	req, err := http.NewRequestWithContext(s.w.t.Context(), method, s.url+path, strings.NewReader(body))
	s.w.check(err)
	req.Header.Set("Authorization", "Bearer "+tokenOf(who))
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := http.DefaultClient.Do(req)
	s.w.check(err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	s.w.check(err)
	return resp, string(raw)
}
