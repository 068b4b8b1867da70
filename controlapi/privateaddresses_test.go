package controlapi_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	pb "signpost/proto/signpost/v1"
)

// Every way in which an address is set, in a zone that forbids private ones.
func TestPrivateAddressesAreAcceptedUnlessTheZoneForbidsThem(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	secret := s.host("www.vo.example.org", "192.0.2.1")
	s.host("before.vo.example.org", "10.0.0.1", "fd00::1", "100.64.0.1")
	s.endpoint("www.vo.example.org", "a", "10.0.0.2")
	own := s.endpointSecret("www.vo.example.org", "a")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{PrivateAddresses: new(false)})
	if z, err := s.zones.GetZone(s.admin(), &pb.GetZoneRequest{Name: "vo.example.org"}); err != nil || z.GetPolicy().GetPrivateAddresses() {
		t.Fatal(z, err)
	}
	for _, private := range []string{"10.1.2.3", "172.16.0.1", "192.168.1.1", "100.127.255.254", "fd12::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::10.1.2.3", "2002:a01:203::1"} {
		one := []string{private}
		_, err := s.hosts.CreateHost(s.admin(), &pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: one})
		wantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: one})
		wantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.hosts.SetAddresses(as("www.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: one})
		wantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.points.SetEndpoint(s.admin(), &pb.SetEndpointRequest{Fqdn: "www.vo.example.org", Id: "b", Addresses: one})
		wantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.points.SetEndpointAddresses(as("www.vo.example.org/a", own), &pb.SetEndpointAddressesRequest{Fqdn: "www.vo.example.org", Id: "a", Addresses: one})
		wantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.health.SetPolicy(s.admin(), &pb.SetPolicyRequest{Fqdn: "www.vo.example.org", Kind: "failover", Fallback: one})
		wantErr(t, err, codes.InvalidArgument, "fallback[0]")
	}
	for rrtype, private := range map[string]string{"A": "10.1.2.3", "AAAA": "fd12::1"} {
		_, err := s.records.SetRecordSet(s.admin(), &pb.SetRecordSetRequest{Fqdn: "x.www.vo.example.org", Type: rrtype, Rdata: []string{private}})
		wantErr(t, err, codes.InvalidArgument, "rdata")
		s.record("nobodys.vo.example.org", rrtype, private) // administrators' own
	}
	for rrtype, rdata := range map[string]string{"HTTPS": `1 . ipv4hint="192.0.2.1,10.1.2.3"`, "SVCB": `1 . ipv6hint="fd12::1"`} {
		_, err := s.records.SetRecordSet(s.admin(), &pb.SetRecordSetRequest{Fqdn: "x.www.vo.example.org", Type: rrtype, Rdata: []string{rdata}})
		wantErr(t, err, codes.InvalidArgument, "rdata")
	}
	for _, public := range []string{"9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.1", "192.167.0.1", "100.63.255.255", "100.128.0.0", "fe00::1", "2001:db8::1"} {
		_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{public}})
		s.done(err)
	}
	// What was there stays, also when the other family is set.
	_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "before.vo.example.org", Addresses: []string{"2001:db8::5"}})
	s.done(err)
	if got, want := s.sets("before.vo.example.org"), "A 60 10.0.0.1 100.64.0.1\nAAAA 60 2001:db8::5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{PrivateAddresses: new(true)})
	s.host("y.vo.example.org", "10.0.0.1", "fd00::1", "100.64.0.1")
}
