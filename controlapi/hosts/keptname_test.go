package hosts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

func TestADeletedNameIsKeptForItsOwner(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2))})
	alice, bob, zoe := controltest.Person("egi/alice"), controltest.Person("egi/bob"), controltest.Person("egi/zoe")
	create := func(who string, fqdn string) error {
		_, err := s.Hosts.CreateHost(controltest.Person(who), &pb.CreateHostRequest{Fqdn: fqdn})
		return err
	}
	remove := func(fqdn string) {
		t.Helper()
		if _, err := s.Hosts.DeleteHost(zoe, &pb.DeleteHostRequest{Fqdn: fqdn}); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.HostOf(alice, "app.vo.example.org")
	remove("app.vo.example.org")
	until := s.Clock.Read().Add(30 * day).Format(time.RFC3339)
	for _, fqdn := range []string{"app.vo.example.org", "x.app.vo.example.org"} {
		err := create("egi/bob", fqdn)
		controltest.WantErr(t, err, codes.PermissionDenied, "")
		if err != nil && !strings.Contains(err.Error(), "the name app.vo.example.org was another's and is kept until "+until) {
			t.Error(err)
		}
	}
	must(create("egi/alice", "app.vo.example.org"))
	remove("app.vo.example.org")
	must(create("egi/zoe", "app.vo.example.org")) // an administrator may, and it is theirs then
	remove("app.vo.example.org")
	controltest.WantErr(t, create("egi/alice", "app.vo.example.org"), codes.PermissionDenied, "")
	s.Clock.Add(30*day - time.Second)
	controltest.WantErr(t, create("egi/bob", "app.vo.example.org"), codes.PermissionDenied, "")
	s.Clock.Add(time.Second)
	must(create("egi/bob", "app.vo.example.org"))

	// A blocked one is nobody's afterwards.
	if _, err := s.Hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: "app.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	remove("app.vo.example.org")
	controltest.WantErr(t, create("egi/bob", "app.vo.example.org"), codes.PermissionDenied, "")

	// Nothing is kept when the zone says so, in which it is swept away.
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Quarantine: new(uint32(0))})
	s.HostOf(alice, "free.vo.example.org")
	if _, err := s.Hosts.DeleteHost(alice, &pb.DeleteHostRequest{Fqdn: "free.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	s.HostOf(bob, "free.vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Quarantine: new(uint32(3600))})
	remove("free.vo.example.org")
	s.Clock.Add(time.Hour)
	if _, err := s.Store.Sweep(t.Context(), s.Clock.Read()); err != nil {
		t.Fatal(err)
	}
	if err := s.Store.Read(t.Context(), func(tx *store.Tx) error {
		z, err := tx.Zone("vo.example.org.")
		if err != nil {
			return err
		}
		kept, err := tx.KeptNames(z, "app.vo.example.org.", "free.vo.example.org.")
		if err == nil && (kept[0] == nil || kept[1] != nil) {
			t.Errorf("kept after the sweep are %v", kept)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// The names of hosts that an import takes away are kept as those of deleted ones, however
// often that is and whatever was swept meanwhile; those of a deleted zone are not.
func TestTheNamesOfHostsThatAnImportTakesAwayAreKept(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, zoe := controltest.Person("egi/alice"), controltest.Person("egi/zoe")
	for _, h := range []string{"app", "gone", "bad"} {
		s.HostOf(alice, h+".vo.example.org", "192.0.2.1")
	}
	if _, err := s.Hosts.DeleteHost(alice, &pb.DeleteHostRequest{Fqdn: "gone.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: "bad.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	create := func(who, host string) error {
		_, err := s.Hosts.CreateHost(controltest.Person(who), &pb.CreateHostRequest{Fqdn: host + ".vo.example.org"})
		return err
	}
	for i := range 2 {
		if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true}, controltest.ZoneFile); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Store.Sweep(t.Context(), s.Clock.Read()); err != nil {
			t.Fatal(err)
		}
		for _, h := range []string{"app", "gone", "bad"} {
			controltest.WantErr(t, create("egi/bob", h), codes.PermissionDenied, "")
		}
		controltest.WantErr(t, create("egi/alice", "bad"), codes.PermissionDenied, "")
		if err := create("egi/bob", fmt.Sprintf("other%d", i)); err != nil {
			t.Error(err)
		}
		if i == 0 {
			s.HostOf(alice, "second.vo.example.org")
		}
	}
	controltest.WantErr(t, create("egi/bob", "second"), codes.PermissionDenied, "")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2))})
	controltest.WantErr(t, create("egi/bob", "x.app"), codes.PermissionDenied, "")
	if err := create("egi/alice", "app"); err != nil {
		t.Error(err)
	}
	s.HostOf(zoe, "gone.vo.example.org") // who administers the zone may, and it is theirs then
	if err := create("egi/zoe", "x.gone"); err != nil {
		t.Error(err)
	}
	for _, h := range []string{"x.gone", "gone"} {
		if _, err := s.Hosts.DeleteHost(zoe, &pb.DeleteHostRequest{Fqdn: h + ".vo.example.org"}); err != nil {
			t.Fatal(err)
		}
	}
	controltest.WantErr(t, create("egi/alice", "gone"), codes.PermissionDenied, "")
	s.Clock.Add(30 * day)
	if err := create("egi/bob", "second"); err != nil {
		t.Error(err)
	}
	if _, err := s.Store.Sweep(t.Context(), s.Clock.Read()); err != nil {
		t.Fatal(err)
	}
	all, err := s.Etcd().Get(t.Context(), s.Prefix+"/v1/ctl/host/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil || len(all.Kvs) != 3 { // app, other1, second
		t.Errorf("%v, %v", all.Kvs, err)
	}
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	s.Open("vo.example.org")
	if err := create("egi/bob", "app"); err != nil {
		t.Error(err)
	}
}
