package hosts_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/metadata"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// setEach calls SetAddressesOfEach, as no protocol but dyndns2 does, with a context that is
// otherwise for gRPC.
func setEach(s *controltest.Server, ctx context.Context, address string, fqdns ...string) ([]controlapi.AddressesSet, error) {
	md, _ := metadata.FromOutgoingContext(ctx)
	ctx = context.Background()
	if a := md.Get("authorization"); len(a) > 0 {
		ctx = controlapi.WithCaller(ctx, controlapi.Caller{Authorization: a[0]})
	}
	var in []*pb.SetAddressesRequest
	for _, f := range fqdns {
		in = append(in, &pb.SetAddressesRequest{Fqdn: f, Addresses: []string{address}})
	}
	return s.Service.SetAddressesOfEach(ctx, in)
}

// Promise 8: no one changes what is not theirs, nor anything together with it.
func TestSeveralHostsAreChangedTogetherOrNotAtAll(t *testing.T) {
	s := controltest.Start(t, func(c *controlapi.Config) { c.Barred.Hosts = []string{"barred.vo.example.org"} })
	s.Open("vo.example.org")
	s.Open("other.example.net")
	owner, editor := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	secret := s.HostOf(owner, "a.vo.example.org", "192.0.2.1")
	s.HostOf(owner, "b.other.example.net", "192.0.2.1")
	s.HostOf(controltest.Person("egi/carol"), "c.vo.example.org", "192.0.2.1")
	s.HostOf(owner, "blocked.vo.example.org", "192.0.2.1")
	s.HostOf(owner, "off.vo.example.org", "192.0.2.1")
	for _, h := range []string{"a.vo.example.org", "b.other.example.net"} {
		if _, err := s.Hosts.ShareHost(owner, &pb.ShareHostRequest{Fqdn: h, Add: []string{"egi/bob"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: "blocked.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.DisableHost(owner, &pb.DisableHostRequest{Fqdn: "off.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "barred.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	narrow := controltest.Bearer(s.TokenOf(owner, &pb.CreateTokenRequest{Host: "a.vo.example.org"}))
	for _, c := range []struct {
		name  string
		who   context.Context
		fqdns []string
		index int
		kind  model.Kind
	}{
		{"nobody", controltest.With(), []string{"a.vo.example.org", "b.other.example.net"}, 0, model.Unauthenticated},
		{"a stranger", controltest.Person("egi/mallory"), []string{"a.vo.example.org", "b.other.example.net"}, 0, model.NotFound},
		{"another's host second", owner, []string{"a.vo.example.org", "c.vo.example.org"}, 1, model.NotFound},
		{"another's host first", owner, []string{"c.vo.example.org", "a.vo.example.org"}, 0, model.NotFound},
		{"no such host", owner, []string{"a.vo.example.org", "none.vo.example.org"}, 1, model.NotFound},
		{"no possible host", owner, []string{"a.vo.example.org", "-"}, 1, model.Invalid},
		{"a blocked one", owner, []string{"a.vo.example.org", "blocked.vo.example.org"}, 1, model.Denied},
		{"a disabled one", owner, []string{"a.vo.example.org", "off.vo.example.org"}, 1, model.Precondition},
		{"a barred one", controltest.Person("egi/zoe"), []string{"a.vo.example.org", "barred.vo.example.org"}, 1, model.Denied},
		{"a host's secret", controltest.As("a.vo.example.org", secret), []string{"a.vo.example.org", "b.other.example.net"}, 1, model.NotFound},
		{"a narrowed token", narrow, []string{"a.vo.example.org", "b.other.example.net"}, 1, model.Denied},
	} {
		_, err := setEach(s, c.who, "192.0.2.66", c.fqdns...)
		var of *controlapi.HostError
		if !errors.As(err, &of) || of.Index != c.index || model.KindOf(err) != c.kind {
			t.Errorf("%s: %v of kind %v, want %v of hosts[%d]", c.name, err, model.KindOf(err), c.kind, c.index)
		}
		for _, f := range c.fqdns {
			if h, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: f}); err == nil && len(h.Addresses) > 0 && h.Addresses[0] != "192.0.2.1" {
				t.Errorf("%s: %s has %v", c.name, f, h.Addresses)
			}
		}
	}
	for i, who := range []context.Context{owner, editor, controltest.Person("egi/zoe"), s.Admin()} {
		to := fmt.Sprintf("192.0.2.%d", 10+i)
		out, err := setEach(s, who, to, "a.vo.example.org", "b.other.example.net")
		if err != nil || len(out) != 2 || !out[0].Changed || !out[1].Changed || out[1].Addresses[0] != to {
			t.Errorf("caller %d: %v, %v", i, out, err)
		}
		if out, err := setEach(s, who, to, "a.vo.example.org", "b.other.example.net"); err != nil || out[0].Changed || out[1].Changed {
			t.Errorf("caller %d, again: %v, %v", i, out, err)
		}
	}
}

// Each host that is changed counts in its zone.
func TestSeveralHostsCountAsSeveralChanges(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	owner := controltest.Person("egi/alice")
	var fqdns []string
	for i := range 10 {
		fqdns = append(fqdns, fmt.Sprintf("h%d.vo.example.org", i))
		s.HostOf(owner, fqdns[i])
	}
	for i := range 11 { // 10 hosts were made, and 120 changes are for once
		if _, err := setEach(s, owner, fmt.Sprintf("192.0.2.%d", 1+i), fqdns...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := setEach(s, owner, "192.0.2.99", fqdns...); model.KindOf(err) != model.Exhausted || model.RetryAfter(err) == 0 {
		t.Errorf("%v, want that it is too much, and when to go on", err)
	}
}
