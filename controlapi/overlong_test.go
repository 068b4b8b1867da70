package controlapi_test

import (
	"strings"
	"testing"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// What somebody sends fills no log: neither one call that is long nor many that fail.
func TestCallsThatFailDoNotFillTheLog(t *testing.T) {
	controltest.Bulk(t)
	s := controltest.Start(t)
	s.Open("vo.example.org")
	long := strings.Repeat("ä", 1<<18)
	secret := s.HostOf(controltest.Person("egi/alice"), "web.vo.example.org")
	before := len(s.Log.String())
	for what, try := range map[string]func() error{
		"an address": func() error {
			return s.UpdateAs(controltest.As("web.vo.example.org", secret), "web.vo.example.org", long)
		},
		"a page token": func() error {
			return second(s.Hosts.ListHosts(controltest.Person("egi/alice"), &pb.ListHostsRequest{PageToken: long}))
		},
		"a token's id": func() error {
			return second(s.Tokens.RevokeToken(controltest.Person("egi/alice"), &pb.RevokeTokenRequest{Id: long}))
		},
		"an editor": func() error {
			return second(s.Hosts.ShareHost(controltest.Person("egi/alice"), &pb.ShareHostRequest{Fqdn: "web.vo.example.org", Add: []string{long}}))
		},
		"a record": func() error {
			return second(s.Records.SetRecordSet(controltest.Person("egi/alice"), &pb.SetRecordSetRequest{Fqdn: "web.vo.example.org", Type: "MX", Rdata: []string{long}}))
		},
	} {
		for range 100 {
			if err := try(); err == nil || len(err.Error()) > 4000 {
				t.Fatalf("%s: %d octets", what, len(err.Error()))
			}
		}
	}
	if grown := len(s.Log.String()) - before; grown > 300_000 {
		t.Errorf("500 calls that failed made %d octets of log", grown)
	} else {
		t.Logf("500 calls that failed made %d octets of log", grown)
	}
}
