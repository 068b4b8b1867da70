package hosts_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// follow has a host follow another, as somebody says.
func follow(s *controltest.Server, who context.Context, fqdn, main, v4, v6 string) (*pb.UpdateHostResponse, error) {
	return s.Hosts.UpdateHost(who, &pb.UpdateHostRequest{Fqdn: fqdn, Follows: &pb.Following{Main: main, Ipv4: v4, Ipv6: v6}})
}

func mustFollow(s *controltest.Server, fqdn, main, v4, v6 string) {
	s.T.Helper()
	_, err := follow(s, s.Admin(), fqdn, main, v4, v6)
	s.Done(err)
}

func get(s *controltest.Server, fqdn string) *pb.Host {
	s.T.Helper()
	h, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: fqdn})
	s.Done(err)
	return h
}

func has(s *controltest.Server, fqdn, want string) {
	s.T.Helper()
	if got := strings.Join(get(s, fqdn).GetAddresses(), " "); got != want {
		s.T.Errorf("%s has %q, want %q", fqdn, got, want)
	}
}

const (
	router = "router.vo.example.org"
	nas    = "nas.vo.example.org"
	cam    = "cam.vo.example.org"
)

// home is a router that a NAS and a camera follow.
func home(t *testing.T) *controltest.Server {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host(router, "192.0.2.1", "2001:db8:1::1")
	s.Host(nas)
	s.Host(cam, "192.0.2.99", "2001:db8:9::9")
	mustFollow(s, nas, router, "same", "::1:2:3:4/64")
	mustFollow(s, cam, router, "", "::7/64")
	return s
}

func TestFollowersChangeWithTheirMainHostInOneChange(t *testing.T) {
	s := home(t)
	has(s, nas, "192.0.2.1 2001:db8:1:0:1:2:3:4")
	has(s, cam, "192.0.2.99 2001:db8:1::7")
	if h := get(s, router); fmt.Sprint(h.GetFollowers()) != "["+cam+" "+nas+"]" || h.GetFollows() != nil {
		t.Error(h)
	}
	if f := get(s, nas).GetFollows(); f.GetMain() != router || f.GetIpv4() != "same" || f.GetIpv6() != "::1:2:3:4/64" {
		t.Error(f)
	}
	out, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.2", "2001:db8:2::1"}})
	s.Done(err)
	has(s, nas, "192.0.2.2 2001:db8:2:0:1:2:3:4")
	has(s, cam, "192.0.2.99 2001:db8:2::7")
	records := map[string]string{}
	audit, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{})
	s.Done(err)
	for _, a := range audit.GetRecords() {
		if a.GetRevision() == out.GetChange().GetRevision() {
			records[a.GetName()] = a.GetAction() + ": " + a.GetBefore() + " > " + a.GetAfter()
		}
	}
	if len(records) != 3 || records[nas] != "host.set-addresses: 192.0.2.1 2001:db8:1:0:1:2:3:4 > 192.0.2.2 2001:db8:2:0:1:2:3:4" {
		t.Errorf("in the revision of the change: %v", records)
	}
	for _, name := range []string{router, nas, cam} { // written in that revision, all of them
		if got, want := get(s, name).GetEtag(), out.GetHost().GetEtag(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	same, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.2", "2001:db8:2::1"}})
	if s.Done(err); same.GetChange().GetChanged() {
		t.Error("the same is a change")
	}
	_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, ClearIpv6: true})
	s.Done(err)
	has(s, nas, "192.0.2.2")
	has(s, cam, "192.0.2.99")
	_, err = s.Points.RemoveEndpoint(s.Admin(), &pb.RemoveEndpointRequest{Fqdn: router, Id: "main", ConfirmLast: true})
	s.Done(err)
	has(s, nas, "")
	has(s, cam, "192.0.2.99")
}

func TestAFollowersOwnAddressesAreItsOthersAreNot(t *testing.T) {
	s := home(t)
	set := func(fqdn string, addrs ...string) error {
		_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: fqdn, Addresses: addrs})
		return err
	}
	err := set(cam, "2001:db8:9::9")
	controltest.WantErr(t, err, codes.FailedPrecondition, "addresses")
	if !strings.Contains(err.Error(), "it has its IPv6 addresses from "+router+", which it follows") {
		t.Error(err)
	}
	s.Done(set(cam, "192.0.2.98"))
	s.Done(set(cam, "192.0.2.97", "2001:db8:1::7")) // and what it has already
	controltest.WantErr(t, set(nas, "192.0.2.97"), codes.FailedPrecondition, "addresses")
	_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: nas, ClearIpv4: true})
	controltest.WantErr(t, err, codes.FailedPrecondition, "addresses")
	_, err = s.Points.RemoveEndpoint(s.Admin(), &pb.RemoveEndpointRequest{Fqdn: nas, Id: "main", ConfirmLast: true})
	controltest.WantErr(t, err, codes.FailedPrecondition, "addresses")
	has(s, cam, "192.0.2.97 2001:db8:1::7")
	s.Done(set(router, "2001:db8:3::1"))
	has(s, cam, "192.0.2.97 2001:db8:3::7")
}

func TestWhatCannotBeFollowed(t *testing.T) {
	s := home(t)
	s.Zone("other.example.net")
	s.Host("x.other.example.net")
	s.Host("alone.vo.example.org", "192.0.2.5")
	s.Host("alias.vo.example.org")
	s.Record("alias.vo.example.org", "CNAME", "www.example.net.")
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
			_, err := follow(s, s.Admin(), tt.fqdn, tt.main, tt.v4, tt.v6)
			controltest.WantErr(t, err, tt.code, tt.field)
		})
	}
	has(s, "alone.vo.example.org", "192.0.2.5")
	for _, rrtype := range []string{"CNAME"} { // which would keep the main host from changing
		_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, ClearIpv4: true, ClearIpv6: true})
		s.Done(err)
		_, err = s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: nas, Type: rrtype, Rdata: []string{"www.example.net."}})
		controltest.WantErr(t, err, codes.FailedPrecondition, "type")
	}
	for i := range 18 {
		name := fmt.Sprintf("n%d.vo.example.org", i)
		s.Host(name)
		mustFollow(s, name, router, "", "")
	}
	_, err := follow(s, s.Admin(), "alone.vo.example.org", router, "", "")
	controltest.WantErr(t, err, codes.ResourceExhausted, "follows.main")
	_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.77"}}) // with all twenty
	s.Done(err)
	has(s, "n17.vo.example.org", "192.0.2.77")
}

// However little of an address is the main host's, none comes of it that the zone does not allow.
func TestFollowersComeToHaveNoAddressThatTheZoneDoesNotAllow(t *testing.T) {
	s := home(t)
	mustFollow(s, cam, router, "127.0.0.1/1", "")
	has(s, cam, "255.0.0.1 2001:db8:1::7")
	_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"9.0.2.1"}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "addresses")
	if err == nil || !strings.Contains(err.Error(), cam+" follows it, and would have 127.0.0.1: it is a loopback") {
		t.Error(err)
	}
	has(s, router, "192.0.2.1 2001:db8:1::1")
	_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"10.0.0.1"}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "addresses")
	mustFollow(s, cam, router, "same", "")
	_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"10.0.0.1"}})
	s.Done(err)
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{PrivateAddresses: new(false)}) // they stay
	_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"2001:db8:4::1"}})
	s.Done(err)
	has(s, cam, "10.0.0.1 2001:db8:1::7")
	has(s, nas, "10.0.0.1 2001:db8:4:0:1:2:3:4")
}

// Promise 8: no one changes what is not theirs.
func TestWhoMayLetAHostFollow(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Admins: &pb.Words{Values: []string{"group:egi/admins"}}})
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	s.HostOf(alice, router, "192.0.2.1")
	s.HostOf(alice, nas)
	s.HostOf(bob, cam, "192.0.2.9")
	_, err := follow(s, alice, cam, router, "", "")
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = follow(s, bob, cam, router, "", "")
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = s.Hosts.ShareHost(bob, &pb.ShareHostRequest{Fqdn: cam, Add: []string{"egi/alice"}})
	s.Done(err)
	_, err = follow(s, alice, cam, router, "", "") // who edits both
	s.Done(err)
	_, err = follow(s, alice, nas, router, "", "")
	s.Done(err)
	has(s, cam, "192.0.2.1")
	narrow := s.TokenOf(alice, &pb.CreateTokenRequest{Host: nas})
	_, err = follow(s, controltest.Bearer(narrow), nas, router, "", "same")
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = follow(s, bob, cam, "", "", "") // its owner ends it
	s.Done(err)
	has(s, cam, "192.0.2.1")
	if f := get(s, router).GetFollowers(); len(f) != 1 || f[0] != nas {
		t.Error(f)
	}
	_, err = follow(s, controltest.Person("egi/zoe", "group:egi/admins"), cam, router, "", "")
	s.Done(err)
}

func TestWhatEndsAndWhatOutlivesFollowing(t *testing.T) {
	s := home(t)
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), Quarantine: new(uint32(0))})
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	moved := func(addrs ...string) {
		t.Helper()
		_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: addrs})
		s.Done(err)
	}
	// Disabled or blocked it is not answered, and keeps step.
	_, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: nas, Reason: "phishing"})
	s.Done(err)
	moved("192.0.2.3", "2001:db8:3::1")
	_, err = s.Hosts.UnblockHost(s.Admin(), &pb.UnblockHostRequest{Fqdn: nas})
	s.Done(err)
	has(s, nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	// A blocked main host holds them where they are.
	_, err = s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: router, Reason: "phishing"})
	s.Done(err)
	has(s, nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	_, err = s.Hosts.UnblockHost(s.Admin(), &pb.UnblockHostRequest{Fqdn: router})
	s.Done(err)
	// Deleted, the main host leaves them where they are, and their own.
	del, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: router})
	s.Done(err)
	has(s, nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	if h := get(s, nas); h.GetFollows() != nil || h.GetEtag() != fmt.Sprintf("%q", fmt.Sprintf("%x", del.GetChange().GetRevision())) {
		t.Error(h)
	}
	s.HostOf(bob, "mallory.vo.example.org")
	s.Host(router, "192.0.2.66") // another of that name leads nobody
	moved("192.0.2.67")
	has(s, nas, "192.0.2.3 2001:db8:3:0:1:2:3:4")
	// A follower that is deleted is on no list.
	mustFollow(s, nas, router, "", "")
	_, err = s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: nas})
	s.Done(err)
	if f := get(s, router).GetFollowers(); len(f) != 0 {
		t.Error(f)
	}
	// Handed over, either ends it.
	for _, given := range []string{"m.vo.example.org", "f.vo.example.org"} {
		s.HostOf(alice, "m.vo.example.org", "192.0.2.10")
		s.HostOf(alice, "f.vo.example.org")
		_, err = follow(s, alice, "f.vo.example.org", "m.vo.example.org", "", "")
		s.Done(err)
		_, err = s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: given, To: "egi/bob"})
		s.Done(err)
		_, err = s.Hosts.AcceptHost(bob, &pb.AcceptHostRequest{Fqdn: given})
		s.Done(err)
		if m, f := get(s, "m.vo.example.org"), get(s, "f.vo.example.org"); len(m.GetFollowers()) != 0 || f.GetFollows() != nil {
			t.Error(m, f)
		}
		has(s, "f.vo.example.org", "192.0.2.10")
		for _, name := range []string{"m.vo.example.org", "f.vo.example.org"} {
			_, err = s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: name})
			s.Done(err)
		}
	}
	// All of somebody's hosts given to another, it goes on between them, and ends with others'.
	s.HostOf(alice, "m1.vo.example.org", "192.0.2.10")
	s.HostOf(alice, "f1.vo.example.org")
	s.HostOf(bob, "f2.vo.example.org")
	mustFollow(s, "f1.vo.example.org", "m1.vo.example.org", "", "")
	mustFollow(s, "f2.vo.example.org", "m1.vo.example.org", "", "")
	_, err = s.People.TransferPrincipal(s.Admin(), &pb.TransferPrincipalRequest{Name: "egi/alice", To: "egi/carol"})
	s.Done(err)
	if m := get(s, "m1.vo.example.org"); fmt.Sprint(m.GetFollowers()) != "[f1.vo.example.org]" || m.GetOwner() != "egi/carol" {
		t.Error(m)
	}
	if f := get(s, "f1.vo.example.org"); f.GetFollows().GetMain() != "m1.vo.example.org" || f.GetOwner() != "egi/carol" {
		t.Error(f)
	}
	if f := get(s, "f2.vo.example.org"); f.GetFollows() != nil || f.GetOwner() != "egi/bob" {
		t.Error(f)
	}
}

// In a zone with a lease who sets the addresses of a main host refreshes those who follow.
func TestFollowersAreRefreshedWithTheirMainHost(t *testing.T) {
	s := home(t)
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(3600))})
	for range 4 {
		s.Clock.Add(30 * time.Minute)
		_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.1"}})
		s.Done(err)
		_, _, err = endLeases(s)
		s.Done(err)
	}
	if h := get(s, nas); h.GetLapsed() != nil {
		t.Error(h)
	}
	s.Clock.Add(2 * time.Hour)
	if n, _, err := endLeases(s); n < 3 || err != nil {
		t.Fatal(n, err)
	}
	_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: router, Addresses: []string{"192.0.2.2"}})
	s.Done(err)
	if h := get(s, nas); h.GetLapsed() != nil || h.GetAddresses()[0] != "192.0.2.2" {
		t.Error(h)
	}
}
