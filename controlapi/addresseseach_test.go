package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/metadata"

	"signpost/controlapi"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// each calls SetAddressesOfEach, as no protocol but dyndns2 does, with a context that is
// otherwise for gRPC.
func (s *server) each(ctx context.Context, address string, fqdns ...string) ([]controlapi.AddressesSet, error) {
	md, _ := metadata.FromOutgoingContext(ctx)
	ctx = context.Background()
	if a := md.Get("authorization"); len(a) > 0 {
		ctx = controlapi.WithCaller(ctx, controlapi.Caller{Authorization: a[0]})
	}
	var in []*pb.SetAddressesRequest
	for _, f := range fqdns {
		in = append(in, &pb.SetAddressesRequest{Fqdn: f, Addresses: []string{address}})
	}
	return s.service.SetAddressesOfEach(ctx, in)
}

// Promise 8: no one changes what is not theirs, nor anything together with it.
func TestSeveralHostsAreChangedTogetherOrNotAtAll(t *testing.T) {
	s := start(t, func(c *controlapi.Config) { c.Barred.Hosts = []string{"barred.vo.example.org"} })
	s.open("vo.example.org")
	s.open("other.example.net")
	owner, editor := person("egi/alice"), person("egi/bob")
	secret := s.hostOf(owner, "a.vo.example.org", "192.0.2.1")
	s.hostOf(owner, "b.other.example.net", "192.0.2.1")
	s.hostOf(person("egi/carol"), "c.vo.example.org", "192.0.2.1")
	s.hostOf(owner, "blocked.vo.example.org", "192.0.2.1")
	s.hostOf(owner, "off.vo.example.org", "192.0.2.1")
	for _, h := range []string{"a.vo.example.org", "b.other.example.net"} {
		if _, err := s.hosts.ShareHost(owner, &pb.ShareHostRequest{Fqdn: h, Add: []string{"egi/bob"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: "blocked.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.DisableHost(owner, &pb.DisableHostRequest{Fqdn: "off.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.CreateHost(s.admin(), &pb.CreateHostRequest{Fqdn: "barred.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	narrow := bearer(s.tokenOf(owner, &pb.CreateTokenRequest{Host: "a.vo.example.org"}))
	for _, c := range []struct {
		name  string
		who   context.Context
		fqdns []string
		index int
		kind  model.Kind
	}{
		{"nobody", with(), []string{"a.vo.example.org", "b.other.example.net"}, 0, model.Unauthenticated},
		{"a stranger", person("egi/mallory"), []string{"a.vo.example.org", "b.other.example.net"}, 0, model.NotFound},
		{"another's host second", owner, []string{"a.vo.example.org", "c.vo.example.org"}, 1, model.NotFound},
		{"another's host first", owner, []string{"c.vo.example.org", "a.vo.example.org"}, 0, model.NotFound},
		{"no such host", owner, []string{"a.vo.example.org", "none.vo.example.org"}, 1, model.NotFound},
		{"no possible host", owner, []string{"a.vo.example.org", "-"}, 1, model.Invalid},
		{"a blocked one", owner, []string{"a.vo.example.org", "blocked.vo.example.org"}, 1, model.Denied},
		{"a disabled one", owner, []string{"a.vo.example.org", "off.vo.example.org"}, 1, model.Precondition},
		{"a barred one", person("egi/zoe"), []string{"a.vo.example.org", "barred.vo.example.org"}, 1, model.Denied},
		{"a host's secret", as("a.vo.example.org", secret), []string{"a.vo.example.org", "b.other.example.net"}, 1, model.NotFound},
		{"a narrowed token", narrow, []string{"a.vo.example.org", "b.other.example.net"}, 1, model.Denied},
	} {
		_, err := s.each(c.who, "192.0.2.66", c.fqdns...)
		var of *controlapi.HostError
		if !errors.As(err, &of) || of.Index != c.index || model.KindOf(err) != c.kind {
			t.Errorf("%s: %v of kind %v, want %v of hosts[%d]", c.name, err, model.KindOf(err), c.kind, c.index)
		}
		for _, f := range c.fqdns {
			if h, err := s.hosts.GetHost(s.admin(), &pb.GetHostRequest{Fqdn: f}); err == nil && len(h.Addresses) > 0 && h.Addresses[0] != "192.0.2.1" {
				t.Errorf("%s: %s has %v", c.name, f, h.Addresses)
			}
		}
	}
	for i, who := range []context.Context{owner, editor, person("egi/zoe"), s.admin()} {
		to := fmt.Sprintf("192.0.2.%d", 10+i)
		out, err := s.each(who, to, "a.vo.example.org", "b.other.example.net")
		if err != nil || len(out) != 2 || !out[0].Changed || !out[1].Changed || out[1].Addresses[0] != to {
			t.Errorf("caller %d: %v, %v", i, out, err)
		}
		if out, err := s.each(who, to, "a.vo.example.org", "b.other.example.net"); err != nil || out[0].Changed || out[1].Changed {
			t.Errorf("caller %d, again: %v, %v", i, out, err)
		}
	}
}

// Each host that is changed counts in its zone.
func TestSeveralHostsCountAsSeveralChanges(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	owner := person("egi/alice")
	var fqdns []string
	for i := range 10 {
		fqdns = append(fqdns, fmt.Sprintf("h%d.vo.example.org", i))
		s.hostOf(owner, fqdns[i])
	}
	for i := range 11 { // 10 hosts were made, and 120 changes are for once
		if _, err := s.each(owner, fmt.Sprintf("192.0.2.%d", 1+i), fqdns...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.each(owner, "192.0.2.99", fqdns...); model.KindOf(err) != model.Exhausted || model.RetryAfter(err) == 0 {
		t.Errorf("%v, want that it is too much, and when to go on", err)
	}
}
