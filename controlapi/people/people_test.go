package people_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestWhoMayRegister(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	create := func(who string, groups ...string) error {
		_, err := s.Hosts.CreateHost(controltest.Person(who, groups...), &pb.CreateHostRequest{Fqdn: strings.TrimPrefix(who, "egi/") + ".vo.example.org"})
		return err
	}
	controltest.WantErr(t, create("egi/alice"), codes.NotFound, "")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("groups"), Groups: &pb.Words{Values: []string{"group:egi/vo:role=member"}}})
	controltest.WantErr(t, create("egi/alice", "group:egi/vo", "group:other/vo:role=member"), codes.NotFound, "")
	if err := create("egi/alice", "group:egi/vo:role=member"); err != nil {
		t.Error(err)
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone")})
	if err := create("egi/bob"); err != nil {
		t.Error(err)
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("nobody")})
	controltest.WantErr(t, create("egi/carol", "group:egi/vo:role=member"), codes.NotFound, "")
	controltest.WantErr(t, create("egi/dave"), codes.NotFound, "")
}

// Each row of obstacle's table.
func TestObstaclesOfRegistering(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, zoe := controltest.Person("egi/alice"), controltest.Person("egi/zoe")
	set := func(fqdn, rrtype string, rdata ...string) {
		t.Helper()
		if _, err := s.Records.SetRecordSet(zoe, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: rdata}); err != nil {
			t.Fatal(err)
		}
	}
	set("cut.vo.example.org", "NS", "ns.example.net.")
	set("text.vo.example.org", "TXT", "hers")
	set("x.deep.vo.example.org", "TXT", "hers")
	s.HostOf(controltest.Person("egi/bob"), "his.vo.example.org")
	s.HostOf(zoe, "sub.above.vo.example.org")
	for name, because := range map[string]string{
		"a.b.vo.example.org":   "1 labels below",
		"www.vo.example.org":   "reserved",
		"ns7.vo.example.org":   "reserved",
		"cut.vo.example.org":   "delegation",
		"text.vo.example.org":  "records at the name",
		"deep.vo.example.org":  "names below it that are not yours",
		"above.vo.example.org": "names below it that are not yours",
	} {
		_, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: name})
		controltest.WantErr(t, err, codes.PermissionDenied, "")
		if err != nil && !strings.Contains(err.Error(), because) {
			t.Errorf("%s: %v, want something with %q", name, err, because)
		}
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2)), Reserved: &pb.Words{}})
	_, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "x.his.vo.example.org"})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	_, err = s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "x.cut.vo.example.org"})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	for _, name := range []string{"www.vo.example.org", "a.b.vo.example.org", "b.vo.example.org", "x.www.vo.example.org"} {
		if _, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Hosts.CreateHost(zoe, &pb.CreateHostRequest{Fqdn: "x.y.his.vo.example.org"}); err != nil {
		t.Errorf("an administrator: %v", err)
	}
}

func TestOwnersAndEditorsWriteTheirRecordsOnly(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, bob, zoe := controltest.Person("egi/alice"), controltest.Person("egi/bob"), controltest.Person("egi/zoe")
	s.HostOf(alice, "mine.vo.example.org", "192.0.2.1")
	if _, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/bob"}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fqdn, rrtype, rdata string
		mine, admin         codes.Code
	}{
		{"mine.vo.example.org", "TXT", "hello", codes.OK, codes.OK},
		{"_sip._tcp.mine.vo.example.org", "SRV", "0 0 5060 mine.vo.example.org.", codes.OK, codes.OK},
		{"sub.mine.vo.example.org", "NS", "ns.example.net.", codes.PermissionDenied, codes.OK},
		{"d.mine.vo.example.org", "DNAME", "example.net.", codes.PermissionDenied, codes.OK},
		{"other.vo.example.org", "TXT", "x", codes.NotFound, codes.OK},
		{"xmine.vo.example.org", "TXT", "x", codes.NotFound, codes.OK},
		{"vo.example.org", "TXT", "x", codes.PermissionDenied, codes.OK},
		{"vo.example.org", "MX", "10 mail.example.net.", codes.PermissionDenied, codes.OK},
	} {
		in := &pb.SetRecordSetRequest{Fqdn: c.fqdn, Type: c.rrtype, Rdata: []string{c.rdata}}
		for _, who := range []string{"alice", "bob"} {
			ctx := alice
			if who == "bob" {
				ctx = bob
			}
			if _, err := s.Records.SetRecordSet(ctx, in); status.Code(err) != c.mine {
				t.Errorf("%s %s %s: %v, want %s", who, c.fqdn, c.rrtype, err, c.mine)
			}
		}
		if _, err := s.Records.SetRecordSet(zoe, in); status.Code(err) != c.admin {
			t.Errorf("an administrator %s %s: %v, want %s", c.fqdn, c.rrtype, err, c.admin)
		}
	}
}

// The DS of a zone's apex stands in the zone above, whose administrators decide.
func TestADSIsTheUpperZones(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("example.org")
	s.Open("vo.example.org")
	_, err := s.Records.SetRecordSet(controltest.Person("egi/zoe"), &pb.SetRecordSetRequest{
		Fqdn: "vo.example.org", Type: "DS", Rdata: []string{"1 8 2 " + strings.Repeat("00", 32)},
	})
	controltest.WantErr(t, err, codes.NotFound, "")
}

func TestAHostChangesHands(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, bob, carol := controltest.Person("egi/alice"), controltest.Person("egi/bob"), controltest.Person("egi/carol")
	old := s.HostOf(alice, "mine.vo.example.org", "192.0.2.1")
	if _, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/carol"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Records.SetRecordSet(alice, &pb.SetRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT", Rdata: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	accept := func() (*pb.AcceptHostResponse, error) {
		return s.Hosts.AcceptHost(bob, &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"})
	}
	_, err := accept()
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "group:egi/vo"})
	controltest.WantErr(t, err, codes.InvalidArgument, "to")
	offer := func(to string) {
		t.Helper()
		if _, err := s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: to}); err != nil {
			t.Fatal(err)
		}
	}
	offer("egi/bob")
	offer("") // taken back
	_, err = accept()
	controltest.WantErr(t, err, codes.NotFound, "")
	offer("egi/bob")
	s.Clock.Add(8 * 24 * time.Hour) // too late
	_, err = accept()
	controltest.WantErr(t, err, codes.NotFound, "")
	offer("egi/bob")
	out, err := accept()
	if err != nil || out.Host.Owner != "egi/bob" || len(out.Host.Editors) != 0 || out.Host.OfferedTo != "" || out.Secret == "" {
		t.Fatalf("%v, %v", out, err)
	}
	for who, ctx := range map[string]func() error{
		"the old secret": func() error {
			_, err := s.Hosts.SetAddresses(controltest.As("mine.vo.example.org", old), &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.66"}})
			return err
		},
		"the former owner": func() error {
			_, err := s.Hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"the former editor": func() error {
			_, err := s.Hosts.GetHost(carol, &pb.GetHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"the challenge": func() error {
			_, err := s.Records.GetRecordSet(bob, &pb.GetRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT"})
			return err
		},
	} {
		if ctx() == nil {
			t.Errorf("%s is still good", who)
		}
	}
	if _, err := s.Hosts.SetAddresses(controltest.As("mine.vo.example.org", out.Secret), &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.2"}}); err != nil {
		t.Error(err)
	}
	seen, err := s.Audits.ListAuditRecords(bob, &pb.ListAuditRecordsRequest{Fqdn: "mine.vo.example.org"})
	if err != nil || len(seen.Records) != 1 || seen.Records[0].Action != "host.set-addresses" {
		t.Errorf("the new owner is shown the time of the old one: %v, %v", seen, err)
	}
}

func TestPeopleSeeTheirOwn(t *testing.T) {
	s := controltest.Start(t)
	s.Open("a.example.org")
	s.Open("b.example.org")
	s.Zone("hidden.example.org")
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob", "group:egi/friends")
	for _, h := range []string{"one.a.example.org", "two.a.example.org", "three.b.example.org"} {
		s.HostOf(alice, h)
	}
	s.HostOf(bob, "bobs.a.example.org")
	s.Host("x.hidden.example.org")
	if _, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "two.a.example.org", Add: []string{"group:egi/friends"}}); err != nil {
		t.Fatal(err)
	}
	hosts := func(who string, size int32, groups ...string) (all []string) {
		in := &pb.ListHostsRequest{PageSize: size}
		for {
			out, err := s.Hosts.ListHosts(controltest.Person(who, groups...), in)
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range out.Hosts {
				all = append(all, h.Fqdn)
			}
			if in.PageToken = out.NextPageToken; in.PageToken == "" {
				return all
			}
		}
	}
	for _, size := range []int32{1, 2, 100} {
		if got := hosts("egi/alice", size); !slices.Equal(got, []string{"one.a.example.org", "two.a.example.org", "three.b.example.org"}) {
			t.Errorf("alice sees %v in pages of %d", got, size)
		}
		if got := hosts("egi/bob", size, "group:egi/friends"); !slices.Equal(got, []string{"bobs.a.example.org", "two.a.example.org"}) {
			t.Errorf("bob sees %v in pages of %d", got, size)
		}
		if got := hosts("egi/zoe", size); len(got) != 4 {
			t.Errorf("an administrator sees %v in pages of %d", got, size)
		}
	}
	s.HostOf(controltest.Person("egi/zoe"), "zoes.a.example.org")
	for who, want := range map[string][]string{
		"egi/alice": {"one.a.example.org", "two.a.example.org", "three.b.example.org"}, "egi/bob": {"bobs.a.example.org", "two.a.example.org"}, "egi/zoe": {"zoes.a.example.org"},
	} {
		var groups []string
		if who == "egi/bob" {
			groups = []string{"group:egi/friends"}
		}
		out, err := s.Hosts.ListHosts(controltest.Person(who, groups...), &pb.ListHostsRequest{Mine: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range out.Hosts {
			got = append(got, h.Fqdn)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of %s are %v, want %v", who, got, want)
		}
	}
	var zones []string
	for in := (&pb.ListZonesRequest{PageSize: 1}); ; {
		out, err := s.Zones.ListZones(alice, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range out.Zones {
			if !z.Public || z.Policy != nil {
				t.Errorf("alice is shown %v, want that it is public and no policy", z)
			}
			zones = append(zones, z.Name)
		}
		if in.PageToken = out.NextPageToken; in.PageToken == "" {
			break
		}
	}
	if out, err := s.Zones.ListZones(controltest.Person("egi/zoe"), &pb.ListZonesRequest{}); err != nil || len(out.Zones) == 0 || out.Zones[0].GetPolicy().GetRegister() != "everyone" {
		t.Errorf("an administrator is shown %v, %v", out, err)
	}
	if !slices.Equal(zones, []string{"a.example.org", "b.example.org"}) {
		t.Errorf("alice sees zones %v", zones)
	}
	if z, err := s.Zones.GetZone(alice, &pb.GetZoneRequest{Name: "a.example.org"}); err != nil || z.Policy != nil {
		t.Errorf("a policy is shown to who is no administrator: %v, %v", z, err)
	}
	if z, err := s.Zones.GetZone(controltest.Person("egi/zoe"), &pb.GetZoneRequest{Name: "a.example.org"}); err != nil || z.Policy.GetRegister() != "everyone" {
		t.Errorf("%v, %v", z, err)
	}
}

func TestAQuotaOfHosts(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxHosts: new(uint32(2))})
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	s.HostOf(alice, "a.vo.example.org")
	s.HostOf(alice, "b.vo.example.org")
	_, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "c.vo.example.org"})
	controltest.WantErr(t, err, codes.ResourceExhausted, "fqdn")
	s.HostOf(bob, "d.vo.example.org")
	if _, err := s.Hosts.TransferHost(bob, &pb.TransferHostRequest{Fqdn: "d.vo.example.org", To: "egi/alice"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Hosts.AcceptHost(alice, &pb.AcceptHostRequest{Fqdn: "d.vo.example.org"})
	controltest.WantErr(t, err, codes.ResourceExhausted, "fqdn")
	if _, err := s.Hosts.DeleteHost(alice, &pb.DeleteHostRequest{Fqdn: "a.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err = s.Hosts.AcceptHost(alice, &pb.AcceptHostRequest{Fqdn: "d.vo.example.org"}); err != nil {
		t.Error(err)
	}
}

// What somebody may is looked at on the state that the change is made on: a right that
// another service took away a moment ago gives nothing.
func TestARightThatWasTakenAwayGivesNothingElsewhere(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again()
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "mine.vo.example.org")
	share := func(in *pb.ShareHostRequest) {
		t.Helper()
		in.Fqdn = "mine.vo.example.org"
		if _, err := s.Hosts.ShareHost(alice, in); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		share(&pb.ShareHostRequest{Add: []string{"egi/bob"}})
		if _, err := other.Hosts.GetHost(controltest.Person("egi/bob"), &pb.GetHostRequest{Fqdn: "mine.vo.example.org"}); err != nil {
			t.Fatalf("%d: an editor: %v", i, err)
		}
		share(&pb.ShareHostRequest{Remove: []string{"egi/bob"}})
		_, err := other.Hosts.GetHost(controltest.Person("egi/bob"), &pb.GetHostRequest{Fqdn: "mine.vo.example.org"})
		controltest.WantErr(t, err, codes.NotFound, "")
		_, err = other.Hosts.UpdateHost(controltest.Person("egi/bob"), &pb.UpdateHostRequest{Fqdn: "mine.vo.example.org", Comment: new("x")})
		controltest.WantErr(t, err, codes.NotFound, "")
	}
}

func TestBadPoliciesAreRefusedByField(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	for field, in := range map[string]*pb.UpdateZonePolicyRequest{
		"register":         {Register: new("somebody")},
		"admins[1]":        {Admins: &pb.Words{Values: []string{"egi/a", "alice@example.org"}}},
		"groups":           {Groups: &pb.Words{Values: []string{"egi/a"}}},
		"reserved":         {Reserved: &pb.Words{Values: []string{"a.b"}}},
		"depth":            {Depth: new(uint32(9))},
		"default_reserved": {DefaultReserved: true, Reserved: &pb.Words{}},
	} {
		in.Name = "vo.example.org"
		_, err := s.Zones.UpdateZonePolicy(s.Admin(), in)
		controltest.WantErr(t, err, codes.InvalidArgument, field)
	}
}

// Whether hosts may have loopback and link-local addresses is the operators' to say: what
// such a name does, it does on the machines of those who look it up.
func TestLocalAddressesAreForOperatorsToAllow(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	_, err := s.Zones.UpdateZone(controltest.Person("egi/zoe"), &pb.UpdateZoneRequest{Name: "vo.example.org", LocalAddresses: new(true)})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	if _, err := s.Zones.UpdateZone(controltest.Person("egi/zoe"), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: new(uint32(90))}); err != nil {
		t.Error(err)
	}
	if _, err := s.Zones.UpdateZone(controltest.Person("egi/olga", "group:egi/operators"), &pb.UpdateZoneRequest{Name: "vo.example.org", LocalAddresses: new(true)}); err != nil {
		t.Error(err)
	}
}
