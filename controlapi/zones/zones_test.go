package zones_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestAZoneIsCreatedChangedAndDeleted(t *testing.T) {
	s := controltest.Start(t)
	made, err := s.Zones.CreateZone(s.Admin(), &pb.CreateZoneRequest{Name: "VO.example.org.", NameServers: []*pb.NameServer{
		{Name: "ns1.vo.example.org", Addresses: []string{"192.0.2.53", "2001:db8::53"}}, {Name: "ns.example.net"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	z := made.Zone
	if z.Name != "vo.example.org" || !slices.Equal(z.NameServers, []string{"ns.example.net", "ns1.vo.example.org"}) && !slices.Equal(z.NameServers, []string{"ns1.vo.example.org", "ns.example.net"}) ||
		z.Ttl != 60 || z.MinTtl != 5 || z.MaxTtl != 86400 || z.NegativeTtl != 30 || z.Serial != uint32(made.Change.Revision) {
		t.Errorf("made %v", made)
	}
	got, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || got.Policy.GetRegister() != "nobody" {
		t.Errorf("got %v: %v", got, err)
	}
	z.Policy = got.GetPolicy()
	if !proto.Equal(got, z) {
		t.Errorf("got %v, want %v", got, z)
	}
	if got := s.Sets("ns1.vo.example.org"); got != "A 60 192.0.2.53\nAAAA 60 2001:db8::53" {
		t.Errorf("glue: %s", got)
	}
	soa := fmt.Sprintf("SOA 3600 ns1.vo.example.org. hostmaster.vo.example.org. %d 7200 900 1209600 30\n", z.Serial)
	if got := s.Sets("vo.example.org"); !strings.HasPrefix(got, soa) {
		t.Errorf("apex: %s", got)
	}
	up, err := s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: proto.Uint32(300), Etag: z.Etag})
	if err != nil || up.Zone.Ttl != 300 || up.Zone.Etag == z.Etag || up.Zone.Serial != uint32(up.Change.Revision) {
		t.Errorf("updated %v, %v", up, err)
	}
	_, err = s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: proto.Uint32(301), Etag: z.Etag})
	controltest.WantErr(t, err, codes.Aborted, "etag")
	s.Host("www.vo.example.org")
	_, err = s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org"})
	controltest.WantErr(t, err, codes.FailedPrecondition, "force")
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "www.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org"}); err != nil {
		t.Error(err)
	}
	_, err = s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	controltest.WantErr(t, err, codes.NotFound, "")
}

func TestNothingOldComesBackWithAZone(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.1")
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	s.Zone("vo.example.org")
	_, err := s.Hosts.GetHost(controltest.As("www.vo.example.org", secret), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	if got := s.Sets("www.vo.example.org"); got != "" {
		t.Errorf("records: %s", got)
	}
	s.Host("www.vo.example.org")
}

func TestWhatBadZonesGet(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	ns := []*pb.NameServer{{Name: "ns.example.net"}}
	for name, c := range map[string]struct {
		in    *pb.CreateZoneRequest
		code  codes.Code
		field string
	}{
		"there":               {&pb.CreateZoneRequest{Name: "vo.example.org", NameServers: ns}, codes.AlreadyExists, "name"},
		"no name":             {&pb.CreateZoneRequest{NameServers: ns}, codes.InvalidArgument, "name"},
		"bad name":            {&pb.CreateZoneRequest{Name: "a..b", NameServers: ns}, codes.InvalidArgument, "name"},
		"wildcard":            {&pb.CreateZoneRequest{Name: "*.example.org", NameServers: ns}, codes.InvalidArgument, "name"},
		"no name server":      {&pb.CreateZoneRequest{Name: "x.example.org"}, codes.InvalidArgument, "name_servers"},
		"bad name server":     {&pb.CreateZoneRequest{Name: "x.example.org", NameServers: []*pb.NameServer{{Name: "n_s.example.net"}}}, codes.InvalidArgument, "name_servers[0].name"},
		"numbered server":     {&pb.CreateZoneRequest{Name: "x.example.org", NameServers: []*pb.NameServer{{Name: "192.0.2.1"}}}, codes.InvalidArgument, "name_servers[0].name"},
		"server twice":        {&pb.CreateZoneRequest{Name: "x.example.org", NameServers: []*pb.NameServer{ns[0], ns[0]}}, codes.InvalidArgument, "name_servers[1].name"},
		"no address":          {&pb.CreateZoneRequest{Name: "x.example.org", NameServers: []*pb.NameServer{{Name: "ns.x.example.org"}}}, codes.InvalidArgument, "name_servers[0].addresses"},
		"bad address":         {&pb.CreateZoneRequest{Name: "x.example.org", NameServers: []*pb.NameServer{{Name: "ns.x.example.org", Addresses: []string{"x"}}}}, codes.InvalidArgument, "name_servers[0].addresses[0]"},
		"address not in zone": {&pb.CreateZoneRequest{Name: "x.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net", Addresses: []string{"192.0.2.1"}}}}, codes.InvalidArgument, "name_servers[0].addresses"},
		"TTLs out of order":   {&pb.CreateZoneRequest{Name: "x.example.org", NameServers: ns, Ttl: 10, MinTtl: 20}, codes.InvalidArgument, "ttl"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Zones.CreateZone(s.Admin(), c.in)
			controltest.WantErr(t, err, c.code, c.field)
		})
	}
	_, err := s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", MinTtl: proto.Uint32(100)})
	controltest.WantErr(t, err, codes.InvalidArgument, "ttl")
	_, err = s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "no.example.org"})
	controltest.WantErr(t, err, codes.NotFound, "")
}

func TestAZoneBelowAnotherIsDelegatedAndHidesNothing(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("example.org")
	s.Host("a.b.example.org", "192.0.2.1")
	_, err := s.Zones.CreateZone(s.Admin(), &pb.CreateZoneRequest{Name: "b.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "name")
	_, err = s.Zones.CreateZone(s.Admin(), &pb.CreateZoneRequest{Name: "a.b.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "name")
	s.Zone("c.example.org")
	export := s.Export("example.org")
	for _, want := range []string{"c.example.org.\t3600\tIN\tNS\tns1.c.example.org.", "ns1.c.example.org.\t3600\tIN\tA\t192.0.2.53"} {
		if !strings.Contains(export, want) {
			t.Errorf("the zone above does not have %q:\n%s", want, export)
		}
	}
	s.Record("c.example.org", "DS", "1 13 2 "+strings.Repeat("ab", 32))
	if got, err := s.Records.GetRecordSet(s.Admin(), &pb.GetRecordSetRequest{Fqdn: "c.example.org", Type: "DS"}); err != nil || got.Type != "DS" {
		t.Error(got, err)
	}
	s.Record("c.example.org", "NS", "ns1.c.example.org.", "ns2.example.net.")
	if got := s.Export("example.org"); !strings.Contains(got, "c.example.org.\t3600\tIN\tNS\tns2.example.net.") && !strings.Contains(got, "c.example.org.\t60\tIN\tNS\tns2.example.net.") {
		t.Errorf("the delegation does not follow:\n%s", got)
	}
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "c.example.org"}); err != nil {
		t.Fatal(err)
	}
	if got := s.Export("example.org"); strings.Contains(got, "c.example.org") {
		t.Errorf("the delegation stays:\n%s", got)
	}
	s.Record("d.example.org", "NS", "ns.example.net.")
	s.Record("d.example.org", "TXT", `"hidden"`)
	s.Host("h.d.example.org", "192.0.2.8") // hidden too, but somebody's
	_, err = s.Zones.CreateZone(s.Admin(), &pb.CreateZoneRequest{Name: "d.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "name")
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "h.d.example.org"}); err != nil {
		t.Fatal(err)
	}
	s.Zone("d.example.org")
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "d.example.org"}); err != nil {
		t.Fatal(err)
	}
	if got := s.Export("example.org"); !strings.Contains(got, `"hidden"`) || strings.Contains(got, "ns1.d.example.org") {
		t.Errorf("a zone that came and went has changed other data:\n%s", got)
	}
	s.Zone("org")
	if got := s.Export("org"); !strings.Contains(got, "example.org.\t3600\tIN\tNS\tns1.example.org.") || !strings.Contains(got, "ns1.example.org.\t3600\tIN\tA\t192.0.2.53") {
		t.Errorf("a new zone above does not delegate:\n%s", got)
	}
}

func TestZonesAreListedInPages(t *testing.T) {
	s := controltest.Start(t)
	for i := range 5 {
		s.Zone(fmt.Sprintf("z%d.example.org", i))
	}
	var got []string
	for token := ""; ; {
		out, err := s.Zones.ListZones(s.Admin(), &pb.ListZonesRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range out.Zones {
			got = append(got, z.Name)
		}
		if token = out.NextPageToken; token == "" {
			break
		}
	}
	if !slices.Equal(got, []string{"z0.example.org", "z1.example.org", "z2.example.org", "z3.example.org", "z4.example.org"}) {
		t.Error(got)
	}
	_, err := s.Zones.ListZones(s.Admin(), &pb.ListZonesRequest{PageToken: "!"})
	controltest.WantErr(t, err, codes.InvalidArgument, "page_token")
}

func TestAnImportKeepsTheDelegationsOfOurOwnZones(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Zone("c.vo.example.org")
	s.Record("c.vo.example.org", "DS", "1 13 2 "+strings.Repeat("ab", 32))
	out, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, controltest.ZoneFile)
	if err != nil || out.RecordSets != 9 {
		t.Fatal(out, err)
	}
	text := s.Export("vo.example.org")
	for _, want := range []string{"c.vo.example.org.\t3600\tIN\tNS\tns1.c.vo.example.org.", "ns1.c.vo.example.org.\t3600\tIN\tA\t192.0.2.53", "c.vo.example.org.\t60\tIN\tDS\t"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// A zone whose value cannot be read is left out of the list, and does not end it.
func TestAListOfZonesGoesOnBehindOneThatCannotBeRead(t *testing.T) {
	s := controltest.Start(t)
	for _, z := range []string{"a.org", "b.org", "c.org", "d.org"} {
		s.Zone(z)
	}
	if _, err := s.Etcd().Put(t.Context(), s.Prefix+"/v1/dns/zone/org.b.", "no zone"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for token := ""; ; {
		out, err := s.Zones.ListZones(s.Admin(), &pb.ListZonesRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range out.Zones {
			got = append(got, z.Name)
		}
		if token = out.NextPageToken; token == "" {
			break
		}
	}
	if strings.Join(got, " ") != "a.org c.org d.org" {
		t.Error(got)
	}
}
