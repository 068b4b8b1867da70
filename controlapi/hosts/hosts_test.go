package hosts_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestAHostIsRegisteredUpdatedAndDeleted(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	made, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{
		Fqdn: "WWW.vo.example.org.", Addresses: []string{"192.0.2.2", "192.0.2.1", "2001:db8::1"}, Comment: "trial",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Secret) != 32 || !made.Change.Changed || made.Host.Fqdn != "www.vo.example.org" || made.Host.Zone != "vo.example.org" || made.Host.Owner != "admin/first" {
		t.Errorf("made %v", made)
	}
	got, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	if err != nil || !proto.Equal(got, made.Host) {
		t.Errorf("got %v, want %v (%v)", got, made.Host, err)
	}
	s.Clock.Add(time.Minute)
	set, err := s.Hosts.SetAddresses(controltest.As("www.vo.example.org", made.Secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.9"}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(set.Host.Addresses, []string{"192.0.2.9", "2001:db8::1"}) {
		t.Errorf("the other family was not left alone: %v", set.Host.Addresses)
	}
	if !set.Host.UpdateTimeIpv4.AsTime().Equal(s.Clock.Read()) || !set.Host.UpdateTimeIpv6.AsTime().Equal(made.Host.CreateTime.AsTime()) {
		t.Errorf("update times: %v", set.Host)
	}
	if set.Host.Etag == made.Host.Etag || set.Change.Revision <= made.Change.Revision {
		t.Errorf("etag %s, revision %d", set.Host.Etag, set.Change.Revision)
	}
	if got := s.Sets("www.vo.example.org"); got != "A 60 192.0.2.9\nAAAA 60 2001:db8::1" {
		t.Errorf("records: %s", got)
	}
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "www.vo.example.org", Etag: set.Host.Etag}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = s.Hosts.SetAddresses(controltest.As("www.vo.example.org", made.Secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.9"}})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
}

func TestAnUpdateThatChangesNothingWritesNothing(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org", "192.0.2.1")
	before, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	s.Clock.Add(time.Hour)
	set, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1", "::ffff:192.0.2.1"}, ClearIpv6: true})
	if err != nil || set.Change.Changed || !proto.Equal(set.Host, before) {
		t.Errorf("%v, %v", set, err)
	}
	upd, err := s.Hosts.UpdateHost(s.Admin(), &pb.UpdateHostRequest{Fqdn: "www.vo.example.org", Ttl: proto.Uint32(0), Comment: proto.String("")})
	if err != nil || upd.Change.Changed || !proto.Equal(upd.Host, before) {
		t.Errorf("%v, %v", upd, err)
	}
	out, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Fqdn: "www.vo.example.org"})
	if err != nil || len(out.Records) != 1 {
		t.Errorf("%v, %v", out, err)
	}
}

func TestWhatBadHostsGet(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Record("old.vo.example.org", "A", "192.0.2.1")
	s.Record("alias.vo.example.org", "CNAME", "www.example.net.")
	s.Record("mail.vo.example.org", "MX", "10 mx.example.net.")
	s.Host("www.vo.example.org")
	many := make([]string, 17)
	for i := range many {
		many[i] = "192.0.2." + string(rune('0'+i%10)) + string(rune('0'+i/10))
	}
	for name, c := range map[string]struct {
		in    *pb.CreateHostRequest
		code  codes.Code
		field string
	}{
		"no name":            {&pb.CreateHostRequest{}, codes.InvalidArgument, "fqdn"},
		"underscore":         {&pb.CreateHostRequest{Fqdn: "a_b.vo.example.org"}, codes.InvalidArgument, "fqdn"},
		"wildcard":           {&pb.CreateHostRequest{Fqdn: "*.vo.example.org"}, codes.InvalidArgument, "fqdn"},
		"label too long":     {&pb.CreateHostRequest{Fqdn: strings.Repeat("a", 64) + ".vo.example.org"}, codes.InvalidArgument, "fqdn"},
		"name too long":      {&pb.CreateHostRequest{Fqdn: strings.Repeat("abcdefgh.", 28) + "vo.example.org"}, codes.InvalidArgument, "fqdn"},
		"apex":               {&pb.CreateHostRequest{Fqdn: "vo.example.org"}, codes.InvalidArgument, "fqdn"},
		"no zone":            {&pb.CreateHostRequest{Fqdn: "www.example.net"}, codes.NotFound, ""},
		"there":              {&pb.CreateHostRequest{Fqdn: "www.vo.example.org"}, codes.AlreadyExists, "fqdn"},
		"A there":            {&pb.CreateHostRequest{Fqdn: "old.vo.example.org"}, codes.AlreadyExists, "fqdn"},
		"CNAME there":        {&pb.CreateHostRequest{Fqdn: "alias.vo.example.org"}, codes.AlreadyExists, "fqdn"},
		"no address":         {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"999"}}, codes.InvalidArgument, "addresses[0]"},
		"unspecified":        {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"192.0.2.1", "::"}}, codes.InvalidArgument, "addresses[1]"},
		"multicast":          {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"224.0.0.1"}}, codes.InvalidArgument, "addresses[0]"},
		"loopback":           {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"127.0.0.1"}}, codes.InvalidArgument, "addresses[0]"},
		"loopback, mapped":   {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"::ffff:127.0.0.1"}}, codes.InvalidArgument, "addresses[0]"},
		"link-local":         {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"fe80::1"}}, codes.InvalidArgument, "addresses[0]"},
		"address with zone":  {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"fe80::1%eth0"}}, codes.InvalidArgument, "addresses[0]"},
		"too many addresses": {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: many}, codes.InvalidArgument, "addresses"},
		"TTL too small":      {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Ttl: 1}, codes.InvalidArgument, "ttl"},
		"TTL too large":      {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Ttl: 86401}, codes.InvalidArgument, "ttl"},
		"comment too long":   {&pb.CreateHostRequest{Fqdn: "x.vo.example.org", Comment: strings.Repeat("x", 501)}, codes.InvalidArgument, "comment"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Hosts.CreateHost(s.Admin(), c.in)
			controltest.WantErr(t, err, c.code, c.field)
		})
	}
	if _, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "x.vo.example.org"}); err == nil {
		t.Error("something changed")
	}
	s.Host("mail.vo.example.org", "192.0.2.7")
	if got := s.Sets("mail.vo.example.org"); got != "A 60 192.0.2.7\nMX 60 10 mx.example.net." {
		t.Errorf("other records of the name were not adopted: %s", got)
	}
	s.Host("bücher.vo.example.org")
	if _, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "xn--bcher-kva.vo.example.org"}); err != nil {
		t.Error(err)
	}
}

func TestWhatBadAddressUpdatesGet(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("www.vo.example.org")
	s.Host("alias.vo.example.org")
	s.Record("alias.vo.example.org", "CNAME", "www.vo.example.org.")
	for name, c := range map[string]struct {
		in    *pb.SetAddressesRequest
		code  codes.Code
		field string
	}{
		"nothing":            {&pb.SetAddressesRequest{Fqdn: "www.vo.example.org"}, codes.InvalidArgument, "addresses"},
		"clear and set":      {&pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}, ClearIpv4: true}, codes.InvalidArgument, "clear_ipv4"},
		"clear and set IPv6": {&pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"2001:db8::1"}, ClearIpv6: true}, codes.InvalidArgument, "clear_ipv6"},
		"no such host":       {&pb.SetAddressesRequest{Fqdn: "no.vo.example.org", ClearIpv4: true}, codes.NotFound, ""},
		"beside a CNAME":     {&pb.SetAddressesRequest{Fqdn: "alias.vo.example.org", Addresses: []string{"192.0.2.1"}}, codes.FailedPrecondition, "addresses"},
		"another etag":       {&pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.1"}, Etag: `"1"`}, codes.Aborted, "etag"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Hosts.SetAddresses(s.Admin(), c.in)
			controltest.WantErr(t, err, c.code, c.field)
		})
	}
}

func TestLocalAddressesAreForZonesThatAllowThem(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	if _, err := s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", LocalAddresses: proto.Bool(true)}); err != nil {
		t.Fatal(err)
	}
	s.Host("www.vo.example.org", "127.0.0.1", "fe80::1")
	_, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "x.vo.example.org", Addresses: []string{"0.0.0.0"}})
	controltest.WantErr(t, err, codes.InvalidArgument, "addresses[0]")
}

func TestAWildcardHostOwnsTheNameBelowIt(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Record("*.a.vo.example.org", "TXT", "x")
	_, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "a.vo.example.org", Wildcard: true})
	controltest.WantErr(t, err, codes.FailedPrecondition, "wildcard")
	s.Host("b.vo.example.org", "192.0.2.1")
	up, err := s.Hosts.UpdateHost(s.Admin(), &pb.UpdateHostRequest{Fqdn: "b.vo.example.org", Wildcard: proto.Bool(true), Ttl: proto.Uint32(300)})
	if err != nil || !up.Host.Wildcard || up.Host.Ttl != 300 {
		t.Fatal(up, err)
	}
	_, err = s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "*.b.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "fqdn")
}

func TestADeletedHostTakesItsNamesAlong(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("h.vo.example.org", "192.0.2.1")
	s.Host("other.h.vo.example.org", "192.0.2.2")
	s.Record("h.vo.example.org", "TXT", "x")
	s.Record("_sip._tcp.h.vo.example.org", "SRV", "0 0 5060 h.vo.example.org.")
	s.Record("x.other.h.vo.example.org", "TXT", "x")
	s.Record("sub.h.vo.example.org", "NS", "ns.example.net.")
	s.Record("h2.vo.example.org", "TXT", "x")
	if _, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "h.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"h.vo.example.org": "", "_sip._tcp.h.vo.example.org": "", "other.h.vo.example.org": "A 60 192.0.2.2",
		"x.other.h.vo.example.org": "TXT 60 \"x\"", "sub.h.vo.example.org": "NS 60 ns.example.net.", "h2.vo.example.org": "TXT 60 \"x\"",
	} {
		if got := s.Sets(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestHostsAreListedInPages(t *testing.T) {
	s := controltest.Start(t)
	want := []string{}
	for _, z := range []string{"a.example.org", "b.example.org"} {
		s.Zone(z)
		for _, h := range []string{"h1", "h2", "h3"} {
			s.Host(h+"."+z, "192.0.2.1")
			want = append(want, h+"."+z)
		}
	}
	s.Host("h4.b.example.org", "2001:db8::77")
	want = append(want, "h4.b.example.org")
	for _, size := range []int32{1, 2, 3, 4, 100} {
		var got []string
		for token := ""; ; {
			out, err := s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{PageSize: size, PageToken: token})
			if err != nil || len(out.Hosts) > int(size) {
				t.Fatal(out, err)
			}
			for _, h := range out.Hosts {
				got = append(got, h.Fqdn)
			}
			if token = out.NextPageToken; token == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	for in, want := range map[*pb.ListHostsRequest]int{
		{Zone: "b.example.org"}:                             4,
		{Address: "2001:db8::/64"}:                          1,
		{Address: "192.0.2.1"}:                              6,
		{Address: "192.0.2.0/24", Zone: "b.example.org"}:    3,
		{Address: "198.51.100.0/24", Zone: "b.example.org"}: 0,
	} {
		out, err := s.Hosts.ListHosts(s.Admin(), in)
		if err != nil || len(out.Hosts) != want {
			t.Errorf("%v: %d hosts, want %d (%v)", in, len(out.GetHosts()), want, err)
		}
	}
	_, err := s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{PageToken: "nonsense"})
	controltest.WantErr(t, err, codes.InvalidArgument, "page_token")
	_, err = s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{Address: "nonsense"})
	controltest.WantErr(t, err, codes.InvalidArgument, "address")
	_, err = s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{Zone: "no.example.org"})
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = s.Hosts.ListHosts(s.Admin(), &pb.ListHostsRequest{PageSize: 1001})
	controltest.WantErr(t, err, codes.InvalidArgument, "page_size")
}

func TestAHostThatIsHiddenIsMadeWithAWarning(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Record("cut.vo.example.org", "NS", "ns.example.net.")
	s.Record("moved.vo.example.org", "DNAME", "example.net.")
	for fqdn, by := range map[string]string{"a.b.cut.vo.example.org": "cut.vo.example.org", "a.moved.vo.example.org": "moved.vo.example.org", "a.vo.example.org": ""} {
		out, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: fqdn})
		if err != nil || (len(out.Warnings) > 0) != (by != "") || by != "" && !strings.Contains(out.Warnings[0], by) {
			t.Errorf("%s: %v, %v", fqdn, out.GetWarnings(), err)
		}
	}
}
