package zones_test

import (
	"os/exec"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Without its address in the zone a name server inside it is found by nobody, and
// others refuse to load the zone.
func TestANameServerKeepsItsAddress(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org") // ns1.vo.example.org
	s.Host("ns2.vo.example.org", "192.0.2.2")
	s.Host("box.vo.example.org", "192.0.2.3")
	s.Record("ns3.box.vo.example.org", "AAAA", "2001:db8::3")
	s.Record("vo.example.org", "A", "192.0.2.4")
	s.Record("vo.example.org", "NS", "ns1.vo.example.org.", "ns2.vo.example.org.", "ns3.box.vo.example.org.", "vo.example.org.", "ns.example.net.")
	for what, change := range map[string]func() error{
		"its records": func() error {
			_, err := s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: "ns1.vo.example.org", Type: "A"})
			return err
		},
		"the apex's records": func() error {
			_, err := s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: "vo.example.org", Type: "A"})
			return err
		},
		"a host's addresses": func() error {
			_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "ns2.vo.example.org", ClearIpv4: true})
			return err
		},
		"the host": func() error {
			_, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "ns2.vo.example.org"})
			return err
		},
		"a host above it": func() error {
			_, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "box.vo.example.org"})
			return err
		},
		"a new one without": func() error {
			_, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "vo.example.org", Type: "NS", Rdata: []string{"ns4.vo.example.org."}})
			return err
		},
	} {
		t.Run(what, func(t *testing.T) { controltest.WantErr(t, change(), codes.FailedPrecondition, "") })
	}
	loads(s, "vo.example.org")
	// One address of two may go, and all may when it serves no more.
	s.Record("ns1.vo.example.org", "AAAA", "2001:db8::1")
	if _, err := s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: "ns1.vo.example.org", Type: "A"}); err != nil {
		t.Error(err)
	}
	s.Record("vo.example.org", "NS", "ns1.vo.example.org.")
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "ns2.vo.example.org"}); err != nil {
		t.Error(err)
	}
	if out, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "box.vo.example.org"}); err != nil || out.Names != 1 || out.RecordSets != 1 {
		t.Error(out, err)
	}
	loads(s, "vo.example.org")
}

// The zone above may have a name server in the lower one: it stays when that goes.
func TestANameServerOfTheZoneAboveOutlivesItsZone(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("example.org")
	s.Zone("b.example.org")
	s.Record("example.org", "NS", "ns1.example.org.", "ns1.b.example.org.")
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "b.example.org"}); err != nil {
		t.Fatal(err)
	}
	loads(s, "example.org")
}

// loads checks that another name server would load what is exported.
func loads(s *controltest.Server, zone string) {
	s.T.Helper()
	checker, err := exec.LookPath("named-checkzone")
	if err != nil {
		s.T.Log("not compared with BIND: there is no named-checkzone")
		return
	}
	cmd := exec.Command(checker, zone, "/dev/stdin")
	cmd.Stdin = strings.NewReader(s.Export(zone))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.T.Errorf("%v: %s", err, out)
	}
}
