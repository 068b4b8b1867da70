package hosts_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Every way in which an address is set, in a zone that forbids private ones.
func TestPrivateAddressesAreAcceptedUnlessTheZoneForbidsThem(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	s.Host("before.vo.example.org", "10.0.0.1", "fd00::1", "100.64.0.1")
	s.Endpoint("www.vo.example.org", "a", "10.0.0.2")
	own := s.EndpointSecret("www.vo.example.org", "a")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{PrivateAddresses: new(false)})
	if z, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"}); err != nil || z.GetPolicy().GetPrivateAddresses() {
		t.Fatal(z, err)
	}
	for _, private := range []string{"10.1.2.3", "172.16.0.1", "192.168.1.1", "100.127.255.254", "fd12::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::10.1.2.3", "2002:a01:203::1"} {
		one := []string{private}
		_, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: one})
		controltest.WantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: one})
		controltest.WantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.Hosts.SetAddresses(controltest.As("www.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: one})
		controltest.WantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.Points.SetEndpoint(s.Admin(), &pb.SetEndpointRequest{Fqdn: "www.vo.example.org", Id: "b", Addresses: one})
		controltest.WantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.Points.SetEndpointAddresses(controltest.As("www.vo.example.org/a", own), &pb.SetEndpointAddressesRequest{Fqdn: "www.vo.example.org", Id: "a", Addresses: one})
		controltest.WantErr(t, err, codes.InvalidArgument, "addresses[0]")
		_, err = s.Health.SetPolicy(s.Admin(), &pb.SetPolicyRequest{Fqdn: "www.vo.example.org", Kind: "failover", Fallback: one})
		controltest.WantErr(t, err, codes.InvalidArgument, "fallback[0]")
	}
	for rrtype, private := range map[string]string{"A": "10.1.2.3", "AAAA": "fd12::1"} {
		_, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "x.www.vo.example.org", Type: rrtype, Rdata: []string{private}})
		controltest.WantErr(t, err, codes.InvalidArgument, "rdata")
		s.Record("nobodys.vo.example.org", rrtype, private) // administrators' own
	}
	for rrtype, rdata := range map[string]string{"HTTPS": `1 . ipv4hint="192.0.2.1,10.1.2.3"`, "SVCB": `1 . ipv6hint="fd12::1"`} {
		_, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "x.www.vo.example.org", Type: rrtype, Rdata: []string{rdata}})
		controltest.WantErr(t, err, codes.InvalidArgument, "rdata")
	}
	for _, public := range []string{"9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.1", "192.167.0.1", "100.63.255.255", "100.128.0.0", "fe00::1", "2001:db8::1"} {
		_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{public}})
		s.Done(err)
	}
	// What was there stays, also when the other family is set.
	_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "before.vo.example.org", Addresses: []string{"2001:db8::5"}})
	s.Done(err)
	if got, want := s.Sets("before.vo.example.org"), "A 60 10.0.0.1 100.64.0.1\nAAAA 60 2001:db8::5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{PrivateAddresses: new(true)})
	s.Host("y.vo.example.org", "10.0.0.1", "fd00::1", "100.64.0.1")
}
