package zones_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// A zone above many takes their delegations along, however many there are: those of 17
// zones with two name servers each once were more than a transaction holds.
func TestAZoneCanBeMadeAboveHundreds(t *testing.T) {
	s := controltest.Start(t)
	const n = 200
	names := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range names {
				lowerZone(s, i, "192.0.2.53")
			}
		})
	}
	for i := range n {
		names <- i
	}
	close(names)
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	check := func(made string) {
		t.Helper()
		file := s.Export("top.example.org")
		if ns, a := strings.Count(file, "\tNS\tns"), strings.Count(file, "\tA\t192.0.2."); ns != 2*n+1 || a != 2*n+1 {
			t.Errorf("%s: %d NS and %d A, want %d of each", made, ns, a, 2*n+1)
		}
	}
	in := &pb.CreateZoneRequest{Name: "top.example.org", NameServers: []*pb.NameServer{{Name: "ns1.top.example.org", Addresses: []string{"192.0.2.54"}}}}
	first, err := s.Zones.CreateZone(s.Admin("request-id", "one"), in)
	if err != nil {
		t.Fatal(err)
	}
	check("created")
	second, err := s.Zones.CreateZone(s.Admin("request-id", "one"), in)
	if err != nil || second.Change.Revision != first.Change.Revision {
		t.Errorf("repeated: %v, %v", second, err)
	}
	// What changes below is followed as before.
	if _, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "z7.top.example.org", Type: "NS", Rdata: []string{"ns1.z7.top.example.org."}}); err != nil {
		t.Fatal(err)
	}
	if file := s.Export("top.example.org"); strings.Contains(file, "ns2.z7.") {
		t.Error("the delegation does not follow")
	}
	if _, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{
		Fqdn: "z7.top.example.org", Type: "NS", Rdata: []string{"ns1.z7.top.example.org.", "ns2.z7.top.example.org."},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "top.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	const file = "@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.54\n"
	if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "top.example.org"}, file); err != nil {
		t.Fatal(err)
	}
	check("imported")
}

// Zones that change below while one is made above them are in it as they are.
func TestAZoneMadeAboveZonesThatChangeHoldsThemAsTheyAre(t *testing.T) {
	s := controltest.Start(t)
	const n = 20
	for i := range n {
		lowerZone(s, i, "192.0.2.53")
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			fqdn := fmt.Sprintf("z%d.top.example.org", i)
			if _, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: fqdn, Type: "NS", Rdata: []string{"ns2." + fqdn + "."}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Go(func() { s.Zone("top.example.org") })
	wg.Wait()
	if file := s.Export("top.example.org"); strings.Contains(file, "ns1.z") || strings.Count(file, "\tNS\tns2.z") != n {
		t.Errorf("the delegations are not those of now:\n%s", file)
	}
}

func lowerZone(s *controltest.Server, i int, addr string) {
	s.T.Helper()
	name := fmt.Sprintf("z%d.top.example.org", i)
	_, err := s.Zones.CreateZone(s.Admin(), &pb.CreateZoneRequest{Name: name, NameServers: []*pb.NameServer{
		{Name: "ns1." + name, Addresses: []string{addr}}, {Name: "ns2." + name, Addresses: []string{addr}},
	}})
	if err != nil {
		s.T.Error(err)
	}
}

// A name server of a new zone that is a zone of ours itself keeps its delegation,
// however many there are beside it.
func TestAZoneMadeAboveItsNameServersZoneDelegatesIt(t *testing.T) {
	s := controltest.Start(t)
	made := 0
	for _, n := range []int{2, 20} {
		for ; made < n; made++ {
			lowerZone(s, made, "192.0.2.53")
		}
		in := &pb.CreateZoneRequest{Name: "top.example.org", NameServers: []*pb.NameServer{
			{Name: "z1.top.example.org", Addresses: []string{"192.0.2.54"}}, {Name: "ns1.z0.top.example.org", Addresses: []string{"192.0.2.53"}},
		}}
		if _, err := s.Zones.CreateZone(s.Admin(), in); err != nil {
			t.Fatal(err)
		}
		if file := s.Export("top.example.org"); strings.Count(file, "\tNS\tns1.z1.") != 1 || strings.Count(file, "\tNS\t") != 2*n+2 {
			t.Errorf("above %d zones:\n%s", n, file)
		}
		if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "top.example.org", Force: true}); err != nil {
			t.Fatal(err)
		}
	}
}
