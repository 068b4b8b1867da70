package controlapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/access/oidc"
	"signpost/internal/access/oidc/oidctest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// startWithIssuer is a control service that takes tokens of a provider, and has these
// operators.
func startWithIssuer(t *testing.T, operators ...model.PrincipalName) (*controltest.Server, *oidctest.Provider) {
	t.Helper()
	p := oidctest.New(t)
	s := controltest.Start(t, func(c *controlapi.Config) {
		p.Now = c.Now
		v, err := oidc.New(oidc.Config{Now: c.Now, Issuers: []oidc.Issuer{
			{Name: "egi", URL: p.URL, AuthorizedParties: []string{oidctest.PublicClient}, EntitlementsFrom: "userinfo", Namespace: "urn:mace:egi.eu",
				LoginClientID: oidctest.PublicClient, LoginScopes: []string{"openid", "offline_access"}},
			{Name: "silent", URL: "https://aai.example.org", Audiences: []string{"x"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		c.Users, c.Issuers, c.Operators = v.Verify, v.Issuers(), operators
	})
	p.Entitle([]string{"urn:mace:egi.eu:group:vo.example.org:role=member", "urn:mace:egi.eu:group:vo.example.org", "other"})
	return s, p
}

func TestATokenOfAnIssuerSaysWhoItIs(t *testing.T) {
	s, p := startWithIssuer(t)
	token := p.Token(nil)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+token))
	for _, auth := range []string{"Bearer " + token, basic} {
		who, err := s.Servers.WhoAmI(controltest.With("authorization", auth), &pb.WhoAmIRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if who.Principal != "egi/"+oidctest.Subject || who.Kind != "user" || who.Issuer != "egi" || who.Subject != oidctest.Subject ||
			strings.Join(who.Groups, " ") != "group:egi/vo.example.org group:egi/vo.example.org:role=member" ||
			!who.ExpireTime.AsTime().Equal(s.Clock.Read().Add(time.Hour)) {
			t.Errorf("%v", who)
		}
		code, body := s.Call("GET", "/v1/whoami", auth, "")
		var rest struct{ Principal, Kind, ExpireTime string }
		if err := json.Unmarshal([]byte(body), &rest); err != nil || code != 200 || rest.Principal != who.Principal || rest.ExpireTime != "2026-11-23T09:00:00Z" {
			t.Errorf("%d %s", code, body)
		}
	}
	if n := p.Calls("/protocol/openid-connect/userinfo"); n != 1 {
		t.Errorf("UserInfo was asked %d times", n)
	}
	admin, err := s.Servers.WhoAmI(s.Admin(), &pb.WhoAmIRequest{})
	if err != nil || admin.Issuer != "" || admin.ExpireTime != nil || admin.SourceAddress != "127.0.0.1" {
		t.Error(admin, err)
	}
}

func TestATokenThatIsNotRightIsRefusedEverywhere(t *testing.T) {
	s, p := startWithIssuer(t)
	s.Zone("vo.example.org")
	right := p.Token(nil)
	for name, c := range map[string]struct {
		token  string
		code   codes.Code
		status int
		told   string
	}{
		"expired":    {p.Token(map[string]any{"exp": s.Clock.Read().Add(-time.Hour).Unix()}), un, 401, "the token has expired; log in again"},
		"of another": {p.Token(map[string]any{"azp": "other"}), un, 401, "the credential is not right"},
		"ID token":   {p.Token(map[string]any{"typ": "ID"}), un, 401, "the credential is not right"},
		"garbage":    {"a.b.c", un, 401, "the credential is not right"},
		"may not":    {right, gone, 404, "not yours"},
	} {
		_, err := s.Zones.CreateZone(controltest.With("authorization", "Bearer "+c.token), &pb.CreateZoneRequest{Name: "new.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
		if status.Code(err) != c.code || !strings.Contains(err.Error(), c.told) {
			t.Errorf("%s: %v", name, err)
		}
		code, body := s.Call("DELETE", "/v1/zones/vo.example.org", "Bearer "+c.token, "")
		if code != c.status || !strings.Contains(body, c.told) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	logged := s.Log.String()
	if strings.Contains(logged, right) || strings.Contains(logged, strings.Split(right, ".")[2]) {
		t.Error("a token is in the log")
	}
	if !strings.Contains(logged, `"principal":"egi/`+oidctest.Subject+`"`) {
		t.Error("the log does not say who was refused")
	}
}

// Who goes on with a login that is over is told so, however often; who signs one like it
// themselves is guessing.
func TestAnExpiredTokenIsNoGuess(t *testing.T) {
	s, p := startWithIssuer(t)
	over := map[string]any{"exp": s.Clock.Read().Add(-time.Hour).Unix()}
	expired := p.Token(over)
	whoAmI := func(token string) error {
		_, err := s.Servers.WhoAmI(controltest.Bearer(token), &pb.WhoAmIRequest{})
		return err
	}
	for range 15 {
		controltest.WantErr(t, whoAmI(expired), un, "")
	}
	if n := counted(s, "signpost_wrong_credentials_total"); n != 0 {
		t.Errorf("%v guesses were counted", n)
	}
	parts, other := strings.Split(expired, "."), strings.Split(p.Token(over), ".")
	forged := parts[0] + "." + parts[1] + "." + other[2]
	for range 10 {
		_ = whoAmI(forged)
	}
	controltest.WantErr(t, whoAmI(forged), codes.ResourceExhausted, "")
	controltest.WantErr(t, whoAmI(expired), un, "")
}

// The part of the deny matrix that is about tokens of identity providers: each is of
// somebody who would be an operator.
func TestAProvidersWrongTokensOpenNoMethod(t *testing.T) {
	wrong := map[string]map[string]any{
		"expired":                    {"exp": int64(1_700_000_000)},
		"not yet valid":              {"nbf": int64(4_000_000_000)},
		"wrong issuer":               {"iss": "https://aai.example.com"},
		"wrong authorized party":     {"azp": "other"},
		"ID token, not access token": {"typ": "ID"},
		"refresh token":              {"typ": "Refresh"},
	}
	eachMethod(t, func(t *testing.T, m protoreflect.MethodDescriptor) {
		row, there := refused[string(m.Name())]
		if !there {
			t.Fatalf("the deny matrix has no row for %s", m.FullName())
		}
		s, p := startWithIssuer(t, "egi/"+oidctest.Subject)
		s.Zone("vo.example.org")
		for name, claims := range wrong {
			expect(t, name, invoke(s, controltest.Bearer(p.Token(claims)), m, row.in), un)
		}
		expect(t, "of an issuer that is silent", invoke(s, controltest.Bearer(p.Token(map[string]any{"iss": "https://aai.example.org"})), m, row.in), codes.Unavailable)
		expect(t, "the right token", invoke(s, controltest.Bearer(p.Token(nil)), m, row.in), ok)
	})
}

func TestAnIssuerThatIsDownIsUnavailableForItsTokensOnly(t *testing.T) {
	s, p := startWithIssuer(t)
	p.Down(true)
	_, err := s.Servers.WhoAmI(controltest.With("authorization", "Bearer "+p.Token(nil)), &pb.WhoAmIRequest{})
	controltest.WantErr(t, err, codes.Unavailable, "")
	if code, body := s.Call("GET", "/v1/whoami", "Bearer "+p.Token(nil), ""); code != 503 {
		t.Errorf("%d %s", code, body)
	}
	if _, err := s.Servers.WhoAmI(s.Admin(), &pb.WhoAmIRequest{}); err != nil {
		t.Error(err)
	}
}

func TestEverybodyIsToldWhereToLogIn(t *testing.T) {
	s, p := startWithIssuer(t)
	out, err := s.Servers.ListIssuers(controltest.With(), &pb.ListIssuersRequest{})
	if err != nil || len(out.Issuers) != 1 {
		t.Fatal(out, err)
	}
	i := out.Issuers[0]
	if i.Name != "egi" || i.Url != p.URL || i.ClientId != oidctest.PublicClient || strings.Join(i.Scopes, " ") != "openid offline_access" {
		t.Error(i)
	}
	if code, body := s.Call("GET", "/v1/issuers", "", ""); code != 200 || !strings.Contains(body, p.URL) {
		t.Errorf("%d %s", code, body)
	}
	if out, err := controltest.Start(t).Servers.ListIssuers(controltest.With(), &pb.ListIssuersRequest{}); err != nil || len(out.Issuers) != 0 {
		t.Error(out, err)
	}
}

// What a person has by a token they have until it ends, and a stream of theirs ends with it.
func TestAPersonsRightsEndWithTheirToken(t *testing.T) {
	s, p := startWithIssuer(t)
	s.Open("vo.example.org")
	me := controltest.With("authorization", "Bearer "+p.Token(nil))
	if _, err := s.Hosts.CreateHost(me, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	set := func(addr string) error {
		_, err := s.Hosts.SetAddresses(me, &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{addr}})
		return err
	}
	first := 1
	controltest.WithinASecond(t, func() time.Duration {
		me = controltest.With("authorization", "Bearer "+p.Token(nil))
		w := s.Watch(me, &pb.WatchRequest{Fqdn: "mine.vo.example.org", Kinds: []string{"host"}})
		addr := fmt.Sprintf("192.0.2.1%d", first)
		if err := set(addr); err != nil {
			t.Fatal(err)
		}
		w.Want("host changed vo.example.org mine.vo.example.org  = " + addr)
		s.Clock.Add(time.Hour)
		first++
		since := time.Now()
		if err := w.End(); status.Code(err) != un || !strings.Contains(err.Error(), "the token has expired; log in again") {
			t.Error(err)
		}
		return time.Since(since)
	})
	if err := set("192.0.2.2"); err != nil {
		t.Errorf("within a minute, as clocks differ: %v", err)
	}
	s.Clock.Add(time.Minute)
	controltest.WantErr(t, set("192.0.2.3"), un, "")
	me = controltest.With("authorization", "Bearer "+p.Token(nil)) // another token of the same person
	if err := set("192.0.2.4"); err != nil {
		t.Error(err)
	}
}
