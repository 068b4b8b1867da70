package controlapi_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

func TestATokenEnds(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	alice := person("egi/alice")
	s.hostOf(alice, "web.vo.example.org", "192.0.2.1")
	day := 24 * time.Hour
	long := s.tokenOf(alice, &pb.CreateTokenRequest{})
	short := s.tokenOf(alice, &pb.CreateTokenRequest{Lifetime: durationpb.New(10 * day)})
	maker := s.tokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	made := s.tokenOf(bearer(maker), &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	grandchild := s.tokenOf(bearer(made), &pb.CreateTokenRequest{})
	refused := func(secret, because string) {
		t.Helper()
		err := s.updateAs(bearer(secret), "web.vo.example.org", "192.0.2.9")
		wantErr(t, err, codes.Unauthenticated, "")
		if err != nil && !strings.Contains(err.Error(), because) {
			t.Errorf("%v, want something with %q", err, because)
		}
	}
	if got := s.revoke(alice, maker); len(got) != 3 {
		t.Errorf("revoked %v", got)
	}
	for _, secret := range []string{maker, made, grandchild} {
		refused(secret, "revoked")
	}
	s.clock.add(10 * day)
	refused(short, "expired on 2026-12-03")
	if err := s.updateAs(bearer(long), "web.vo.example.org", "192.0.2.2"); err != nil {
		t.Error(err)
	}
	s.service.NoteUses(done(t)) // on the 10th day
	s.clock.add(89 * day)
	if err := s.updateAs(bearer(long), "web.vo.example.org", "192.0.2.3"); err != nil {
		t.Errorf("99 days after it was made, 89 after it was used: %v", err)
	}
	idle := s.tokenOf(alice, &pb.CreateTokenRequest{})
	s.clock.add(91 * day)
	refused(idle, "not used for 90 days")
	wrong := []byte(idle)
	wrong[len("sp_api_")]++
	_, err := s.servers.WhoAmI(bearer(string(wrong)), &pb.WhoAmIRequest{})
	if err == nil || strings.Contains(err.Error(), "expired") {
		t.Errorf("a wrong token: %v", err)
	}
	out, err := s.tokens.ListTokens(alice, &pb.ListTokensRequest{})
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
	if _, err := s.store.Sweep(t.Context(), s.clock.read()); err != nil {
		t.Fatal(err)
	}
	if out, err = s.tokens.ListTokens(alice, &pb.ListTokensRequest{}); err != nil || len(out.Tokens) != 2 {
		t.Errorf("%v, %v", out, err)
	}
	s.clock.add(400 * day)
	if _, err := s.store.Sweep(t.Context(), s.clock.read()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"token", "user", "used"} {
		resp, err := s.etcd().Get(t.Context(), s.prefix+"/v1/ctl/"+part+"/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
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

func done(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestGroupsOfATokenLapse(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Admins: &pb.Words{Values: []string{"group:egi/admins"}}})
	s.host("web.vo.example.org", "192.0.2.1")
	secret := s.tokenOf(person("egi/alice", "group:egi/admins"), &pb.CreateTokenRequest{})
	operator := s.tokenOf(person("egi/olga", "group:egi/operators"), &pb.CreateTokenRequest{})
	n := 1
	may := func() error {
		n++
		return s.updateAs(bearer(secret), "web.vo.example.org", fmt.Sprintf("192.0.2.%d", n))
	}
	if err := may(); err != nil {
		t.Error(err)
	}
	if _, err := s.servers.GetStatus(bearer(operator), &pb.GetStatusRequest{}); err != nil {
		t.Errorf("an operator's token: %v", err)
	}
	strict := s.again(func(c *controlapi.Config) { c.Now, c.GroupMaxAge = s.clock.read, time.Hour })
	s.clock.add(2 * time.Hour)
	wantErr(t, strict.updateAs(bearer(secret), "web.vo.example.org", "192.0.2.99"), gone, "")
	s.clock.add(30 * 24 * time.Hour)
	wantErr(t, may(), gone, "")
	_, err := s.servers.GetStatus(bearer(operator), &pb.GetStatusRequest{})
	wantErr(t, err, denied, "")
	login := func(groups ...string) {
		t.Helper()
		if _, err := s.servers.WhoAmI(person("egi/alice", groups...), &pb.WhoAmIRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	login("group:egi/admins")
	if err := may(); err != nil {
		t.Errorf("after a login: %v", err)
	}
	login()
	wantErr(t, may(), gone, "")
}

func TestLoginsAreNotedSeldom(t *testing.T) {
	s := start(t)
	key := s.prefix + "/v1/ctl/user/egi%2Falice"
	version := func() int64 {
		resp, err := s.etcd().Get(t.Context(), key)
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
		if _, err := s.tokens.ListTokens(person("egi/alice", groups...), &pb.ListTokensRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	login("group:egi/a")
	if version() != 0 {
		t.Error("somebody without tokens is noted")
	}
	s.tokenOf(person("egi/alice", "group:egi/a"), &pb.CreateTokenRequest{})
	for range 5 {
		login("group:egi/a")
	}
	if v := version(); v != 1 {
		t.Errorf("written %d times", v)
	}
	login("group:egi/b")
	s.clock.add(25 * time.Hour)
	login("group:egi/b")
	login("group:egi/b")
	if v := version(); v != 3 {
		t.Errorf("written %d times", v)
	}
}

func TestTenTokensAnOwner(t *testing.T) {
	s := start(t)
	alice := person("egi/alice")
	var last string
	for range 10 {
		last = s.tokenOf(alice, &pb.CreateTokenRequest{})
	}
	_, err := s.tokens.CreateToken(alice, &pb.CreateTokenRequest{})
	wantErr(t, err, codes.ResourceExhausted, "")
	s.tokenOf(person("egi/bob"), &pb.CreateTokenRequest{})
	for range 30 { // those that ended are not kept without end
		s.revoke(alice, last)
		last = s.tokenOf(alice, &pb.CreateTokenRequest{})
		s.clock.add(time.Minute)
	}
	out, err := s.tokens.ListTokens(alice, &pb.ListTokensRequest{})
	if err != nil || len(out.Tokens) > 30 {
		t.Errorf("%d tokens, %v", len(out.GetTokens()), err)
	}
}

func TestStreamsOfARevokedTokenEnd(t *testing.T) {
	s := start(t)
	other := s.again()
	s.open("vo.example.org")
	alice := person("egi/alice")
	s.hostOf(alice, "web.vo.example.org", "192.0.2.1")
	secret := s.tokenOf(alice, &pb.CreateTokenRequest{Sources: []string{"127.0.0.1"}})
	w := other.watch(bearer(secret), &pb.WatchRequest{Fqdn: "web.vo.example.org"})
	for i := range 3 {
		s.setAddress("web.vo.example.org", fmt.Sprintf("192.0.2.%d", 2+i))
		w.next()
	}
	s.revoke(alice, secret)
	begin := time.Now()
	for {
		if _, err := w.from.Recv(); err != nil {
			wantErr(t, err, un, "")
			break
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the stream ended after %s", took)
	}
}
