package endpoints_test

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// agentCalls is what a machine asks with its endpoint's secret, over REST.
var agentCalls = []struct{ what, method, path, body string }{
	{"read", "GET", "", ""},
	{"beat", "POST", ":beat", `{}`},
	{"set", "POST", ":setAddresses", `{"addresses":["192.0.2.1"]}`},
	{"drain", "POST", ":setWord", `{"say":"drain"}`},
	{"auto", "POST", ":setWord", `{"say":"auto"}`},
}

// may is what came of each of them, through gRPC and REST, as Basic and as Bearer: they
// all say the same.
func may(s *controltest.Server, secret string) string {
	s.T.Helper()
	bearer := controltest.With("authorization", "Bearer "+secret)
	basic := controltest.As(controltest.App+"/a", secret)
	headers := []string{"Bearer " + secret, "Basic " + base64.StdEncoding.EncodeToString([]byte(controltest.App+"/a:"+secret))}
	var out []string
	for _, c := range agentCalls {
		var said []codes.Code
		for _, ctx := range []context.Context{bearer, basic} {
			said = append(said, status.Code(asks(s, ctx, c.what)))
		}
		for _, h := range headers {
			http, body := s.Call(c.method, "/v1/hosts/"+controltest.App+"/endpoints/a"+c.path, h, c.body)
			code := map[int]codes.Code{200: codes.OK, 400: codes.FailedPrecondition, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.NotFound}[http]
			if said = append(said, code); code == codes.OK && http != 200 {
				s.T.Errorf("%s: %d %s", c.what, http, body)
			}
		}
		for _, other := range said[1:] {
			if other != said[0] {
				s.T.Errorf("%s: %v in different ways", c.what, said)
			}
		}
		out = append(out, c.what+" "+said[0].String())
	}
	return strings.Join(out, ", ")
}

// refusal is a code; who shows what is wrong too often hears so in other words.
func refusal(c codes.Code) codes.Code {
	if c == codes.ResourceExhausted {
		return codes.Unauthenticated
	}
	return c
}

func asks(s *controltest.Server, ctx context.Context, what string) (err error) {
	switch what {
	case "read":
		_, err = s.Points.GetEndpoint(ctx, &pb.GetEndpointRequest{Fqdn: controltest.App, Id: "a"})
	case "beat":
		_, err = s.Points.SendHeartbeat(ctx, &pb.SendHeartbeatRequest{Fqdn: controltest.App, Id: "a"})
	case "set":
		_, err = s.Points.SetEndpointAddresses(ctx, &pb.SetEndpointAddressesRequest{Fqdn: controltest.App, Id: "a", Addresses: []string{"192.0.2.1"}})
	default:
		_, err = s.Points.SetEndpointWord(ctx, &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: what})
	}
	return err
}

// gone checks that a secret is taken neither way. It asks seldom: wrong ones are answered
// later each time.
func gone(s *controltest.Server, when, secret string) {
	s.T.Helper()
	err := asks(s, controltest.With("authorization", "Bearer "+secret), "set")
	if refusal(status.Code(err)) != codes.Unauthenticated {
		s.T.Errorf("%s: %v", when, err)
	}
	code, body := s.Call("POST", "/v1/hosts/"+controltest.App+"/endpoints/a:beat", "Basic "+base64.StdEncoding.EncodeToString([]byte(controltest.App+"/a:"+secret)), `{}`)
	if code != 401 && code != 429 {
		s.T.Errorf("%s: %d %s", when, code, body)
	}
}

// What becomes of the secret of an endpoint when its host is shared, blocked, disabled and
// handed on, while its machine beats through another control service all the time: once a
// change is acknowledged no service takes what it took before.
func TestWhatBecomesOfAnEndpointsSecret(t *testing.T) {
	const (
		all     = "read OK, beat OK, set OK, drain OK, auto OK"
		looks   = "read OK, beat PermissionDenied, set PermissionDenied, drain PermissionDenied, auto PermissionDenied"
		noPlace = "read OK, beat OK, set FailedPrecondition, drain OK, auto OK"
	)
	s := controltest.Two(t)
	other := s.Again()
	s.SetCheck(&pb.SetCheckRequest{Kind: "heartbeat"})
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	secret := s.EndpointSecret(controltest.App, "a")

	ctx, cancel := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
			_ = asks(other, controltest.As(controltest.App+"/a", secret), "beat")
		}
	})
	defer beating.Wait()
	defer cancel()

	remake := func() {
		s.HostOf(bob, controltest.App)
		s.Endpoint(controltest.App, "a", "192.0.2.1")
		s.Endpoint(controltest.App, "b", "192.0.2.2")
		s.SetCheck(&pb.SetCheckRequest{Kind: "heartbeat"})
	}
	for _, c := range []struct {
		what string
		do   func() error
		want string
	}{
		{"given", func() error { return nil }, all},
		{"shared with bob", func() error {
			_, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: controltest.App, Add: []string{"egi/bob"}})
			return err
		}, all},
		{"bob is no editor any more", func() error {
			_, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: controltest.App, Remove: []string{"egi/bob"}})
			return err
		}, all},
		{"blocked", func() error {
			_, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: controltest.App, Reason: "phishing"})
			return err
		}, looks},
		{"unblocked", func() error {
			_, err := s.Hosts.UnblockHost(s.Admin(), &pb.UnblockHostRequest{Fqdn: controltest.App})
			return err
		}, all},
		{"disabled", func() error {
			_, err := s.Hosts.DisableHost(alice, &pb.DisableHostRequest{Fqdn: controltest.App})
			return err
		}, noPlace},
		{"enabled", func() error {
			_, err := s.Hosts.EnableHost(alice, &pb.EnableHostRequest{Fqdn: controltest.App})
			return err
		}, all},
		{"its owner's calls are refused", func() error {
			_, err := s.People.DisablePrincipal(s.Admin(), &pb.DisablePrincipalRequest{Name: "egi/alice"})
			return err
		}, all},
		{"offered to bob", func() error {
			_, err := s.People.EnablePrincipal(s.Admin(), &pb.EnablePrincipalRequest{Name: "egi/alice"})
			s.Done(err)
			_, err = s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: controltest.App, To: "egi/bob"})
			return err
		}, all},
	} {
		s.Done(c.do())
		if got := may(other, secret); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	_, err := s.Hosts.AcceptHost(bob, &pb.AcceptHostRequest{Fqdn: controltest.App})
	s.Done(err)
	gone(other, "accepted by bob", secret)
	next := s.EndpointSecret(controltest.App, "a")
	if got := may(other, next); got != all {
		t.Errorf("bob's: %s", got)
	}
	_, err = s.Hosts.DeleteHost(bob, &pb.DeleteHostRequest{Fqdn: controltest.App})
	s.Done(err)
	gone(other, "the host is deleted", next)
	remake()
	gone(other, "the host is registered anew", secret)
	gone(other, "the host is registered anew", next)
	last := s.EndpointSecret(controltest.App, "a")
	_, err = s.People.TransferPrincipal(s.Admin(), &pb.TransferPrincipalRequest{Name: "egi/bob", To: "egi/carol"})
	s.Done(err)
	gone(other, "all hosts of its owner are another's", last)
	ended := s.Revision()
	last = s.EndpointSecret(controltest.App, "a")
	_, err = s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true})
	s.Done(err)
	gone(other, "the zone is deleted", last)
	s.Zone("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone")})
	remake()
	gone(other, "the zone is made anew", last)
	last = s.EndpointSecret(controltest.App, "a")
	_, err = s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true},
		"$ORIGIN vo.example.org.\n$TTL 60\n@ SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ NS ns.example.net.\n")
	s.Done(err)
	gone(other, "an import has taken its host away", last)
	remake()
	gone(other, "the host is registered anew after an import", last)
	// The machine that went on beating has given no sign of life since.
	got, err := s.Etcd().Get(t.Context(), s.Prefix+"/v1/beat/", clientv3.WithPrefix())
	s.Done(err)
	for _, kv := range got.Kvs {
		if kv.ModRevision > ended {
			t.Errorf("%s was put after its secret had ended", kv.Key)
		}
	}
}
