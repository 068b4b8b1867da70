package controlapi_test

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
func (s *server) may(secret string) string {
	s.t.Helper()
	bearer := with("authorization", "Bearer "+secret)
	basic := as(app+"/a", secret)
	headers := []string{"Bearer " + secret, "Basic " + base64.StdEncoding.EncodeToString([]byte(app+"/a:"+secret))}
	var out []string
	for _, c := range agentCalls {
		var said []codes.Code
		for _, ctx := range []context.Context{bearer, basic} {
			said = append(said, status.Code(s.asks(ctx, c.what)))
		}
		for _, h := range headers {
			http, body := s.call(c.method, "/v1/hosts/"+app+"/endpoints/a"+c.path, h, c.body)
			code := map[int]codes.Code{200: codes.OK, 400: codes.FailedPrecondition, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 404: codes.NotFound}[http]
			if said = append(said, code); code == codes.OK && http != 200 {
				s.t.Errorf("%s: %d %s", c.what, http, body)
			}
		}
		for _, other := range said[1:] {
			if other != said[0] {
				s.t.Errorf("%s: %v in different ways", c.what, said)
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

func (s *server) asks(ctx context.Context, what string) (err error) {
	switch what {
	case "read":
		_, err = s.points.GetEndpoint(ctx, &pb.GetEndpointRequest{Fqdn: app, Id: "a"})
	case "beat":
		_, err = s.points.SendHeartbeat(ctx, &pb.SendHeartbeatRequest{Fqdn: app, Id: "a"})
	case "set":
		_, err = s.points.SetEndpointAddresses(ctx, &pb.SetEndpointAddressesRequest{Fqdn: app, Id: "a", Addresses: []string{"192.0.2.1"}})
	default:
		_, err = s.points.SetEndpointWord(ctx, &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: what})
	}
	return err
}

// gone checks that a secret is taken neither way. It asks seldom: wrong ones are answered
// later each time.
func (s *server) gone(when, secret string) {
	s.t.Helper()
	err := s.asks(with("authorization", "Bearer "+secret), "set")
	if refusal(status.Code(err)) != codes.Unauthenticated {
		s.t.Errorf("%s: %v", when, err)
	}
	code, body := s.call("POST", "/v1/hosts/"+app+"/endpoints/a:beat", "Basic "+base64.StdEncoding.EncodeToString([]byte(app+"/a:"+secret)), `{}`)
	if code != 401 && code != 429 {
		s.t.Errorf("%s: %d %s", when, code, body)
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
	s := two(t)
	other := s.again()
	s.setCheck(&pb.SetCheckRequest{Kind: "heartbeat"})
	alice, bob := person("egi/alice"), person("egi/bob")
	secret := s.endpointSecret(app, "a")

	ctx, cancel := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
			_ = other.asks(as(app+"/a", secret), "beat")
		}
	})
	defer beating.Wait()
	defer cancel()

	remake := func() {
		s.hostOf(bob, app)
		s.endpoint(app, "a", "192.0.2.1")
		s.endpoint(app, "b", "192.0.2.2")
		s.setCheck(&pb.SetCheckRequest{Kind: "heartbeat"})
	}
	for _, c := range []struct {
		what string
		do   func() error
		want string
	}{
		{"given", func() error { return nil }, all},
		{"shared with bob", func() error {
			_, err := s.hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: app, Add: []string{"egi/bob"}})
			return err
		}, all},
		{"bob is no editor any more", func() error {
			_, err := s.hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: app, Remove: []string{"egi/bob"}})
			return err
		}, all},
		{"blocked", func() error {
			_, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: app, Reason: "phishing"})
			return err
		}, looks},
		{"unblocked", func() error {
			_, err := s.hosts.UnblockHost(s.admin(), &pb.UnblockHostRequest{Fqdn: app})
			return err
		}, all},
		{"disabled", func() error {
			_, err := s.hosts.DisableHost(alice, &pb.DisableHostRequest{Fqdn: app})
			return err
		}, noPlace},
		{"enabled", func() error {
			_, err := s.hosts.EnableHost(alice, &pb.EnableHostRequest{Fqdn: app})
			return err
		}, all},
		{"its owner's calls are refused", func() error {
			_, err := s.people.DisablePrincipal(s.admin(), &pb.DisablePrincipalRequest{Name: "egi/alice"})
			return err
		}, all},
		{"offered to bob", func() error {
			_, err := s.people.EnablePrincipal(s.admin(), &pb.EnablePrincipalRequest{Name: "egi/alice"})
			s.done(err)
			_, err = s.hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: app, To: "egi/bob"})
			return err
		}, all},
	} {
		s.done(c.do())
		if got := other.may(secret); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	_, err := s.hosts.AcceptHost(bob, &pb.AcceptHostRequest{Fqdn: app})
	s.done(err)
	other.gone("accepted by bob", secret)
	next := s.endpointSecret(app, "a")
	if got := other.may(next); got != all {
		t.Errorf("bob's: %s", got)
	}
	_, err = s.hosts.DeleteHost(bob, &pb.DeleteHostRequest{Fqdn: app})
	s.done(err)
	other.gone("the host is deleted", next)
	remake()
	other.gone("the host is registered anew", secret)
	other.gone("the host is registered anew", next)
	last := s.endpointSecret(app, "a")
	_, err = s.people.TransferPrincipal(s.admin(), &pb.TransferPrincipalRequest{Name: "egi/bob", To: "egi/carol"})
	s.done(err)
	other.gone("all hosts of its owner are another's", last)
	ended := s.revision()
	last = s.endpointSecret(app, "a")
	_, err = s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true})
	s.done(err)
	other.gone("the zone is deleted", last)
	s.zone("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone")})
	remake()
	other.gone("the zone is made anew", last)
	last = s.endpointSecret(app, "a")
	_, err = s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true},
		"$ORIGIN vo.example.org.\n$TTL 60\n@ SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ NS ns.example.net.\n")
	s.done(err)
	other.gone("an import has taken its host away", last)
	remake()
	other.gone("the host is registered anew after an import", last)
	// The machine that went on beating has given no sign of life since.
	got, err := s.etcd().Get(t.Context(), s.prefix+"/v1/beat/", clientv3.WithPrefix())
	s.done(err)
	for _, kv := range got.Kvs {
		if kv.ModRevision > ended {
			t.Errorf("%s was put after its secret had ended", kv.Key)
		}
	}
}
