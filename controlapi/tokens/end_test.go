package tokens_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestATokenEnds(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "web.vo.example.org", "192.0.2.1")
	day := 24 * time.Hour
	long := s.TokenOf(alice, &pb.CreateTokenRequest{})
	short := s.TokenOf(alice, &pb.CreateTokenRequest{Lifetime: durationpb.New(10 * day)})
	maker := s.TokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	made := s.TokenOf(controltest.Bearer(maker), &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	grandchild := s.TokenOf(controltest.Bearer(made), &pb.CreateTokenRequest{})
	refused := func(secret, because string) {
		t.Helper()
		err := s.UpdateAs(controltest.Bearer(secret), "web.vo.example.org", "192.0.2.9")
		controltest.WantErr(t, err, codes.Unauthenticated, "")
		if err != nil && !strings.Contains(err.Error(), because) {
			t.Errorf("%v, want something with %q", err, because)
		}
	}
	if got := s.Revoke(alice, maker); len(got) != 3 {
		t.Errorf("revoked %v", got)
	}
	for _, secret := range []string{maker, made, grandchild} {
		refused(secret, "revoked")
	}
	s.Clock.Add(10 * day)
	refused(short, "expired on 2026-12-03")
	if err := s.UpdateAs(controltest.Bearer(long), "web.vo.example.org", "192.0.2.2"); err != nil {
		t.Error(err)
	}
	s.Service.NoteUses(controltest.Done(t)) // on the 10th day
	s.Clock.Add(89 * day)
	if err := s.UpdateAs(controltest.Bearer(long), "web.vo.example.org", "192.0.2.3"); err != nil {
		t.Errorf("99 days after it was made, 89 after it was used: %v", err)
	}
	idle := s.TokenOf(alice, &pb.CreateTokenRequest{})
	s.Clock.Add(91 * day)
	refused(idle, "not used for 90 days")
	wrong := []byte(idle)
	wrong[len("sp_api_")]++
	_, err := s.Servers.WhoAmI(controltest.Bearer(string(wrong)), &pb.WhoAmIRequest{})
	if err == nil || strings.Contains(err.Error(), "expired") {
		t.Errorf("a wrong token: %v", err)
	}
	out, err := s.Tokens.ListTokens(alice, &pb.ListTokensRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, tok := range out.Tokens {
		states = append(states, tok.State)
	}
	if want := []string{"unused", "expired", "revoked", "revoked", "revoked", "unused"}; !slices.Equal(states, want) {
		t.Errorf("%v, want %v", states, want)
	}
	if got := out.Tokens[0].UseTime.AsTime(); !got.Equal(time.Date(2026, 12, 3, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("last use %s", got)
	}
	// A month later all but those that were never revoked and last a year are gone.
	if _, err := s.Store.Sweep(t.Context(), s.Clock.Read()); err != nil {
		t.Fatal(err)
	}
	if out, err = s.Tokens.ListTokens(alice, &pb.ListTokensRequest{}); err != nil || len(out.Tokens) != 2 {
		t.Errorf("%v, %v", out, err)
	}
	s.Clock.Add(400 * day)
	if _, err := s.Store.Sweep(t.Context(), s.Clock.Read()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"token", "user", "used"} {
		resp, err := s.Etcd().Get(t.Context(), s.Prefix+"/v1/ctl/"+part+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range resp.Kvs {
			if part != "token" || len(resp.Kvs) > 1 { // the admin's stays
				t.Errorf("%s is left", kv.Key)
			}
		}
	}
}

func TestGroupsOfATokenLapse(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Admins: &pb.Words{Values: []string{"group:egi/admins"}}})
	s.Host("web.vo.example.org", "192.0.2.1")
	secret := s.TokenOf(controltest.Person("egi/alice", "group:egi/admins"), &pb.CreateTokenRequest{})
	operator := s.TokenOf(controltest.Person("egi/olga", "group:egi/operators"), &pb.CreateTokenRequest{})
	n := 1
	may := func() error {
		n++
		return s.UpdateAs(controltest.Bearer(secret), "web.vo.example.org", fmt.Sprintf("192.0.2.%d", n))
	}
	if err := may(); err != nil {
		t.Error(err)
	}
	if _, err := s.Servers.GetStatus(controltest.Bearer(operator), &pb.GetStatusRequest{}); err != nil {
		t.Errorf("an operator's token: %v", err)
	}
	strict := s.Again(func(c *controlapi.Config) { c.Now, c.GroupMaxAge = s.Clock.Read, time.Hour })
	s.Clock.Add(2 * time.Hour)
	controltest.WantErr(t, strict.UpdateAs(controltest.Bearer(secret), "web.vo.example.org", "192.0.2.99"), codes.NotFound, "")
	s.Clock.Add(30 * 24 * time.Hour)
	controltest.WantErr(t, may(), codes.NotFound, "")
	_, err := s.Servers.GetStatus(controltest.Bearer(operator), &pb.GetStatusRequest{})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	login := func(groups ...string) {
		t.Helper()
		if _, err := s.Servers.WhoAmI(controltest.Person("egi/alice", groups...), &pb.WhoAmIRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	login("group:egi/admins")
	if err := may(); err != nil {
		t.Errorf("after a login: %v", err)
	}
	login()
	controltest.WantErr(t, may(), codes.NotFound, "")
}

func TestLoginsAreNotedSeldom(t *testing.T) {
	s := controltest.Start(t)
	key := s.Prefix + "/v1/ctl/user/egi%2Falice"
	version := func() int64 {
		resp, err := s.Etcd().Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Kvs) == 0 {
			return 0
		}
		return resp.Kvs[0].Version
	}
	login := func(groups ...string) {
		t.Helper()
		if _, err := s.Tokens.ListTokens(controltest.Person("egi/alice", groups...), &pb.ListTokensRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	login("group:egi/a")
	if version() != 0 {
		t.Error("somebody without tokens is noted")
	}
	s.TokenOf(controltest.Person("egi/alice", "group:egi/a"), &pb.CreateTokenRequest{})
	for range 5 {
		login("group:egi/a")
	}
	if v := version(); v != 1 {
		t.Errorf("written %d times", v)
	}
	login("group:egi/b")
	s.Clock.Add(25 * time.Hour)
	login("group:egi/b")
	login("group:egi/b")
	if v := version(); v != 3 {
		t.Errorf("written %d times", v)
	}
}

func TestTenTokensAnOwner(t *testing.T) {
	s := controltest.Start(t)
	alice := controltest.Person("egi/alice")
	var last string
	for range 10 {
		last = s.TokenOf(alice, &pb.CreateTokenRequest{})
	}
	_, err := s.Tokens.CreateToken(alice, &pb.CreateTokenRequest{})
	controltest.WantErr(t, err, codes.ResourceExhausted, "")
	s.TokenOf(controltest.Person("egi/bob"), &pb.CreateTokenRequest{})
	for range 30 { // those that ended are not kept without end
		s.Revoke(alice, last)
		last = s.TokenOf(alice, &pb.CreateTokenRequest{})
		s.Clock.Add(time.Minute)
	}
	out, err := s.Tokens.ListTokens(alice, &pb.ListTokensRequest{})
	if err != nil || len(out.Tokens) > 30 {
		t.Errorf("%d tokens, %v", len(out.GetTokens()), err)
	}
}

func TestStreamsOfARevokedTokenEnd(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again()
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "web.vo.example.org", "192.0.2.1")
	secret := s.TokenOf(alice, &pb.CreateTokenRequest{Sources: []string{"127.0.0.1"}})
	w := other.Watch(controltest.Bearer(secret), &pb.WatchRequest{Fqdn: "web.vo.example.org"})
	for i := range 3 {
		s.SetAddress("web.vo.example.org", fmt.Sprintf("192.0.2.%d", 2+i))
		w.Next()
	}
	s.Revoke(alice, secret)
	begin := time.Now()
	for {
		if _, err := w.From.Recv(); err != nil {
			controltest.WantErr(t, err, codes.Unauthenticated, "")
			break
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the stream ended after %s", took)
	}
}
