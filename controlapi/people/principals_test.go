package people_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// A disabled person is told so at every door, elsewhere too, and a stream of theirs ends;
// their hosts go on.
func TestADisabledPersonIsRefused(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again()
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice", "group:egi/operators")
	secret := s.HostOf(alice, "app.vo.example.org", "192.0.2.1")
	ctx, cancel := context.WithTimeout(alice, time.Minute)
	defer cancel()
	token := controltest.Bearer(s.TokenOf(alice, &pb.CreateTokenRequest{}))
	tokens, stopTokens := context.WithTimeout(token, time.Minute)
	defer stopTokens()
	second, err := pb.NewWatchServiceClient(other.Conn).Watch(tokens, &pb.WatchRequest{Fqdn: "app.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Recv(); err != nil {
		t.Fatal(err)
	}
	stream, err := pb.NewWatchServiceClient(other.Conn).Watch(ctx, &pb.WatchRequest{Fqdn: "app.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	in := &pb.DisablePrincipalRequest{Name: "egi/alice", Reason: "left the project"}
	for _, changed := range []bool{true, false} {
		out, err := s.People.DisablePrincipal(s.Admin(), in)
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
		controltest.WantErr(t, err, codes.PermissionDenied, "")
	}
	if took := time.Since(began); took > 5*time.Second { // a second, and a busy machine
		t.Errorf("the stream ended after %s", took)
	}
	refused := map[string]func(*controltest.Server) error{
		"whoami": func(s *controltest.Server) error {
			_, err := s.Servers.WhoAmI(alice, &pb.WhoAmIRequest{})
			return err
		},
		"a token": func(s *controltest.Server) error {
			_, err := s.Hosts.GetHost(token, &pb.GetHostRequest{Fqdn: "app.vo.example.org"})
			return err
		},
		"a read": func(s *controltest.Server) error {
			_, err := s.Hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: "app.vo.example.org"})
			return err
		},
		"a change": func(s *controltest.Server) error {
			_, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "new.vo.example.org"})
			return err
		},
	}
	for what, call := range refused {
		for _, at := range []*controltest.Server{s, other} {
			err := call(at)
			controltest.WantErr(t, err, codes.PermissionDenied, "")
			if err != nil && !strings.Contains(err.Error(), "egi/alice is disabled: left the project; ask those who run this service") {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if _, err := s.Hosts.SetAddresses(controltest.As("app.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "app.vo.example.org", Addresses: []string{"192.0.2.2"}}); err != nil {
		t.Errorf("the host's secret: %v", err)
	}
	if _, err := s.Hosts.ListHosts(controltest.Person("egi/alice2"), &pb.ListHostsRequest{}); err != nil {
		t.Errorf("another: %v", err)
	}
	records, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{})
	if err != nil || !slices.ContainsFunc(records.Records, func(r *pb.AuditRecord) bool {
		return r.Action == "principal.disable" && r.Detail == "egi/alice" && r.After == "disabled: left the project"
	}) {
		t.Errorf("%v, %v", records, err)
	}
	if _, err := s.People.EnablePrincipal(s.Admin(), &pb.EnablePrincipalRequest{Name: "egi/alice"}); err != nil {
		t.Fatal(err)
	}
	for what, call := range refused {
		if err := call(other); err != nil {
			t.Errorf("enabled, %s: %v", what, err)
		}
	}
}

func TestAllHostsOfAPersonChangeHands(t *testing.T) {
	s := controltest.Start(t)
	s.Open("a.example.org")
	s.Open("b.example.org")
	s.Open("gone.example.org")
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	var want []string
	secrets := map[string]string{}
	for i := range 25 {
		fqdn := fmt.Sprintf("h%02d.a.example.org", i)
		want = append(want, fqdn)
		secrets[fqdn] = s.HostOf(alice, fqdn, "192.0.2.1")
	}
	want = append(want, "x.b.example.org")
	s.HostOf(alice, "x.b.example.org")
	s.HostOf(alice, "x.gone.example.org")
	s.HostOf(bob, "edited.a.example.org")
	var editors []string
	for i := range 40 {
		editors = append(editors, fmt.Sprintf("egi/e%d", i))
	}
	for _, fqdn := range []string{"h03.a.example.org", "h04.a.example.org"} {
		if _, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: fqdn, Add: editors}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Hosts.ShareHost(bob, &pb.ShareHostRequest{Fqdn: "edited.a.example.org", Add: []string{"egi/alice"}}); err != nil {
		t.Fatal(err)
	}
	s.Record("_acme-challenge.h01.a.example.org", "TXT", "proof")
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "gone.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	s.Zone("gone.example.org")

	in := &pb.TransferPrincipalRequest{Name: "egi/alice", To: "egi/carol"}
	var got []string
	for calls := 1; ; calls++ {
		out, err := s.People.TransferPrincipal(s.Admin(), in)
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
	if out, err := s.People.TransferPrincipal(s.Admin(), in); err != nil || out.Change.Changed || out.More || len(out.Fqdns) > 0 {
		t.Errorf("once more: %v, %v", out, err)
	}
	for _, fqdn := range want {
		h := s.Shown(fqdn)
		if h.Owner != "egi/carol" || len(h.Editors) > 0 {
			t.Errorf("%v", h)
		}
	}
	_, err := s.Hosts.SetAddresses(controltest.As(want[0], secrets[want[0]]), &pb.SetAddressesRequest{Fqdn: want[0], Addresses: []string{"192.0.2.2"}})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	_, err = s.Records.GetRecordSet(s.Admin(), &pb.GetRecordSetRequest{Fqdn: "_acme-challenge.h01.a.example.org", Type: "TXT"})
	controltest.WantErr(t, err, codes.NotFound, "")
	if out, err := s.Hosts.ListHosts(alice, &pb.ListHostsRequest{}); err != nil || len(out.Hosts) != 1 || out.Hosts[0].Fqdn != "edited.a.example.org" {
		t.Errorf("left is %v, %v", out, err)
	}
	if out, err := s.Hosts.ListHosts(controltest.Person("egi/carol"), &pb.ListHostsRequest{}); err != nil || len(out.Hosts) != len(want) {
		t.Errorf("the new owner has %v, %v", out, err)
	}

	for field, in := range map[string]*pb.TransferPrincipalRequest{
		"name": {Name: "group:egi/a", To: "egi/b"},
		"to":   {Name: "egi/a", To: "egi/a"},
	} {
		_, err := s.People.TransferPrincipal(s.Admin(), in)
		controltest.WantErr(t, err, codes.InvalidArgument, field)
	}
	if _, err := s.People.DisablePrincipal(s.Admin(), &pb.DisablePrincipalRequest{Name: "egi/dave"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.People.TransferPrincipal(s.Admin(), &pb.TransferPrincipalRequest{Name: "egi/carol", To: "egi/dave"})
	controltest.WantErr(t, err, codes.FailedPrecondition, "to")
}
