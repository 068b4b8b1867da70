package audit_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestEveryChangeIsAudited(t *testing.T) {
	s := controltest.Start(t)
	tick := func() { s.Clock.Add(time.Second) }
	s.Zone("vo.example.org")
	tick()
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	tick()
	out, err := s.Hosts.SetAddresses(controltest.As("www.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.2"}})
	if err != nil {
		t.Fatal(err)
	}
	tick()
	s.Record("www.vo.example.org", "TXT", "x")
	tick()
	if _, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "www.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	tick()
	s.Zone("other.example.org")
	all, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, r := range all.Records {
		actions = append(actions, r.Action)
		if strings.Contains(r.String(), secret) || r.Source != "127.0.0.1" || r.RequestId == "" || r.Revision == 0 {
			t.Errorf("%v", r)
		}
	}
	want := []string{"zone.create", "host.rotate-secret", "record.set", "host.set-addresses", "host.create", "zone.create"}
	if !slices.Equal(actions, want) {
		t.Errorf("%v, want %v", actions, want)
	}
	set := all.Records[3]
	if set.Principal != "host/www.vo.example.org" || set.Before != "192.0.2.1" || set.After != "192.0.2.2" || set.Revision != out.Change.Revision ||
		set.Zone != "vo.example.org" || set.Name != "www.vo.example.org" {
		t.Errorf("%v", set)
	}
	var paged []string
	for token := ""; ; {
		page, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Zone: "vo.example.org", PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			paged = append(paged, r.Action)
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if !slices.Equal(paged, want[1:]) {
		t.Errorf("%v, want %v", paged, want[1:])
	}
	one, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Fqdn: "vo.example.org"})
	if err != nil || len(one.Records) != 1 || one.Records[0].Action != "zone.create" {
		t.Error(one, err)
	}
	_, err = s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{PageToken: "!"})
	controltest.WantErr(t, err, codes.InvalidArgument, "page_token")
	if log := s.Log.String(); strings.Count(log, `"msg":"changed"`) != 6 || strings.Contains(log, secret) {
		t.Errorf("the log's lines: %s", log)
	}
}

// A token of another list would quietly leave out or repeat what it does not know.
func TestATokenGoesWithItsList(t *testing.T) {
	s := controltest.Start(t)
	for _, z := range []string{"a.example.org", "b.example.org", "c.example.org"} {
		s.Zone(z)
		s.Host("x."+z, "192.0.2.1")
		s.Host("y."+z, "192.0.2.1")
	}
	lists := map[string]func(token string, size int32) (string, error){
		"zones": func(token string, size int32) (string, error) {
			out, err := s.Zones.ListZones(s.Admin(), &pb.ListZonesRequest{PageToken: token, PageSize: size})
			return out.GetNextPageToken(), err
		},
	}
	for _, in := range []*pb.ListHostsRequest{{}, {Zone: "a.example.org"}, {Address: "192.0.2.0/24"}} {
		lists["hosts "+in.String()] = func(token string, size int32) (string, error) {
			out, err := s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{Zone: in.Zone, Address: in.Address, PageToken: token, PageSize: size})
			return out.GetNextPageToken(), err
		}
	}
	for _, in := range []*pb.ListAuditRecordsRequest{{}, {Zone: "a.example.org"}, {Fqdn: "a.example.org"}} {
		lists["audit "+in.String()] = func(token string, size int32) (string, error) {
			out, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Zone: in.Zone, Fqdn: in.Fqdn, PageToken: token, PageSize: size})
			return out.GetNextPageToken(), err
		}
	}
	tokens := map[string]string{}
	for of, list := range lists {
		var err error
		if tokens[of], err = list("", 1); err != nil || tokens[of] == "" && of != "audit "+(&pb.ListAuditRecordsRequest{Fqdn: "a.example.org"}).String() {
			t.Fatal(of, err)
		}
	}
	for of, list := range lists {
		if _, err := list(tokens[of], 2); err != nil {
			t.Errorf("%s: its own token: %v", of, err)
		}
		for other, token := range tokens {
			if other != of && token != "" {
				_, err := list(token, 1)
				controltest.WantErr(t, err, codes.InvalidArgument, "page_token")
			}
		}
		for _, bad := range []string{"!", "AA", tokens["zones"] + "A", tokens[of] + "=", base64.RawURLEncoding.EncodeToString([]byte("0"))} {
			_, err := list(bad, 1)
			controltest.WantErr(t, err, codes.InvalidArgument, "page_token")
		}
	}
}
