package controlapi_test

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// What is told of a person, to operators and to themselves; a token is told no more than
// it may know.
func TestAPersonIsShown(t *testing.T) {
	s := start(t, func(c *controlapi.Config) { c.Barred.Principals = []model.PrincipalName{"group:egi/bad"} })
	s.open("vo.example.org")
	s.open("gone.example.org")
	alice, bob := person("egi/alice", "group:egi/vo"), person("egi/bob")
	for _, fqdn := range []string{"a.vo.example.org", "b.vo.example.org", "a.gone.example.org"} {
		s.hostOf(alice, fqdn)
	}
	share := func(fqdn string, with ...string) {
		t.Helper()
		if _, err := s.hosts.ShareHost(bob, &pb.ShareHostRequest{Fqdn: fqdn, Add: with}); err != nil {
			t.Fatal(err)
		}
	}
	for fqdn, with := range map[string][]string{
		"c.vo.example.org": {"egi/alice", "group:egi/vo"}, "d.vo.example.org": {"group:egi/vo"}, "e.vo.example.org": {"egi/carol"},
	} {
		s.hostOf(bob, fqdn)
		share(fqdn, with...)
	}
	maker := s.tokenOf(bob, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	if _, err := s.hosts.ShareHost(bearer(maker), &pb.ShareHostRequest{Fqdn: "e.vo.example.org", Add: []string{"egi/alice"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "gone.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	first := s.tokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	second := s.tokenOf(bearer(first), &pb.CreateTokenRequest{})
	over := s.tokenOf(alice, &pb.CreateTokenRequest{})
	s.revoke(alice, over)
	ids := []string{s.tokenSelf(first).Id, s.tokenSelf(second).Id}
	s.clock.add(time.Hour)
	noted, now := timestamppb.New(s.clock.read().Add(-time.Hour)), timestamppb.New(s.clock.read())
	want := &pb.Principal{Name: "egi/alice", State: "active", Groups: []string{"group:egi/vo"}, GroupsTime: noted, HostsOwned: 2, HostsEdited: 3, TokenIds: ids}
	wantPrincipal := func(what string, got *pb.Principal, err error, want *pb.Principal) {
		t.Helper()
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v\nwant %v", what, got, err, want)
		}
	}
	got, err := s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{Name: "egi/alice"})
	wantPrincipal("to an operator", got, err, want)
	self := proto.CloneOf(want)
	self.GroupsTime = now
	for _, name := range []string{"", "egi/alice"} {
		got, err = s.people.GetPrincipal(alice, &pb.GetPrincipalRequest{Name: name})
		wantPrincipal("to themselves as \""+name+"\"", got, err, self)
	}
	token := proto.CloneOf(want)
	token.TokenIds = ids[1:]
	got, err = s.people.GetPrincipal(bearer(second), &pb.GetPrincipalRequest{})
	wantPrincipal("to a token", got, err, token)
	s.revoke(bob, maker)
	got, err = s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{Name: "group:egi/vo"})
	wantPrincipal("a group", got, err, &pb.Principal{Name: "group:egi/vo", State: "active", HostsEdited: 2})
	want.HostsEdited = 2
	got, err = s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{Name: "egi/alice"})
	wantPrincipal("without a share that has ended", got, err, want)
	if _, err := s.people.DisablePrincipal(s.admin(), &pb.DisablePrincipalRequest{Name: "egi/alice", Reason: "left"}); err != nil {
		t.Fatal(err)
	}
	want.State, want.Disabled = "disabled", &pb.Withdrawal{Reason: "left", Time: now}
	got, err = s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{Name: "egi/alice"})
	wantPrincipal("who is disabled", got, err, want)
	got, err = s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{Name: "group:egi/bad"})
	wantPrincipal("who is barred", got, err, &pb.Principal{Name: "group:egi/bad", State: "barred"})
	got, err = s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{Name: "egi/unheard-of"})
	wantPrincipal("of whom nothing is known", got, err, &pb.Principal{Name: "egi/unheard-of", State: "active"})
	code, said := s.rest(http.MethodGet, "/v1/principal?name=group:egi/operators", "")
	if code != 200 || said["operator"] != true || said["state"] != "active" {
		t.Errorf("over REST: %d %v", code, said)
	}
	for what, c := range map[string]struct {
		code codes.Code
		err  error
	}{
		"another":         {codes.PermissionDenied, last(s.people.GetPrincipal(bob, &pb.GetPrincipalRequest{Name: "egi/alice"}))},
		"a group of mine": {codes.PermissionDenied, last(s.people.GetPrincipal(person("egi/x", "group:egi/vo"), &pb.GetPrincipalRequest{Name: "group:egi/vo"}))},
		"no person":       {codes.FailedPrecondition, last(s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{}))},
		"no name":         {codes.InvalidArgument, last(s.people.GetPrincipal(s.admin(), &pb.GetPrincipalRequest{Name: "alice"}))},
		"a narrow token": {codes.PermissionDenied, last(s.people.GetPrincipal(
			bearer(s.tokenOf(bob, &pb.CreateTokenRequest{Zone: "vo.example.org"})), &pb.GetPrincipalRequest{}))},
	} {
		wantErr(t, c.err, c.code, "")
		if c.err == nil {
			t.Errorf("%s: yes", what)
		}
	}
}

func last(_ *pb.Principal, err error) error { return err }
