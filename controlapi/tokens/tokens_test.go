package tokens_test

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

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// tokenOf makes a token and answers its secret.

// token is what a token knows of itself.

func TestATokenIsItsOwnerNarrowed(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Open("b.example.org")
	alice := controltest.Person("egi/alice")
	for _, h := range []string{"web.vo.example.org", "db.vo.example.org", "web.b.example.org"} {
		s.HostOf(alice, h, "192.0.2.1")
	}
	s.HostOf(controltest.Person("egi/bob"), "bob.vo.example.org", "192.0.2.1")
	txt := func(ctx context.Context, fqdn, rrtype, data string) error {
		_, err := s.Records.SetRecordSet(ctx, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: []string{data}})
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
			return s.UpdateAs(ctx, fqdn, fmt.Sprintf("192.0.2.%d", addr))
		}
	}
	hosts := func(want ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			out, err := s.Hosts.ListHosts(ctx, &pb.ListHostsRequest{PageSize: 2})
			var got []string
			for err == nil {
				for _, h := range out.Hosts {
					got = append(got, h.Fqdn)
				}
				if out.NextPageToken == "" {
					break
				}
				out, err = s.Hosts.ListHosts(ctx, &pb.ListHostsRequest{PageSize: 2, PageToken: out.NextPageToken})
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
			{"own", set("web.vo.example.org"), codes.OK},
			{"another's", set("bob.vo.example.org"), codes.NotFound},
			{"list", hosts("web.b.example.org", "db.vo.example.org", "web.vo.example.org"), codes.OK},
		}},
		"zone": {&pb.CreateTokenRequest{Zone: "vo.example.org"}, []try{
			{"in it", set("web.vo.example.org"), codes.OK},
			{"elsewhere", set("web.b.example.org"), codes.PermissionDenied},
			{"list", hosts("db.vo.example.org", "web.vo.example.org"), codes.OK},
		}},
		"pattern": {&pb.CreateTokenRequest{Host: "w*.vo.example.org"}, []try{
			{"of it", set("web.vo.example.org"), codes.OK},
			{"below it", func(ctx context.Context) error { return txt(ctx, "_acme-challenge.web.vo.example.org", "TXT", "x") }, codes.OK},
			{"another", set("db.vo.example.org"), codes.PermissionDenied},
			{"list", hosts("web.vo.example.org"), codes.OK},
			{"a new one", func(ctx context.Context) error {
				_, err := s.Hosts.CreateHost(ctx, &pb.CreateHostRequest{Fqdn: "w2.vo.example.org"})
				if err == nil { // the others list hosts
					_, err = s.Hosts.DeleteHost(ctx, &pb.DeleteHostRequest{Fqdn: "w2.vo.example.org"})
				}
				return err
			}, codes.OK},
			{"another new one", func(ctx context.Context) error {
				_, err := s.Hosts.CreateHost(ctx, &pb.CreateHostRequest{Fqdn: "x2.vo.example.org"})
				return err
			}, codes.PermissionDenied},
		}},
		"type": {&pb.CreateTokenRequest{Types: []string{"TXT"}}, []try{
			{"of it", func(ctx context.Context) error { return txt(ctx, "web.vo.example.org", "TXT", "x") }, codes.OK},
			{"another", func(ctx context.Context) error { return txt(ctx, "web.vo.example.org", "MX", "10 mail.example.net.") }, codes.PermissionDenied},
			{"addresses", set("web.vo.example.org"), codes.PermissionDenied},
		}},
		"action": {&pb.CreateTokenRequest{Actions: []string{"host.set-addresses"}}, []try{
			{"it", set("web.vo.example.org"), codes.OK},
			{"another", func(ctx context.Context) error { return txt(ctx, "web.vo.example.org", "TXT", "y") }, codes.PermissionDenied},
		}},
		"source": {&pb.CreateTokenRequest{Sources: []string{"127.0.0.0/8"}}, []try{{"from it", set("web.vo.example.org"), codes.OK}}},
		"other source": {&pb.CreateTokenRequest{Sources: []string{"198.51.100.0/24"}}, []try{
			{"from elsewhere", set("web.vo.example.org"), codes.PermissionDenied},
			{"who am I", func(ctx context.Context) error {
				_, err := s.Servers.WhoAmI(ctx, &pb.WhoAmIRequest{})
				return err
			}, codes.PermissionDenied},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			secret := s.TokenOf(alice, c.in)
			for _, try := range c.tries {
				if err := try.do(controltest.Bearer(secret)); status.Code(err) != try.want {
					t.Errorf("%s: %v, want %s", try.what, err, try.want)
				}
			}
			out, err := s.Tokens.ListTokens(alice, &pb.ListTokensRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Tokens.RevokeToken(alice, &pb.RevokeTokenRequest{Id: out.Tokens[len(out.Tokens)-1].Id}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A token that is right and has ended is told why; a wrong one is not told anything.

// done is a context that is at its end.

func TestATokenMakesNoneThatIsWider(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "web.vo.example.org", "192.0.2.1")
	s.HostOf(alice, "db.vo.example.org", "192.0.2.1")
	maker := s.TokenOf(alice, &pb.CreateTokenRequest{
		Host: "web.vo.example.org", Actions: []string{"host.set-addresses", "grant", "token.list", "token.revoke"}, Lifetime: durationpb.New(time.Hour),
	})
	out, err := s.Tokens.CreateToken(controltest.Bearer(maker), &pb.CreateTokenRequest{Actions: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Token.ExpireTime.AsTime(); !got.Equal(s.Clock.Read().Add(time.Hour)) {
		t.Errorf("it lasts longer than its maker: %s", got)
	}
	made := controltest.Bearer(out.Secret)
	if err := s.UpdateAs(made, "web.vo.example.org", "192.0.2.2"); err != nil {
		t.Error(err)
	}
	controltest.WantErr(t, s.UpdateAs(made, "db.vo.example.org", "192.0.2.2"), codes.PermissionDenied, "")
	_, err = s.Records.SetRecordSet(made, &pb.SetRecordSetRequest{Fqdn: "web.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = s.Tokens.CreateToken(made, &pb.CreateTokenRequest{Actions: []string{"grant"}})
	controltest.WantErr(t, err, codes.PermissionDenied, "")

	// A token knows of itself and what it made, not of its owner's others.
	other := s.TokenOf(alice, &pb.CreateTokenRequest{})
	list, err := s.Tokens.ListTokens(controltest.Bearer(maker), &pb.ListTokensRequest{})
	if err != nil || len(list.Tokens) != 2 || list.Tokens[1].Parent != list.Tokens[0].Id {
		t.Errorf("%v, %v", list, err)
	}
	_, err = s.Tokens.RevokeToken(controltest.Bearer(maker), &pb.RevokeTokenRequest{Id: s.TokenSelf(other).Id})
	controltest.WantErr(t, err, codes.NotFound, "id")
	if _, err := s.Tokens.RevokeToken(controltest.Bearer(maker), &pb.RevokeTokenRequest{Id: out.Token.Id}); err != nil {
		t.Error(err)
	}
	controltest.WantErr(t, s.UpdateAs(made, "web.vo.example.org", "192.0.2.3"), codes.Unauthenticated, "")
}

func TestATokenThatMayNotDoWhatASecretDoesGetsNone(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	create := func(fqdn string, actions ...string) *pb.CreateHostResponse {
		t.Helper()
		out, err := s.Hosts.CreateHost(controltest.Bearer(s.TokenOf(alice, &pb.CreateTokenRequest{Actions: actions})), &pb.CreateHostRequest{Fqdn: fqdn})
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
	fresh, err := s.Hosts.RotateSecret(alice, &pb.RotateSecretRequest{Fqdn: "b.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UpdateAs(controltest.As("b.vo.example.org", fresh.Secret), "b.vo.example.org", "192.0.2.1"); err != nil {
		t.Error(err)
	}
}

// The groups of a token are those of its owner's last login, for a while.

// Who logs in is noted at most once a day, unless their groups have changed.

// Where a list goes on tells a narrowed token no name that it may not see.
func TestAPageTokenTellsNoNames(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	for _, h := range []string{"a-web", "hidden", "z-web"} {
		s.HostOf(alice, h+".vo.example.org")
	}
	token := s.TokenOf(alice, &pb.CreateTokenRequest{Host: "*-web.vo.example.org"})
	in, got := &pb.ListHostsRequest{PageSize: 1}, ""
	for {
		page, err := s.Hosts.ListHosts(controltest.Bearer(token), in)
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
