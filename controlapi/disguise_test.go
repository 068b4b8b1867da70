package controlapi_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Addresses that no host may have are not given in other forms either.
func TestLocalAddressesInDisguise(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	const fqdn = "h.vo.example.org"
	s.HostOf(alice, fqdn)
	set := func(fqdn, rrtype, rdata string) error {
		_, err := s.Records.SetRecordSet(alice, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: []string{rdata}})
		return err
	}
	for a, ok := range map[string]bool{
		"::ffff:127.0.0.1": false, "64:ff9b::127.0.0.1": false, "64:ff9b::169.254.169.254": false, "::127.0.0.1": false, "2002:7f00:1::": false, "2002:a9fe:a9fe::1": false,
		"64:ff9b::192.0.2.1": true, "2002:c000:201::1": true, "2001:db8::7f00:1": true,
	} {
		for what, err := range map[string]error{
			"host": s.UpdateAs(alice, fqdn, a), "record": set("x."+fqdn, "AAAA", a),
			"HTTPS": set("x."+fqdn, "HTTPS", "1 . ipv6hint="+strings.Replace(a, "::ffff:", "64:ff9b::", 1)),
		} {
			if (err == nil) != ok {
				t.Errorf("%s %s: %v", what, a, err)
			}
		}
	}
	for rdata, ok := range map[string]bool{
		"1 . ipv4hint=127.0.0.1": false, "1 . alpn=h2 ipv4hint=192.0.2.1,169.254.169.254": false, "1 . ipv6hint=fe80::1": false, "1 . ipv6hint=::1": false,
		"1 . ipv4hint=192.0.2.1 ipv6hint=2001:db8::1": true, "1 svc.example.net.": true, "0 svc.example.net.": true,
	} {
		for _, rrtype := range []string{"HTTPS", "SVCB"} {
			if err := set(fqdn, rrtype, rdata); (err == nil) != ok {
				t.Errorf("%s %s: %v", rrtype, rdata, err)
			} else if err != nil {
				controltest.WantErr(t, err, codes.InvalidArgument, "rdata")
			}
		}
	}
}

// A record for all names below a host is what its wildcard is.
func TestNoWildcardRecordAboveAnothersHost(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, zoe := controltest.Person("egi/alice"), controltest.Person("egi/zoe")
	s.HostOf(alice, "h.vo.example.org")
	s.HostOf(zoe, "x.y.h.vo.example.org")
	set := func(fqdn string) error {
		_, err := s.Records.SetRecordSet(alice, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: "TXT", Rdata: []string{"x"}})
		return err
	}
	for fqdn, ok := range map[string]bool{"*.h.vo.example.org": false, "*.y.h.vo.example.org": false, "*.z.h.vo.example.org": true, "y.h.vo.example.org": true} {
		err := set(fqdn)
		if (err == nil) != ok {
			t.Errorf("%s: %v", fqdn, err)
		} else if err != nil {
			controltest.WantErr(t, err, codes.PermissionDenied, "")
		}
	}
	s.Record("*.h.vo.example.org", "TXT", "an administrator's")
}
