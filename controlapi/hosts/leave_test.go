package hosts_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// An editor takes themselves out and nobody else; whom a group makes one stays.
func TestAnEditorLeaves(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	const fqdn = "app.vo.example.org"
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob", "group:egi/ops")
	secret := s.HostOf(alice, fqdn)
	share := func(in *pb.ShareHostRequest) {
		t.Helper()
		in.Fqdn = fqdn
		if _, err := s.Hosts.ShareHost(alice, in); err != nil {
			t.Fatal(err)
		}
	}
	leave := func(who context.Context) error {
		_, err := s.Hosts.LeaveHost(who, &pb.LeaveHostRequest{Fqdn: fqdn})
		return err
	}
	editors := func(want ...string) {
		t.Helper()
		h, err := s.Hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: fqdn})
		if err != nil || !slices.Equal(h.Editors, want) {
			t.Errorf("%v, %v, want %v", h.GetEditors(), err, want)
		}
	}
	share(&pb.ShareHostRequest{Add: []string{"egi/carol", "egi/bob", "group:egi/ops"}})
	carol := controltest.Person("egi/carol")
	token := s.TokenOf(carol, &pb.CreateTokenRequest{Host: "other.vo.example.org"})
	controltest.WantErr(t, leave(controltest.Bearer(token)), codes.PermissionDenied, "")
	for range 2 { // the second is the same call again
		out, err := s.Hosts.LeaveHost(metadata.AppendToOutgoingContext(carol, "request-id", "leave"), &pb.LeaveHostRequest{Fqdn: fqdn})
		if err != nil || !out.Change.Changed {
			t.Errorf("%v, %v", out, err)
		}
	}
	editors("egi/bob", "group:egi/ops")
	controltest.WantErr(t, leave(carol), codes.NotFound, "")
	controltest.WantErr(t, s.UpdateAs(carol, fqdn, "192.0.2.1"), codes.NotFound, "")
	if err := leave(bob); err != nil {
		t.Error(err)
	}
	editors("group:egi/ops")
	controltest.WantErr(t, leave(bob), codes.FailedPrecondition, "fqdn") // the group's is not theirs to take away
	if err := s.UpdateAs(bob, fqdn, "192.0.2.2"); err != nil {
		t.Error(err)
	}
	for what, who := range map[string]context.Context{"its owner": alice, "its secret": controltest.As(fqdn, secret), "the zone's administrator": controltest.Person("egi/zoe")} {
		controltest.WantErr(t, leave(who), codes.PermissionDenied, "")
		if leave(who) == nil {
			t.Error(what)
		}
	}
	controltest.WantErr(t, leave(s.Admin()), codes.FailedPrecondition, "fqdn")
	editors("group:egi/ops")

	// What a token shared ends with it; who has left is not an editor again.
	maker := s.TokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	if _, err := s.Hosts.ShareHost(controltest.Bearer(maker), &pb.ShareHostRequest{Fqdn: fqdn, Add: []string{"egi/dora"}}); err != nil {
		t.Fatal(err)
	}
	if err := leave(controltest.Person("egi/dora")); err != nil {
		t.Error(err)
	}
	share(&pb.ShareHostRequest{Add: []string{"egi/dora"}})
	s.Revoke(alice, maker)
	editors("group:egi/ops", "egi/dora")

	if _, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: fqdn, Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	controltest.WantErr(t, leave(controltest.Person("egi/dora")), codes.PermissionDenied, "")
}
