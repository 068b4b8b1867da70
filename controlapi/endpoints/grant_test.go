package endpoints_test

import (
	"encoding/base64"
	"google.golang.org/grpc/codes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// What a token made is revoked with it: secrets of endpoints, on every control service.
func TestAnEndpointsSecretEndsWithTheTokenThatMadeIt(t *testing.T) {
	s := controltest.Two(t)
	other := s.Again()
	alice := controltest.Person("egi/alice")
	own := s.EndpointSecret(controltest.App, "b")
	use := func(at *controltest.Server, id, secret string) error {
		_, err := at.Points.SetEndpointWord(controltest.As(controltest.App+"/"+id, secret), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: id, Say: "auto"})
		return err
	}
	for what, end := range map[string]func(token string){
		"revoked": func(token string) { s.Revoke(alice, token) },
		"expired": func(string) { s.Clock.Add(time.Hour); other.Clock.Add(time.Hour) },
	} {
		maker := s.TokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}, Lifetime: durationpb.New(time.Hour)})
		made := s.TokenOf(controltest.Bearer(maker), &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
		rotate := &pb.RotateEndpointSecretRequest{Fqdn: controltest.App, Id: "a"}
		out, err := s.Points.RotateEndpointSecret(controltest.Bearer(made), rotate)
		if err != nil {
			t.Fatal(err)
		}
		if err := use(other, "a", out.Secret); err != nil {
			t.Error(err)
		}
		end(maker)
		for _, at := range []*controltest.Server{s, other} {
			err := use(at, "a", out.Secret)
			controltest.WantErr(t, err, codes.Unauthenticated, "")
			if err != nil && !strings.Contains(err.Error(), "the token that made this secret was revoked or has expired; make another: signpost endpoint rotate-secret") {
				t.Errorf("%s: %v", what, err)
			}
		}
		again, err := s.Points.RotateEndpointSecret(alice, rotate)
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
	s := controltest.Two(t)
	alice := controltest.Person("egi/alice")
	for what, in := range map[string]*pb.CreateTokenRequest{
		"no grant":      {},
		"no drain":      {Actions: []string{"endpoint.read", "endpoint.set-addresses", "endpoint.beat", "grant"}},
		"another host":  {Actions: []string{"*", "grant"}, Host: "b.vo.example.org"},
		"records alone": {Actions: []string{"*", "grant"}, Types: []string{"TXT"}},
	} {
		_, err := s.Points.RotateEndpointSecret(controltest.Bearer(s.TokenOf(alice, in)), &pb.RotateEndpointSecretRequest{Fqdn: controltest.App, Id: "a"})
		if controltest.WantErr(t, err, codes.PermissionDenied, ""); err == nil {
			t.Error(what)
		}
	}
	token := s.TokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"endpoint.*", "grant"}, Sources: []string{"192.0.2.0/24"}})
	out, err := s.Service.RotateEndpointSecret(controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + token, Source: netip.MustParseAddr("192.0.2.1")}),
		&pb.RotateEndpointSecretRequest{Fqdn: controltest.App, Id: "a"})
	if err != nil {
		t.Fatal(err)
	}
	from := func(addr string) error {
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(controltest.App+"/a:"+out.Secret))
		_, err := s.Service.GetEndpoint(controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: basic, Source: netip.MustParseAddr(addr)}),
			&pb.GetEndpointRequest{Fqdn: controltest.App, Id: "a"})
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
	s := controltest.Two(t)
	drain := func() (*pb.SetEndpointWordResponse, error) {
		return s.Points.SetEndpointWord(controltest.Also(controltest.As(controltest.App+"/a", s.EndpointSecret(controltest.App, "a")), "request-id", "one"), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "drain"})
	}
	if out, err := drain(); err != nil || !out.Change.Changed {
		t.Fatal(out, err)
	}
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: controltest.App}); err != nil {
		t.Fatal(err)
	}
	s.Host(controltest.App)
	s.Endpoint(controltest.App, "a", "192.0.2.1")
	s.Endpoint(controltest.App, "b", "192.0.2.2")
	if out, err := drain(); err != nil || !out.Change.Changed {
		t.Errorf("%v, %v", out, err)
	}
	s.WantStands(controltest.App, "a drained, b up*")
}
