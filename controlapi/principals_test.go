package controlapi_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "signpost/proto/signpost/v1"
)

// A disabled person is told so at every door, elsewhere too, and a stream of theirs ends;
// their hosts go on.
func TestADisabledPersonIsRefused(t *testing.T) {
	s := start(t)
	other := s.again()
	s.open("vo.example.org")
	alice := person("egi/alice", "group:egi/operators")
	secret := s.hostOf(alice, "app.vo.example.org", "192.0.2.1")
	ctx, cancel := context.WithTimeout(alice, time.Minute)
	defer cancel()
	token := bearer(s.tokenOf(alice, &pb.CreateTokenRequest{}))
	tokens, stopTokens := context.WithTimeout(token, time.Minute)
	defer stopTokens()
	second, err := pb.NewWatchServiceClient(other.conn).Watch(tokens, &pb.WatchRequest{Fqdn: "app.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Recv(); err != nil {
		t.Fatal(err)
	}
	stream, err := pb.NewWatchServiceClient(other.conn).Watch(ctx, &pb.WatchRequest{Fqdn: "app.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	in := &pb.DisablePrincipalRequest{Name: "egi/alice", Reason: "left the project"}
	for _, changed := range []bool{true, false} {
		out, err := s.people.DisablePrincipal(s.admin(), in)
		if err != nil || out.Change.Changed != changed {
			t.Fatal(out, err)
		}
	}
	began := time.Now()
	for _, st := range []interface {
		Recv() (*pb.WatchResponse, error)
	}{stream, second} {
		for err = nil; err == nil; {
			_, err = st.Recv()
		}
		wantErr(t, err, codes.PermissionDenied, "")
	}
	if took := time.Since(began); took > 5*time.Second { // a second, and a busy machine
		t.Errorf("the stream ended after %s", took)
	}
	refused := map[string]func(*server) error{
		"whoami": func(s *server) error {
			_, err := s.servers.WhoAmI(alice, &pb.WhoAmIRequest{})
			return err
		},
		"a token": func(s *server) error {
			_, err := s.hosts.GetHost(token, &pb.GetHostRequest{Fqdn: "app.vo.example.org"})
			return err
		},
		"a read": func(s *server) error {
			_, err := s.hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: "app.vo.example.org"})
			return err
		},
		"a change": func(s *server) error {
			_, err := s.hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "new.vo.example.org"})
			return err
		},
	}
	for what, call := range refused {
		for _, at := range []*server{s, other} {
			err := call(at)
			wantErr(t, err, codes.PermissionDenied, "")
			if err != nil && !strings.Contains(err.Error(), "egi/alice is disabled: left the project; ask those who run this service") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if _, err := s.hosts.SetAddresses(as("app.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "app.vo.example.org", Addresses: []string{"192.0.2.2"}}); err != nil {
		t.Errorf("the host's secret: %v", err)
	}
	if _, err := s.hosts.ListHosts(person("egi/alice2"), &pb.ListHostsRequest{}); err != nil {
		t.Errorf("another: %v", err)
	}
	records, err := s.audits.ListAuditRecords(s.admin(), &pb.ListAuditRecordsRequest{})
	if err != nil || !slices.ContainsFunc(records.Records, func(r *pb.AuditRecord) bool {
		return r.Action == "principal.disable" && r.Detail == "egi/alice" && r.After == "disabled: left the project"
	}) {
		t.Errorf("%v, %v", records, err)
	}
	if _, err := s.people.EnablePrincipal(s.admin(), &pb.EnablePrincipalRequest{Name: "egi/alice"}); err != nil {
		t.Fatal(err)
	}
	for what, call := range refused {
		if err := call(other); err != nil {
			t.Errorf("enabled, %s: %v", what, err)
		}
	}
}

func TestAllHostsOfAPersonChangeHands(t *testing.T) {
	s := start(t)
	s.open("a.example.org")
	s.open("b.example.org")
	s.open("gone.example.org")
	alice, bob := person("egi/alice"), person("egi/bob")
	var want []string
	secrets := map[string]string{}
	for i := range 25 {
		fqdn := fmt.Sprintf("h%02d.a.example.org", i)
		want = append(want, fqdn)
		secrets[fqdn] = s.hostOf(alice, fqdn, "192.0.2.1")
	}
	want = append(want, "x.b.example.org")
	s.hostOf(alice, "x.b.example.org")
	s.hostOf(alice, "x.gone.example.org")
	s.hostOf(bob, "edited.a.example.org")
	var editors []string
	for i := range 40 {
		editors = append(editors, fmt.Sprintf("egi/e%d", i))
	}
	for _, fqdn := range []string{"h03.a.example.org", "h04.a.example.org"} {
		if _, err := s.hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: fqdn, Add: editors}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.hosts.ShareHost(bob, &pb.ShareHostRequest{Fqdn: "edited.a.example.org", Add: []string{"egi/alice"}}); err != nil {
		t.Fatal(err)
	}
	s.record("_acme-challenge.h01.a.example.org", "TXT", "proof")
	if _, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "gone.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	s.zone("gone.example.org")

	in := &pb.TransferPrincipalRequest{Name: "egi/alice", To: "egi/carol"}
	var got []string
	for calls := 1; ; calls++ {
		out, err := s.people.TransferPrincipal(s.admin(), in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, out.Fqdns...)
		if !out.More {
			if calls < 4 {
				t.Errorf("%d calls did it all, and nothing was resumed", calls)
			}
			break
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("given are %q", got)
	}
	if out, err := s.people.TransferPrincipal(s.admin(), in); err != nil || out.Change.Changed || out.More || len(out.Fqdns) > 0 {
		t.Errorf("once more: %v, %v", out, err)
	}
	for _, fqdn := range want {
		h := s.shown(fqdn)
		if h.Owner != "egi/carol" || len(h.Editors) > 0 {
			t.Errorf("%v", h)
		}
	}
	_, err := s.hosts.SetAddresses(as(want[0], secrets[want[0]]), &pb.SetAddressesRequest{Fqdn: want[0], Addresses: []string{"192.0.2.2"}})
	wantErr(t, err, codes.Unauthenticated, "")
	_, err = s.records.GetRecordSet(s.admin(), &pb.GetRecordSetRequest{Fqdn: "_acme-challenge.h01.a.example.org", Type: "TXT"})
	wantErr(t, err, codes.NotFound, "")
	if out, err := s.hosts.ListHosts(alice, &pb.ListHostsRequest{}); err != nil || len(out.Hosts) != 1 || out.Hosts[0].Fqdn != "edited.a.example.org" {
		t.Errorf("left is %v, %v", out, err)
	}
	if out, err := s.hosts.ListHosts(person("egi/carol"), &pb.ListHostsRequest{}); err != nil || len(out.Hosts) != len(want) {
		t.Errorf("the new owner has %v, %v", out, err)
	}

	for field, in := range map[string]*pb.TransferPrincipalRequest{
		"name": {Name: "group:egi/a", To: "egi/b"},
		"to":   {Name: "egi/a", To: "egi/a"},
	} {
		_, err := s.people.TransferPrincipal(s.admin(), in)
		wantErr(t, err, codes.InvalidArgument, field)
	}
	if _, err := s.people.DisablePrincipal(s.admin(), &pb.DisablePrincipalRequest{Name: "egi/dave"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.people.TransferPrincipal(s.admin(), &pb.TransferPrincipalRequest{Name: "egi/carol", To: "egi/dave"})
	wantErr(t, err, codes.FailedPrecondition, "to")
}
