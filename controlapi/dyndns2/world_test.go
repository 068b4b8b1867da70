package dyndns2_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/controlapi/dyndns2"
	"signpost/internal/access"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

// world is a control service on a real etcd, behind a real HTTP server.
type world struct {
	etcd    *localetcd.Server
	service *controlapi.Service
	admin   string
	url     string
	hosts   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return worldWithout(t, controlapi.Barred{})
}

func worldWithout(t *testing.T, barred controlapi.Barred) *world {
	t.Helper()
	etcd := localetcd.New(t)
	st, err := store.Open(store.Config{Endpoints: []string{etcd.Endpoint()}})
	check(t, err)
	t.Cleanup(func() { check(t, st.Close()) })
	return worldOn(t, etcd, st, barred)
}

// worldOn is one whose service has a store of its own.
func worldOn(t *testing.T, etcd *localetcd.Server, st *store.Store, barred controlapi.Barred) *world {
	t.Helper()
	w := &world{etcd: etcd, admin: access.NewAdminToken()}
	secret, err := access.ParseSecret(w.admin)
	check(t, err)
	key := store.NewMasterKey()
	_, err = st.Initialize(t.Context(), key, access.NewTokenID(), secret.Sum[:], time.Now())
	check(t, err)
	check(t, st.UseMasterKeys(t.Context(), key))
	w.service, err = controlapi.New(controlapi.Config{Store: st, Barred: barred, Users: func(_ context.Context, token string) (access.Principal, error) {
		switch token {
		case alice:
			return access.Principal{Kind: access.User, Person: "egi/alice"}, nil
		case eve:
			return access.Principal{Kind: access.User, Person: "egi/eve"}, nil
		}
		return access.Principal{}, access.Wrong()
	}})
	check(t, err)
	for zone, local := range map[string]bool{"example.org": false, "local.example.net": true, "public.example.com": false} {
		_, err = w.service.CreateZone(w.asAdmin(t.Context()), &pb.CreateZoneRequest{
			Name: zone, LocalAddresses: local, NameServers: []*pb.NameServer{{Name: "ns.example.com"}},
		})
		check(t, err)
	}
	_, err = w.service.UpdateZonePolicy(w.asAdmin(t.Context()), &pb.UpdateZonePolicyRequest{Name: "public.example.com", PrivateAddresses: new(false)})
	check(t, err)
	proxies, err := clientaddr.ParseProxies([]string{"127.0.0.1/32"})
	check(t, err)
	mux := http.NewServeMux()
	for pattern, h := range dyndns2.New(w.service, proxies, slog.New(slog.DiscardHandler)).Mounts() {
		mux.Handle(pattern, h)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// alice and eve are what an identity provider gives egi/alice and egi/eve.
const (
	alice = "a.b.c"
	eve   = "e.v.e"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) asAdmin(ctx context.Context) context.Context {
	return controlapi.WithCaller(ctx, controlapi.Caller{Authorization: "Bearer " + w.admin, Source: netip.MustParseAddr("192.0.2.1")})
}

// host makes a host in a zone.
func (w *world) host(t *testing.T, zone string, addresses ...string) (fqdn, secret string) {
	t.Helper()
	w.hosts++
	fqdn = fmt.Sprintf("h%d.%s", w.hosts, zone)
	out, err := w.service.CreateHost(w.asAdmin(t.Context()), &pb.CreateHostRequest{Fqdn: fqdn, Addresses: addresses})
	check(t, err)
	return fqdn, out.GetSecret()
}

func (w *world) addresses(t *testing.T, fqdn string) []string {
	t.Helper()
	h, err := w.service.GetHost(w.asAdmin(t.Context()), &pb.GetHostRequest{Fqdn: fqdn})
	check(t, err)
	return h.GetAddresses()
}

// get may be called from any goroutine.
func (w *world) get(t *testing.T, path, user, password string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	if req.SetBasicAuth(user, password); user == "" {
		req.Header.Set("Authorization", "Bearer "+password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return &http.Response{}, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Error(err)
	}
	return resp, string(body)
}
