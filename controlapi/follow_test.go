package controlapi_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "signpost/proto/signpost/v1"
)

// follow has a host follow another, as somebody says.
func (s *server) follow(who context.Context, fqdn, main, v4, v6 string) (*pb.UpdateHostResponse, error) {
	return s.hosts.UpdateHost(who, &pb.UpdateHostRequest{Fqdn: fqdn, Follows: &pb.Following{Main: main, Ipv4: v4, Ipv6: v6}})
}

func (s *server) mustFollow(fqdn, main, v4, v6 string) {
	s.t.Helper()
	_, err := s.follow(s.admin(), fqdn, main, v4, v6)
	s.done(err)
}

func (s *server) get(fqdn string) *pb.Host {
	s.t.Helper()
	h, err := s.hosts.GetHost(s.admin(), &pb.GetHostRequest{Fqdn: fqdn})
	s.done(err)
	return h
}

func (s *server) has(fqdn, want string) {
	s.t.Helper()
	if got := strings.Join(s.get(fqdn).GetAddresses(), " "); got != want {
		s.t.Errorf("%s has %q, want %q", fqdn, got, want)
	}
}

const (
	router = "router.vo.example.org"
	nas    = "nas.vo.example.org"
	cam    = "cam.vo.example.org"
)

// home is a router that a NAS and a camera follow.
func home(t *testing.T) *server {
	s := start(t)
	s.zone("vo.example.org")
	s.host(router, "192.0.2.1", "2001:db8:1::1")
	s.host(nas)
	s.host(cam, "192.0.2.99", "2001:db8:9::9")
	s.mustFollow(nas, router, "same", "::1:2:3:4/64")
	s.mustFollow(cam, router, "", "::7/64")
	return s
}

func TestFollowersChangeWithTheirMainHostInOneChange(t *testing.T) {
	s := home(t)
	s.has(nas, "192.0.2.1 2001:db8:1:0:1:2:3:4")
	s.has(cam, "192.0.2.99 2001:db8:1::7")
	if h := s.get(router); fmt.Sprint(h.GetFollowers()) != "["+cam+" "+nas+"]" || h.GetFollows() != nil {
		t.Error(h)
	}
	if f := s.get(nas).GetFollows(); f.GetMain() != router || f.GetIpv4() != "same" || f.GetIpv6() != "::1:2:3:4/64" {
		t.Error(f)
	}
	out, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.2", "2001:db8:2::1"}})
	s.done(err)
	s.has(nas, "192.0.2.2 2001:db8:2:0:1:2:3:4")
	s.has(cam, "192.0.2.99 2001:db8:2::7")
	records := map[string]string{}
	audit, err := s.audits.ListAuditRecords(s.admin(), &pb.ListAuditRecordsRequest{})
	s.done(err)
	for _, a := range audit.GetRecords() {
		if a.GetRevision() == out.GetChange().GetRevision() {
			records[a.GetName()] = a.GetAction() + ": " + a.GetBefore() + " > " + a.GetAfter()
		}
	}
	if len(records) != 3 || records[nas] != "host.set-addresses: 192.0.2.1 2001:db8:1:0:1:2:3:4 > 192.0.2.2 2001:db8:2:0:1:2:3:4" {
		t.Errorf("in the revision of the change: %v", records)
	}
	for _, name := range []string{router, nas, cam} { // written in that revision, all of them
		if got, want := s.get(name).GetEtag(), out.GetHost().GetEtag(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	same, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.2", "2001:db8:2::1"}})
	if s.done(err); same.GetChange().GetChanged() {
		t.Error("the same is a change")
	}
	_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, ClearIpv6: true})
	s.done(err)
	s.has(nas, "192.0.2.2")
	s.has(cam, "192.0.2.99")
	_, err = s.points.RemoveEndpoint(s.admin(), &pb.RemoveEndpointRequest{Fqdn: router, Id: "main", ConfirmLast: true})
	s.done(err)
	s.has(nas, "")
	s.has(cam, "192.0.2.99")
}

func TestAFollowersOwnAddressesAreItsOthersAreNot(t *testing.T) {
	s := home(t)
	set := func(fqdn string, addrs ...string) error {
		_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: addrs})
		return err
	}
	err := set(cam, "2001:db8:9::9")
	wantErr(t, err, codes.FailedPrecondition, "addresses")
	if !strings.Contains(err.Error(), "it has its IPv6 addresses from "+router+", which it follows") {
		t.Error(err)
	}
	s.done(set(cam, "192.0.2.98"))
	s.done(set(cam, "192.0.2.97", "2001:db8:1::7")) // and what it has already
	wantErr(t, set(nas, "192.0.2.97"), codes.FailedPrecondition, "addresses")
	_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: nas, ClearIpv4: true})
	wantErr(t, err, codes.FailedPrecondition, "addresses")
	_, err = s.points.RemoveEndpoint(s.admin(), &pb.RemoveEndpointRequest{Fqdn: nas, Id: "main", ConfirmLast: true})
	wantErr(t, err, codes.FailedPrecondition, "addresses")
	s.has(cam, "192.0.2.97 2001:db8:1::7")
	s.done(set(router, "2001:db8:3::1"))
	s.has(cam, "192.0.2.97 2001:db8:3::7")
}

func TestWhatCannotBeFollowed(t *testing.T) {
	s := home(t)
	s.zone("other.example.net")
	s.host("x.other.example.net")
	s.host("alone.vo.example.org", "192.0.2.5")
	s.host("alias.vo.example.org")
	s.record("alias.vo.example.org", "CNAME", "www.example.net.")
	for _, tt := range []struct {
		says, fqdn, main, v4, v6 string
		code                     codes.Code
		field                    string
	}{
		{"itself", router, router, "", "", codes.InvalidArgument, "follows.main"},
		{"one that follows", "alone.vo.example.org", nas, "", "", codes.FailedPrecondition, "follows.main"},
		{"by one that is followed: a chain", router, "alone.vo.example.org", "", "", codes.FailedPrecondition, "follows.main"},
		{"by one that is followed: a loop", router, nas, "", "", codes.FailedPrecondition, "follows.main"},
		{"of another zone", "alone.vo.example.org", "x.other.example.net", "", "", codes.FailedPrecondition, "follows.main"},
		{"none", "alone.vo.example.org", "none.vo.example.org", "", "", codes.NotFound, ""},
		{"no name", "alone.vo.example.org", "a_b", "", "", codes.InvalidArgument, "follows.main"},
		{"no part of an address", "alone.vo.example.org", router, "", "2001:db8::7/64", codes.InvalidArgument, "follows.ipv6"},
		{"of the other family", "alone.vo.example.org", router, "::7/64", "", codes.InvalidArgument, "follows.ipv4"},
		{"how, and not whom", "alone.vo.example.org", "", "same", "", codes.InvalidArgument, "follows.main"},
		{"beside a CNAME", "alias.vo.example.org", router, "", "", codes.FailedPrecondition, "follows.main"},
	} {
		t.Run(tt.says, func(t *testing.T) {
			_, err := s.follow(s.admin(), tt.fqdn, tt.main, tt.v4, tt.v6)
			wantErr(t, err, tt.code, tt.field)
		})
	}
	s.has("alone.vo.example.org", "192.0.2.5")
	for _, rrtype := range []string{"CNAME"} { // which would keep the main host from changing
		_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, ClearIpv4: true, ClearIpv6: true})
		s.done(err)
		_, err = s.records.SetRecordSet(s.admin(), &pb.SetRecordSetRequest{Fqdn: nas, Type: rrtype, Rdata: []string{"www.example.net."}})
		wantErr(t, err, codes.FailedPrecondition, "type")
	}
	for i := range 18 {
		name := fmt.Sprintf("n%d.vo.example.org", i)
		s.host(name)
		s.mustFollow(name, router, "", "")
	}
	_, err := s.follow(s.admin(), "alone.vo.example.org", router, "", "")
	wantErr(t, err, codes.ResourceExhausted, "follows.main")
	_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.77"}}) // with all twenty
	s.done(err)
	s.has("n17.vo.example.org", "192.0.2.77")
}

// However little of an address is the main host's, none comes of it that the zone does not allow.
func TestFollowersComeToHaveNoAddressThatTheZoneDoesNotAllow(t *testing.T) {
	s := home(t)
	s.mustFollow(cam, router, "127.0.0.1/1", "")
	s.has(cam, "255.0.0.1 2001:db8:1::7")
	_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"9.0.2.1"}})
	wantErr(t, err, codes.FailedPrecondition, "addresses")
	if err == nil || !strings.Contains(err.Error(), cam+" follows it, and would have 127.0.0.1: it is a loopback") {
		t.Error(err)
	}
	s.has(router, "192.0.2.1 2001:db8:1::1")
	_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"10.0.0.1"}})
	wantErr(t, err, codes.FailedPrecondition, "addresses")
	s.mustFollow(cam, router, "same", "")
	_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"10.0.0.1"}})
	s.done(err)
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{PrivateAddresses: new(false)}) // they stay
	_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"2001:db8:4::1"}})
	s.done(err)
	s.has(cam, "10.0.0.1 2001:db8:1::7")
	s.has(nas, "10.0.0.1 2001:db8:4:0:1:2:3:4")
}

// Promise 8: no one changes what is not theirs.
func TestWhoMayLetAHostFollow(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Admins: &pb.Words{Values: []string{"group:egi/admins"}}})
	alice, bob := person("egi/alice"), person("egi/bob")
	s.hostOf(alice, router, "192.0.2.1")
	s.hostOf(alice, nas)
	s.hostOf(bob, cam, "192.0.2.9")
	_, err := s.follow(alice, cam, router, "", "")
	wantErr(t, err, codes.NotFound, "")
	_, err = s.follow(bob, cam, router, "", "")
	wantErr(t, err, codes.NotFound, "")
	_, err = s.hosts.ShareHost(bob, &pb.ShareHostRequest{Fqdn: cam, Add: []string{"egi/alice"}})
	s.done(err)
	_, err = s.follow(alice, cam, router, "", "") // who edits both
	s.done(err)
	_, err = s.follow(alice, nas, router, "", "")
	s.done(err)
	s.has(cam, "192.0.2.1")
	narrow := s.tokenOf(alice, &pb.CreateTokenRequest{Host: nas})
	_, err = s.follow(bearer(narrow), nas, router, "", "same")
	wantErr(t, err, codes.PermissionDenied, "")
	_, err = s.follow(bob, cam, "", "", "") // its owner ends it
	s.done(err)
	s.has(cam, "192.0.2.1")
	if f := s.get(router).GetFollowers(); len(f) != 1 || f[0] != nas {
		t.Error(f)
	}
	_, err = s.follow(person("egi/zoe", "group:egi/admins"), cam, router, "", "")
	s.done(err)
}

func TestWhatEndsAndWhatOutlivesFollowing(t *testing.T) {
	s := home(t)
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Quarantine: new(uint32(0))})
	alice, bob := person("egi/alice"), person("egi/bob")
	moved := func(addrs ...string) {
		t.Helper()
		_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: addrs})
		s.done(err)
	}
	// Disabled or blocked it is not answered, and keeps step.
	_, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: nas, Reason: "phishing"})
	s.done(err)
	moved("192.0.2.3", "2001:db8:3::1")
	_, err = s.hosts.UnblockHost(s.admin(), &pb.UnblockHostRequest{Fqdn: nas})
	s.done(err)
	s.has(nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	// A blocked main host holds them where they are.
	_, err = s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: router, Reason: "phishing"})
	s.done(err)
	s.has(nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	_, err = s.hosts.UnblockHost(s.admin(), &pb.UnblockHostRequest{Fqdn: router})
	s.done(err)
	// Deleted, the main host leaves them where they are, and their own.
	del, err := s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: router})
	s.done(err)
	s.has(nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	if h := s.get(nas); h.GetFollows() != nil || h.GetEtag() != fmt.Sprintf("%q", fmt.Sprintf("%x", del.GetChange().GetRevision())) {
		t.Error(h)
	}
	s.hostOf(bob, "mallory.vo.example.org")
	s.host(router, "192.0.2.66") // another of that name leads nobody
	moved("192.0.2.67")
	s.has(nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	// A follower that is deleted is on no list.
	s.mustFollow(nas, router, "", "")
	_, err = s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: nas})
	s.done(err)
	if f := s.get(router).GetFollowers(); len(f) != 0 {
		t.Error(f)
	}
	// Handed over, either ends it.
	for _, given := range []string{"m.vo.example.org", "f.vo.example.org"} {
		s.hostOf(alice, "m.vo.example.org", "192.0.2.10")
		s.hostOf(alice, "f.vo.example.org")
		_, err = s.follow(alice, "f.vo.example.org", "m.vo.example.org", "", "")
		s.done(err)
		_, err = s.hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: given, To: "egi/bob"})
		s.done(err)
		_, err = s.hosts.AcceptHost(bob, &pb.AcceptHostRequest{Fqdn: given})
		s.done(err)
		if m, f := s.get("m.vo.example.org"), s.get("f.vo.example.org"); len(m.GetFollowers()) != 0 || f.GetFollows() != nil {
			t.Error(m, f)
		}
		s.has("f.vo.example.org", "192.0.2.10")
		for _, name := range []string{"m.vo.example.org", "f.vo.example.org"} {
			_, err = s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: name})
			s.done(err)
		}
	}
	// All of somebody's hosts given to another, it goes on between them, and ends with others'.
	s.hostOf(alice, "m1.vo.example.org", "192.0.2.10")
	s.hostOf(alice, "f1.vo.example.org")
	s.hostOf(bob, "f2.vo.example.org")
	s.mustFollow("f1.vo.example.org", "m1.vo.example.org", "", "")
	s.mustFollow("f2.vo.example.org", "m1.vo.example.org", "", "")
	_, err = s.people.TransferPrincipal(s.admin(), &pb.TransferPrincipalRequest{Name: "egi/alice", To: "egi/carol"})
	s.done(err)
	if m := s.get("m1.vo.example.org"); fmt.Sprint(m.GetFollowers()) != "[f1.vo.example.org]" || m.GetOwner() != "egi/carol" {
		t.Error(m)
	}
	if f := s.get("f1.vo.example.org"); f.GetFollows().GetMain() != "m1.vo.example.org" || f.GetOwner() != "egi/carol" {
		t.Error(f)
	}
	if f := s.get("f2.vo.example.org"); f.GetFollows() != nil || f.GetOwner() != "egi/bob" {
		t.Error(f)
	}
}

// In a zone with a lease who sets the addresses of a main host refreshes those who follow.
func TestFollowersAreRefreshedWithTheirMainHost(t *testing.T) {
	s := home(t)
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(3600))})
	for range 4 {
		s.clock.add(30 * time.Minute)
		_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.1"}})
		s.done(err)
		_, _, err = s.endLeases()
		s.done(err)
	}
	if h := s.get(nas); h.GetLapsed() != nil {
		t.Error(h)
	}
	s.clock.add(2 * time.Hour)
	if n, _, err := s.endLeases(); n < 3 || err != nil {
		t.Fatal(n, err)
	}
	_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.2"}})
	s.done(err)
	if h := s.get(nas); h.GetLapsed() != nil || h.GetAddresses()[0] != "192.0.2.2" {
		t.Error(h)
	}
}
