package egi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/controlapi/egi"
	"signpost/internal/access"
	"signpost/internal/access/oidc"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

// people is what the identity provider's tokens stand for.
var people = map[string]access.Principal{
	"alice": {Person: "egi/alice"},
	"bob":   {Person: "egi/bob"},
	"carol": {Person: "egi/carol", Groups: []model.PrincipalName{"group:egi/vo"}},
	"zoe":   {Person: "egi/zoe", Groups: []model.PrincipalName{"group:egi/vo-admins"}},
	"eve":   {Person: "egi/eve"}, // is barred
}

const issuer = "https://aai.example.org/auth"

// jwt is a token that says it is from an issuer; nothing vouches for it.
func jwt(iss string) string {
	return "x." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+iss+`"}`)) + ".x"
}

// world is a control service on a real etcd, behind a real HTTP server.
type world struct {
	etcd    *localetcd.Server
	service *controlapi.Service
	admin   string
	url     string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{etcd: localetcd.New(t), admin: access.NewAdminToken()}
	st, err := store.Open(store.Config{Endpoints: []string{w.etcd.Endpoint()}})
	check(t, err)
	t.Cleanup(func() { check(t, st.Close()) })
	secret, err := access.ParseSecret(w.admin)
	check(t, err)
	key := store.NewMasterKey()
	_, err = st.Initialize(t.Context(), key, access.NewTokenID(), secret.Sum[:], time.Now())
	check(t, err)
	check(t, st.UseMasterKeys(t.Context(), key))
	barred, err := controlapi.ParseBarred([]string{"barred.example.org"}, []string{"egi/eve"}, []string{"badclient"}, nil)
	check(t, err)
	w.service, err = controlapi.New(controlapi.Config{
		Store: st, Barred: barred, Issuers: []oidc.Issuer{{Name: "egi", URL: issuer}},
		Users: func(_ context.Context, token string) (access.Principal, error) {
			p, ok := people[strings.Split(token, ".")[0]]
			if p.Kind = access.User; !ok {
				return access.Principal{}, access.Wrong()
			}
			return p, nil
		},
	})
	check(t, err)
	proxies, err := clientaddr.ParseProxies([]string{"127.0.0.1/32"})
	check(t, err)
	mux := http.NewServeMux()
	for pattern, h := range egi.New(w.service, proxies, "https://dns.example.com/").Mounts() {
		mux.Handle(pattern, h)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as is ctx with a caller: admin, or one of people.
func (w *world) as(ctx context.Context, who string) context.Context {
	token := who + ".b.c"
	if who == "admin" {
		token = w.admin
	}
	return controlapi.WithCaller(ctx, controlapi.Caller{Authorization: "Bearer " + token, Source: netip.MustParseAddr("192.0.2.1")})
}

// zone makes a zone in which everyone, groups or nobody registers names.
func (w *world) zone(t *testing.T, name, register string) {
	t.Helper()
	_, err := w.service.CreateZone(w.as(t.Context(), "admin"), &pb.CreateZoneRequest{Name: name, NameServers: []*pb.NameServer{{Name: "ns.example.com"}}})
	check(t, err)
	in := &pb.UpdateZonePolicyRequest{Name: name, Register: &register, Admins: &pb.Words{Values: []string{"group:egi/vo-admins"}}}
	if register == "groups" {
		in.Groups = &pb.Words{Values: []string{"group:egi/vo"}}
	}
	_, err = w.service.UpdateZonePolicy(w.as(t.Context(), "admin"), in)
	check(t, err)
}

func (w *world) host(t *testing.T, who, fqdn string, addresses ...string) (secret string) {
	t.Helper()
	out, err := w.service.CreateHost(w.as(t.Context(), who), &pb.CreateHostRequest{Fqdn: fqdn, Addresses: addresses})
	check(t, err)
	return out.GetSecret()
}

// ask sends a request with an Authorization header as it stands; a name of people stands
// for their token.
func (w *world) ask(t *testing.T, method, path, auth, agent string) (*http.Response, string) {
	t.Helper()
	return w.asks(t, row{method: method, path: path, auth: auth, agent: agent})
}

func (w *world) asks(t *testing.T, r row) (*http.Response, string) {
	t.Helper()
	at, query, _ := strings.Cut(r.path, "?")
	req, err := http.NewRequestWithContext(t.Context(), r.method, w.url+at, nil)
	check(t, err)
	req.URL.RawQuery = query
	auth, agent := r.auth, r.agent
	if r.cookie {
		req.AddCookie(&http.Cookie{Name: "session", Value: w.admin})
	}
	if _, ok := people[auth]; ok {
		auth = "Bearer " + auth + ".b.c"
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	if agent != "" {
		req.Header.Set("User-Agent", agent)
	}
	resp, err := http.DefaultClient.Do(req)
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, errors.Join(err, resp.Body.Close()))
	return resp, string(body)
}

func authorization(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
