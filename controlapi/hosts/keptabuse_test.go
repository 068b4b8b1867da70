package hosts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func create(s *controltest.Server, who, fqdn string) error {
	_, err := s.Hosts.CreateHost(controltest.Person(who), &pb.CreateHostRequest{Fqdn: fqdn})
	return err
}

func drop(s *controltest.Server, who, fqdn string) {
	s.T.Helper()
	if _, err := s.Hosts.DeleteHost(controltest.Person(who), &pb.DeleteHostRequest{Fqdn: fqdn}); err != nil {
		s.T.Fatal(err)
	}
}

// Who registers and deletes one name after the other keeps no more of them from others than
// they may have.
func TestNamesAreNotKeptForNothing(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxHosts: new(uint32(3)), Quarantine: new(uint32(3 * 86400))})
	name := func(i int) string { return fmt.Sprintf("h%d.vo.example.org", i) }
	taken := func() (kept int) {
		t.Helper()
		for i := range 10 {
			switch err := create(s, "egi/bob", name(i)); {
			case err == nil:
				drop(s, "egi/zoe", name(i)) // an administrator's deletions are kept for the owner
			case strings.Contains(err.Error(), "was another's"):
				kept++
			default:
				t.Fatal(err)
			}
		}
		return kept
	}
	for i := range 10 {
		if err := create(s, "egi/mallory", name(i)); err != nil {
			t.Fatal(err)
		}
		drop(s, "egi/mallory", name(i))
	}
	if n := taken(); n != 3 {
		t.Errorf("%d of 10 names are kept from others, want 3", n)
	}
	// A day later there is room for one more, as for each of three in three days.
	s.Clock.Add(24 * time.Hour)
	for i := 20; i < 23; i++ {
		if err := create(s, "egi/mallory", name(i)); err != nil {
			t.Fatal(err)
		}
		drop(s, "egi/mallory", name(i))
	}
	kept := 0
	for i := 20; i < 23; i++ {
		if err := create(s, "egi/bob", name(i)); err != nil {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d names are kept, want 1", kept)
	}
}

// Who registers the name above one that is kept for another would have what is below it, too.
func TestNobodyRegistersAboveAKeptName(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(3))})
	for _, fqdn := range []string{"a.b.vo.example.org", "x.y.z.vo.example.org"} {
		if err := create(s, "egi/bob", fqdn); err != nil {
			t.Fatal(err)
		}
		drop(s, "egi/bob", fqdn)
	}
	for _, fqdn := range []string{"b.vo.example.org", "y.z.vo.example.org", "z.vo.example.org"} {
		err := create(s, "egi/alice", fqdn)
		controltest.WantErr(t, err, codes.PermissionDenied, "")
		if err != nil && !strings.Contains(err.Error(), "below it was another's and is kept until 2026-12-23") {
			t.Error(err)
		}
	}
	for who, fqdn := range map[string]string{"egi/bob": "b.vo.example.org", "egi/zoe": "z.vo.example.org", "egi/alice": "bb.vo.example.org"} {
		if err := create(s, who, fqdn); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	// The same with what an import takes away, until its name is somebody's again.
	if err := create(s, "egi/bob", "a.c.vo.example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true}, controltest.File(1)); err != nil {
		t.Fatal(err)
	}
	controltest.WantErr(t, create(s, "egi/alice", "c.vo.example.org"), codes.PermissionDenied, "")
	if err := create(s, "egi/zoe", "a.c.vo.example.org"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.TransferHost(controltest.Person("egi/zoe"), &pb.TransferHostRequest{Fqdn: "a.c.vo.example.org", To: "egi/alice"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.AcceptHost(controltest.Person("egi/alice"), &pb.AcceptHostRequest{Fqdn: "a.c.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := create(s, "egi/alice", "c.vo.example.org"); err != nil {
		t.Error(err)
	}
	s.Clock.Add(31 * 24 * time.Hour)
	if err := create(s, "egi/alice", "z.vo.example.org"); err != nil {
		t.Errorf("after its time: %v", err)
	}
}
