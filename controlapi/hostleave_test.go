package controlapi_test

import (
	"context"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "signpost/proto/signpost/v1"
)

// An editor takes themselves out and nobody else; whom a group makes one stays.
func TestAnEditorLeaves(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	const fqdn = "app.vo.example.org"
	alice, bob := person("egi/alice"), person("egi/bob", "group:egi/ops")
	secret := s.hostOf(alice, fqdn)
	share := func(in *pb.ShareHostRequest) {
		t.Helper()
		in.Fqdn = fqdn
		if _, err := s.hosts.ShareHost(alice, in); err != nil {
			t.Fatal(err)
		}
	}
	leave := func(who context.Context) error {
		_, err := s.hosts.LeaveHost(who, &pb.LeaveHostRequest{Fqdn: fqdn})
		return err
	}
	editors := func(want ...string) {
		t.Helper()
		h, err := s.hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: fqdn})
		if err != nil || !slices.Equal(h.Editors, want) {
			t.Errorf("%v, %v, want %v", h.GetEditors(), err, want)
		}
	}
	share(&pb.ShareHostRequest{Add: []string{"egi/carol", "egi/bob", "group:egi/ops"}})
	carol := person("egi/carol")
	token := s.tokenOf(carol, &pb.CreateTokenRequest{Host: "other.vo.example.org"})
	wantErr(t, leave(bearer(token)), codes.PermissionDenied, "")
	for range 2 { // the second is the same call again
		out, err := s.hosts.LeaveHost(metadata.AppendToOutgoingContext(carol, "request-id", "leave"), &pb.LeaveHostRequest{Fqdn: fqdn})
		if err != nil || !out.Change.Changed {
			t.Errorf("%v, %v", out, err)
		}
	}
	editors("egi/bob", "group:egi/ops")
	wantErr(t, leave(carol), codes.NotFound, "")
	wantErr(t, s.updateAs(carol, fqdn, "192.0.2.1"), codes.NotFound, "")
	if err := leave(bob); err != nil {
		t.Error(err)
	}
	editors("group:egi/ops")
	wantErr(t, leave(bob), codes.FailedPrecondition, "fqdn") // the group's is not theirs to take away
	if err := s.updateAs(bob, fqdn, "192.0.2.2"); err != nil {
		t.Error(err)
	}
	for what, who := range map[string]context.Context{"its owner": alice, "its secret": as(fqdn, secret), "the zone's administrator": person("egi/zoe")} {
		wantErr(t, leave(who), codes.PermissionDenied, "")
		if leave(who) == nil {
			t.Error(what)
		}
	}
	wantErr(t, leave(s.admin()), codes.FailedPrecondition, "fqdn")
	editors("group:egi/ops")

	// What a token shared ends with it; who has left is not an editor again.
	maker := s.tokenOf(alice, &pb.CreateTokenRequest{Actions: []string{"*", "grant"}})
	if _, err := s.hosts.ShareHost(bearer(maker), &pb.ShareHostRequest{Fqdn: fqdn, Add: []string{"egi/dora"}}); err != nil {
		t.Fatal(err)
	}
	if err := leave(person("egi/dora")); err != nil {
		t.Error(err)
	}
	share(&pb.ShareHostRequest{Add: []string{"egi/dora"}})
	s.revoke(alice, maker)
	editors("group:egi/ops", "egi/dora")

	if _, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: fqdn, Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, leave(person("egi/dora")), codes.PermissionDenied, "")
}
