package controlapi_test

import (
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	pb "signpost/proto/signpost/v1"
)

// Without its address in the zone a name server inside it is found by nobody, and
// others refuse to load the zone.
func TestANameServerKeepsItsAddress(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org") // ns1.vo.example.org
	s.host("ns2.vo.example.org", "192.0.2.2")
	s.host("box.vo.example.org", "192.0.2.3")
	s.record("ns3.box.vo.example.org", "AAAA", "2001:db8::3")
	s.record("vo.example.org", "A", "192.0.2.4")
	s.record("vo.example.org", "NS", "ns1.vo.example.org.", "ns2.vo.example.org.", "ns3.box.vo.example.org.", "vo.example.org.", "ns.example.net.")
	for what, change := range map[string]func() error{
		"its records": func() error {
			_, err := s.records.DeleteRecordSet(s.admin(), &pb.DeleteRecordSetRequest{Fqdn: "ns1.vo.example.org", Type: "A"})
			return err
		},
		"the apex's records": func() error {
			_, err := s.records.DeleteRecordSet(s.admin(), &pb.DeleteRecordSetRequest{Fqdn: "vo.example.org", Type: "A"})
			return err
		},
		"a host's addresses": func() error {
			_, err := s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "ns2.vo.example.org", ClearIpv4: true})
			return err
		},
		"the host": func() error {
			_, err := s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: "ns2.vo.example.org"})
			return err
		},
		"a host above it": func() error {
			_, err := s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: "box.vo.example.org"})
			return err
		},
		"a new one without": func() error {
			_, err := s.records.SetRecordSet(s.admin(), &pb.SetRecordSetRequest{Fqdn: "vo.example.org", Type: "NS", Rdata: []string{"ns4.vo.example.org."}})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) { wantErr(t, change(), codes.FailedPrecondition, "") })
	}
	s.loads("vo.example.org")
	// One address of two may go, and all may when it serves no more.
	s.record("ns1.vo.example.org", "AAAA", "2001:db8::1")
	if _, err := s.records.DeleteRecordSet(s.admin(), &pb.DeleteRecordSetRequest{Fqdn: "ns1.vo.example.org", Type: "A"}); err != nil {
		t.Error(err)
	}
	s.record("vo.example.org", "NS", "ns1.vo.example.org.")
	if _, err := s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: "ns2.vo.example.org"}); err != nil {
		t.Error(err)
	}
	if out, err := s.hosts.DeleteHost(s.admin(), &pb.DeleteHostRequest{Fqdn: "box.vo.example.org"}); err != nil || out.Names != 1 || out.RecordSets != 1 {
		t.Error(out, err)
	}
	s.loads("vo.example.org")
}

// The zone above may have a name server in the lower one: it stays when that goes.
func TestANameServerOfTheZoneAboveOutlivesItsZone(t *testing.T) {
	s := start(t)
	s.zone("example.org")
	s.zone("b.example.org")
	s.record("example.org", "NS", "ns1.example.org.", "ns1.b.example.org.")
	if _, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "b.example.org"}); err != nil {
		t.Fatal(err)
	}
	s.loads("example.org")
}

// loads checks that another name server would load what is exported.
func (s *server) loads(zone string) {
	s.t.Helper()
	checker, err := exec.LookPath("named-checkzone")
	if err != nil {
		s.t.Log("not compared with BIND: there is no named-checkzone")
		return
	}
	cmd := exec.Command(checker, zone, "/dev/stdin")
	cmd.Stdin = strings.NewReader(s.export(zone))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Errorf("%v: %s", err, out)
	}
}
