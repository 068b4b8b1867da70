package controlapi_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "signpost/proto/signpost/v1"
)

func bearer(secret string, pairs ...string) context.Context {
	return with(append([]string{"authorization", "Bearer " + secret}, pairs...)...)
}

// tokenOf makes a token and answers its secret.

func (s *server) tokenOf(who context.Context, in *pb.CreateTokenRequest) string {
	s.t.Helper()
	out, err := s.tokens.CreateToken(who, in)
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Secret
}

// token is what a token knows of itself.

func (s *server) tokenSelf(secret string) *pb.Token {
	s.t.Helper()
	me, err := s.servers.WhoAmI(bearer(secret), &pb.WhoAmIRequest{})
	if err != nil {
		s.t.Fatal(err)
	}
	return me.Token
}

func (s *server) revoke(who context.Context, secret string) []string {
	s.t.Helper()
	out, err := s.tokens.RevokeToken(who, &pb.RevokeTokenRequest{Id: s.tokenSelf(secret).Id})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Ids
}

func (s *server) updateAs(ctx context.Context, fqdn, addr string) error {
	_, err := s.hosts.SetAddresses(ctx, &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: []string{addr}})
	return err
}

func TestATokenIsItsOwnerNarrowed(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	s.open("b.example.org")
	alice := person("egi/alice")
	for _, h := range []string{"web.vo.example.org", "db.vo.example.org", "web.b.example.org"} {
		s.hostOf(alice, h, "192.0.2.1")
	}
	s.hostOf(person("egi/bob"), "bob.vo.example.org", "192.0.2.1")
	txt := func(ctx context.Context, fqdn, rrtype, data string) error {
		_, err := s.records.SetRecordSet(ctx, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: []string{data}})
		return err
	}
	type try struct {
		what string
		do   func(context.Context) error
		want codes.Code
	}
	addr := 1
	set := func(fqdn string) func(context.Context) error {
		return func(ctx context.Context) error {
			addr++
			return s.updateAs(ctx, fqdn, fmt.Sprintf("192.0.2.%d", addr))
		}
	}
	hosts := func(want ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			out, err := s.hosts.ListHosts(ctx, &pb.ListHostsRequest{PageSize: 2})
			var got []string
			for err == nil {
				for _, h := range out.Hosts {
					got = append(got, h.Fqdn)
				}
				if out.NextPageToken == "" {
					break
				}
				out, err = s.hosts.ListHosts(ctx, &pb.ListHostsRequest{PageSize: 2, PageToken: out.NextPageToken})
			}
			if !slices.Equal(got, want) {
				t.Errorf("lists %v, want %v", got, want)
			}
			return err
		}
	}
	for name, c := range map[string]struct {
		in    *pb.CreateTokenRequest
		tries []try
	}{
		"nothing": {&pb.CreateTokenRequest{}, []try{
			{"own", set("web.vo.example.org"), ok},
			{"another's", set("bob.vo.example.org"), gone},
			{"list", hosts("web.b.example.org", "db.vo.example.org", "web.vo.example.org"), ok},
		}},
		"zone": {&pb.CreateTokenRequest{Zone: "vo.example.org"}, []try{
			{"in it", set("web.vo.example.org"), ok},
			{"elsewhere", set("web.b.example.org"), denied},
			{"list", hosts("db.vo.example.org", "web.vo.example.org"), ok},
		}},
		"pattern": {&pb.CreateTokenRequest{Host: "w*.vo.example.org"}, []try{
			{"of it", set("web.vo.example.org"), ok},
			{"below it", func(ctx context.Context) error { return txt(ctx, "_acme-challenge.web.vo.example.org", "TXT", "x") }, ok},
			{"another", set("db.vo.example.org"), denied},
			{"list", hosts("web.vo.example.org"), ok},
			{"a new one", func(ctx context.Context) error {
				_, err := s.hosts.CreateHost(ctx, &pb.CreateHostRequest{Fqdn: "w2.vo.example.org"})
				if err == nil { // the others list hosts
					_, err = s.hosts.DeleteHost(ctx, &pb.DeleteHostRequest{Fqdn: "w2.vo.example.org"})
				}
				return err
			}, ok},
			{"another new one", func(ctx context.Context) error {
				_, err := s.hosts.CreateHost(ctx, &pb.CreateHostRequest{Fqdn: "x2.vo.example.org"})
				return err
			}, denied},
		}},
		"type": {&pb.CreateTokenRequest{Types: []string{"TXT"}}, []try{
			{"of it", func(ctx context.Context) error { return txt(ctx, "web.vo.example.org", "TXT", "x") }, ok},
			{"another", func(ctx context.Context) error { return txt(ctx, "web.vo.example.org", "MX", "10 mail.example.net.") }, denied},
			{"addresses", set("web.vo.example.org"), denied},
		}},
		"action": {&pb.CreateTokenRequest{Actions: []string{"host.set-addresses"}}, []try{
			{"it", set("web.vo.example.org"), ok},
			{"another", func(ctx context.Context) error { return txt(ctx, "web.vo.example.org", "TXT", "y") }, denied},
		}},
		"source": {&pb.CreateTokenRequest{Sources: []string{"127.0.0.0/8"}}, []try{{"from it", set("web.vo.example.org"), ok}}},
		"other source": {&pb.CreateTokenRequest{Sources: []string{"198.51.100.0/24"}}, []try{
			{"from elsewhere", set("web.vo.example.org"), denied},
			{"who am I", func(ctx context.Context) error {
				_, err := s.servers.WhoAmI(ctx, &pb.WhoAmIRequest{})
				return err
			}, denied},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			secret := s.tokenOf(alice, c.in)
			for _, try := range c.tries {
				if err := try.do(bearer(secret)); status.Code(err) != try.want {
					t.Errorf("%s: %v, want %s", try.what, err, try.want)
				}
			}
			out, err := s.tokens.ListTokens(alice, &pb.ListTokensRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.tokens.RevokeToken(alice, &pb.RevokeTokenRequest{Id: out.Tokens[len(out.Tokens)-1].Id}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A token that is right and has ended is told why; a wrong one is not told anything.

// done is a context that is at its end.

func TestATokenMakesNoneThatIsWider(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	alice := person("egi/alice")
	s.hostOf(alice, "web.vo.example.org", "192.0.2.1")
	s.hostOf(alice, "db.vo.example.org", "192.0.2.1")
	maker := s.tokenOf(alice, &pb.CreateTokenRequest{
		Host: "web.vo.example.org", Actions: []string{"host.set-addresses", "grant", "token.list", "token.revoke"}, Lifetime: durationpb.New(time.Hour),
	})
	out, err := s.tokens.CreateToken(bearer(maker), &pb.CreateTokenRequest{Actions: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Token.ExpireTime.AsTime(); !got.Equal(s.clock.read().Add(time.Hour)) {
		t.Errorf("it lasts longer than its maker: %s", got)
	}
	made := bearer(out.Secret)
	if err := s.updateAs(made, "web.vo.example.org", "192.0.2.2"); err != nil {
		t.Error(err)
	}
	wantErr(t, s.updateAs(made, "db.vo.example.org", "192.0.2.2"), denied, "")
	_, err = s.records.SetRecordSet(made, &pb.SetRecordSetRequest{Fqdn: "web.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
	wantErr(t, err, denied, "")
	_, err = s.tokens.CreateToken(made, &pb.CreateTokenRequest{Actions: []string{"grant"}})
	wantErr(t, err, denied, "")

	// A token knows of itself and what it made, not of its owner's others.
	other := s.tokenOf(alice, &pb.CreateTokenRequest{})
	list, err := s.tokens.ListTokens(bearer(maker), &pb.ListTokensRequest{})
	if err != nil || len(list.Tokens) != 2 || list.Tokens[1].Parent != list.Tokens[0].Id {
		t.Errorf("%v, %v", list, err)
	}
	_, err = s.tokens.RevokeToken(bearer(maker), &pb.RevokeTokenRequest{Id: s.tokenSelf(other).Id})
	wantErr(t, err, codes.NotFound, "id")
	if _, err := s.tokens.RevokeToken(bearer(maker), &pb.RevokeTokenRequest{Id: out.Token.Id}); err != nil {
		t.Error(err)
	}
	wantErr(t, s.updateAs(made, "web.vo.example.org", "192.0.2.3"), un, "")
}

func TestATokenThatMayNotDoWhatASecretDoesGetsNone(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	alice := person("egi/alice")
	create := func(fqdn string, actions ...string) *pb.CreateHostResponse {
		t.Helper()
		out, err := s.hosts.CreateHost(bearer(s.tokenOf(alice, &pb.CreateTokenRequest{Actions: actions})), &pb.CreateHostRequest{Fqdn: fqdn})
		if err != nil {
			t.Fatal(err)
		}
		if out.Host.Owner != "egi/alice" {
			t.Errorf("owner %s", out.Host.Owner)
		}
		return out
	}
	if out := create("a.vo.example.org"); out.Secret == "" || len(out.Warnings) != 0 {
		t.Error(out)
	}
	out := create("b.vo.example.org", "host.create")
	if out.Secret != "" || len(out.Warnings) != 1 || !out.WithoutSecret {
		t.Error(out)
	}
	fresh, err := s.hosts.RotateSecret(alice, &pb.RotateSecretRequest{Fqdn: "b.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.updateAs(as("b.vo.example.org", fresh.Secret), "b.vo.example.org", "192.0.2.1"); err != nil {
		t.Error(err)
	}
}

// The groups of a token are those of its owner's last login, for a while.

// Who logs in is noted at most once a day, unless their groups have changed.

// Where a list goes on tells a narrowed token no name that it may not see.
func TestAPageTokenTellsNoNames(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	alice := person("egi/alice")
	for _, h := range []string{"a-web", "hidden", "z-web"} {
		s.hostOf(alice, h+".vo.example.org")
	}
	token := s.tokenOf(alice, &pb.CreateTokenRequest{Host: "*-web.vo.example.org"})
	in, got := &pb.ListHostsRequest{PageSize: 1}, ""
	for {
		page, err := s.hosts.ListHosts(bearer(token), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range page.Hosts {
			got += h.Fqdn + " "
		}
		raw, err := base64.RawURLEncoding.DecodeString(page.NextPageToken)
		if err != nil || strings.Contains(string(raw), "hidden") {
			t.Errorf("%q, %v", raw, err)
		}
		if in.PageToken = page.NextPageToken; in.PageToken == "" {
			break
		}
	}
	if got != "a-web.vo.example.org z-web.vo.example.org " {
		t.Error(got)
	}
}
