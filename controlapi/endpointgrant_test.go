package controlapi_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

// What a token made is revoked with it: secrets of endpoints, on every control service.
func TestAnEndpointsSecretEndsWithTheTokenThatMadeIt(t *testing.T) {
	s := two(t)
	other := s.again()
	alice := person("egi/alice")
	own := s.endpointSecret(app, "b")
	use := func(at *server, id, secret string) error {
		_, err := at.points.SetEndpointWord(as(app+"/"+id, secret), &pb.SetEndpointWordRequest{Fqdn: app, Id: id, Say: "auto"})
		return err
	}
	for what, end := range map[string]func(token string){
		"revoked": func(token string) { s.revoke(alice, token) },
		"expired": func(string) { s.clock.add(time.Hour); other.clock.add(time.Hour) },
	} {
		maker := s.tokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}, Lifetime: durationpb.New(time.Hour)})
		made := s.tokenOf(bearer(maker), &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
		rotate := &pb.RotateEndpointSecretRequest{Fqdn: app, Id: "a"}
		out, err := s.points.RotateEndpointSecret(bearer(made), rotate)
		if err != nil {
			t.Fatal(err)
		}
		if err := use(other, "a", out.Secret); err != nil {
			t.Error(err)
		}
		end(maker)
		for _, at := range []*server{s, other} {
			err := use(at, "a", out.Secret)
			wantErr(t, err, un, "")
			if err != nil && !strings.Contains(err.Error(), "the token that made this secret was revoked or has expired; make another: signpost endpoint rotate-secret") {
				t.Errorf("%s: %v", what, err)
			}
		}
		again, err := s.points.RotateEndpointSecret(alice, rotate)
		if err != nil {
			t.Fatal(err)
		}
		if err := use(s, "a", again.Secret); err != nil {
			t.Errorf("a secret that a person made: %v", err)
		}
	}
	if err := use(s, "b", own); err != nil {
		t.Errorf("a secret that no token made: %v", err)
	}
}

// No side door makes a wider credential.
func TestATokenMakesNoWiderSecretOfAnEndpoint(t *testing.T) {
	s := two(t)
	alice := person("egi/alice")
	for what, in := range map[string]*pb.CreateTokenRequest{
		"no grant":      {},
		"no drain":      {Actions: []string{"endpoint.read", "endpoint.set-addresses", "endpoint.beat", "grant"}},
		"another host":  {Actions: []string{"*", "grant"}, Host: "b.vo.example.org"},
		"records alone": {Actions: []string{"*", "grant"}, Types: []string{"TXT"}},
	} {
		_, err := s.points.RotateEndpointSecret(bearer(s.tokenOf(alice, in)), &pb.RotateEndpointSecretRequest{Fqdn: app, Id: "a"})
		if wantErr(t, err, denied, ""); err == nil {
			t.Error(what)
		}
	}
	token := s.tokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"endpoint.*", "grant"}, Sources: []string{"192.0.2.0/24"}})
	out, err := s.service.RotateEndpointSecret(controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + token, Source: netip.MustParseAddr("192.0.2.1")}),
		&pb.RotateEndpointSecretRequest{Fqdn: app, Id: "a"})
	if err != nil {
		t.Fatal(err)
	}
	from := func(addr string) error {
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(app+"/a:"+out.Secret))
		_, err := s.service.GetEndpoint(controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: basic, Source: netip.MustParseAddr(addr)}),
			&pb.GetEndpointRequest{Fqdn: app, Id: "a"})
		return err
	}
	if err := from("192.0.2.77"); err != nil {
		t.Error(err)
	}
	if err := from("198.51.100.1"); err == nil || !strings.Contains(err.Error(), "the token that made this secret may not be used from your address; make another: signpost endpoint rotate-secret") {
		t.Errorf("%v", err)
	}
}

// What was answered to the secret of an endpoint is not answered to that of a later one of
// the same name.
func TestALaterEndpointIsNotAnsweredWhatAnEarlierWas(t *testing.T) {
	s := two(t)
	drain := func() (*pb.SetEndpointWordResponse, error) {
		return s.points.SetEndpointWord(also(as(app+"/a", s.endpointSecret(app, "a")), "request-id", "one"), &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "drain"})
	}
	if out, err := drain(); err != nil || !out.Change.Changed {
		t.Fatal(out, err)
	}
	if _, err := s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: app}); err != nil {
		t.Fatal(err)
	}
	s.host(app)
	s.endpoint(app, "a", "192.0.2.1")
	s.endpoint(app, "b", "192.0.2.2")
	if out, err := drain(); err != nil || !out.Change.Changed {
		t.Errorf("%v, %v", out, err)
	}
	s.wantStands(app, "a drained, b up*")
}
