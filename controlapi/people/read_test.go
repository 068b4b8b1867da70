package people_test

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// What is told of a person, to operators and to themselves; a token is told no more than
// it may know.
func TestAPersonIsShown(t *testing.T) {
	s := controltest.Start(t, func(c *controlapi.Config) { c.Barred.Principals = []model.PrincipalName{"group:egi/bad"} })
	s.Open("vo.example.org")
	s.Open("gone.example.org")
	alice, bob := controltest.Person("egi/alice", "group:egi/vo"), controltest.Person("egi/bob")
	for _, fqdn := range []string{"a.vo.example.org", "b.vo.example.org", "a.gone.example.org"} {
		s.HostOf(alice, fqdn)
	}
	share := func(fqdn string, with ...string) {
		t.Helper()
		if _, err := s.Hosts.ShareHost(bob, &pb.ShareHostRequest{Fqdn: fqdn, Add: with}); err != nil {
			t.Fatal(err)
		}
	}
	for fqdn, with := range map[string][]string{
		"c.vo.example.org": {"egi/alice", "group:egi/vo"}, "d.vo.example.org": {"group:egi/vo"}, "e.vo.example.org": {"egi/carol"},
	} {
		s.HostOf(bob, fqdn)
		share(fqdn, with...)
	}
	maker := s.TokenOf(bob, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	if _, err := s.Hosts.ShareHost(controltest.Bearer(maker), &pb.ShareHostRequest{Fqdn: "e.vo.example.org", Add: []string{"egi/alice"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "gone.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	first := s.TokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	second := s.TokenOf(controltest.Bearer(first), &pb.CreateTokenRequest{})
	over := s.TokenOf(alice, &pb.CreateTokenRequest{})
	s.Revoke(alice, over)
	ids := []string{s.TokenSelf(first).Id, s.TokenSelf(second).Id}
	s.Clock.Add(time.Hour)
	noted, now := timestamppb.New(s.Clock.Read().Add(-time.Hour)), timestamppb.New(s.Clock.Read())
	want := &pb.Principal{Name: "egi/alice", State: "active", Groups: []string{"group:egi/vo"}, GroupsTime: noted, HostsOwned: 2, HostsEdited: 3, TokenIds: ids}
	wantPrincipal := func(what string, got *pb.Principal, err error, want *pb.Principal) {
		t.Helper()
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: %v, %v\nwant %v", what, got, err, want)
		}
	}
	got, err := s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{Name: "egi/alice"})
	wantPrincipal("to an operator", got, err, want)
	self := proto.CloneOf(want)
	self.GroupsTime = now
	for _, name := range []string{"", "egi/alice"} {
		got, err = s.People.GetPrincipal(alice, &pb.GetPrincipalRequest{Name: name})
		wantPrincipal("to themselves as \""+name+"\"", got, err, self)
	}
	token := proto.CloneOf(want)
	token.TokenIds = ids[1:]
	got, err = s.People.GetPrincipal(controltest.Bearer(second), &pb.GetPrincipalRequest{})
	wantPrincipal("to a token", got, err, token)
	s.Revoke(bob, maker)
	got, err = s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{Name: "group:egi/vo"})
	wantPrincipal("a group", got, err, &pb.Principal{Name: "group:egi/vo", State: "active", HostsEdited: 2})
	want.HostsEdited = 2
	got, err = s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{Name: "egi/alice"})
	wantPrincipal("without a share that has ended", got, err, want)
	if _, err := s.People.DisablePrincipal(s.Admin(), &pb.DisablePrincipalRequest{Name: "egi/alice", Reason: "left"}); err != nil {
		t.Fatal(err)
	}
	want.State, want.Disabled = "disabled", &pb.Withdrawal{Reason: "left", Time: now}
	got, err = s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{Name: "egi/alice"})
	wantPrincipal("who is disabled", got, err, want)
	got, err = s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{Name: "group:egi/bad"})
	wantPrincipal("who is barred", got, err, &pb.Principal{Name: "group:egi/bad", State: "barred"})
	got, err = s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{Name: "egi/unheard-of"})
	wantPrincipal("of whom nothing is known", got, err, &pb.Principal{Name: "egi/unheard-of", State: "active"})
	code, said := s.Rest(http.MethodGet, "/v1/principal?name=group:egi/operators", "")
	if code != 200 || said["operator"] != true || said["state"] != "active" {
		t.Errorf("over REST: %d %v", code, said)
	}
	for what, c := range map[string]struct {
		code codes.Code
		err  error
	}{
		"another":         {codes.PermissionDenied, last(s.People.GetPrincipal(bob, &pb.GetPrincipalRequest{Name: "egi/alice"}))},
		"a group of mine": {codes.PermissionDenied, last(s.People.GetPrincipal(controltest.Person("egi/x", "group:egi/vo"), &pb.GetPrincipalRequest{Name: "group:egi/vo"}))},
		"no person":       {codes.FailedPrecondition, last(s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{}))},
		"no name":         {codes.InvalidArgument, last(s.People.GetPrincipal(s.Admin(), &pb.GetPrincipalRequest{Name: "alice"}))},
		"a narrow token": {codes.PermissionDenied, last(s.People.GetPrincipal(
			controltest.Bearer(s.TokenOf(bob, &pb.CreateTokenRequest{Zone: "vo.example.org"})), &pb.GetPrincipalRequest{}))},
	} {
		controltest.WantErr(t, c.err, c.code, "")
		if c.err == nil {
			t.Errorf("%s: yes", what)
		}
	}
}

func last(_ *pb.Principal, err error) error { return err }
