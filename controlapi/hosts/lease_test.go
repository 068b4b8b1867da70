package hosts_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// day is what leases are counted in here.
const day = 24 * time.Hour

// endLeases looks twice, and between for as long as hosts are watched.
func endLeases(s *controltest.Server) (withdrawn, freed int, err error) {
	w, f, err := s.Service.EndLeases(s.T.Context())
	if err != nil {
		return w, f, err
	}
	s.Clock.Pass(day)
	withdrawn, freed, err = s.Service.EndLeases(s.T.Context())
	return w + withdrawn, f + freed, err
}

// ends ends leases, and checks how many hosts that withdrew and freed.
func ends(s *controltest.Server, when string, withdrawn, freed int) {
	s.T.Helper()
	w, f, err := endLeases(s)
	if err != nil || w != withdrawn || f != freed {
		s.T.Errorf("%s: %d withdrawn, %d freed, want %d and %d; %v", when, w, f, withdrawn, freed, err)
	}
}

func TestALeaseEnds(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again(func(c *controlapi.Config) { c.Now = s.Clock.Read })
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	secret := s.HostOf(alice, "app.vo.example.org", "192.0.2.1")
	refresh := func(addr string) *pb.SetAddressesResponse {
		t.Helper()
		out, err := s.Hosts.SetAddresses(controltest.As("app.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "app.vo.example.org", Addresses: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	s.Clock.Add(365 * day)
	ends(s, "there is no lease", 0, 0)
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(40 * 86400))})
	ends(s, "the lease counts from when it was set", 0, 0)
	if h := s.Shown("app.vo.example.org"); !h.LeaseExpireTime.AsTime().Equal(s.Clock.Read().Add(40 * day)) {
		t.Errorf("expires %v", h.LeaseExpireTime.AsTime())
	}

	// A refresh is written once in a quarter of the lease, and is no change.
	etag := s.Shown("app.vo.example.org").Etag
	s.Clock.Add(9 * day)
	if out := refresh("192.0.2.1"); out.Change.Changed || s.Shown("app.vo.example.org").Etag != etag {
		t.Errorf("a refresh after nine days is written: %v", out)
	}
	s.Clock.Add(2 * day)
	out := refresh("192.0.2.1")
	if h := s.Shown("app.vo.example.org"); out.Change.Changed || h.Etag == etag || h.Etag != out.Host.Etag || !h.LeaseExpireTime.AsTime().Equal(s.Clock.Read().Add(40*day)) {
		t.Errorf("after eleven days: %v, then %v", out, h)
	}
	s.Clock.Add(39 * day)
	refresh("192.0.2.2")
	s.Clock.Add(39 * day)
	ends(s, "refreshed by a new address", 0, 0)

	// Who refreshes within the lease, be it not written, is answered.
	refresh("192.0.2.3")
	s.Clock.Add(9 * day)
	refresh("192.0.2.3")
	s.Clock.Add(39 * day)
	ends(s, "refreshed 39 days ago", 0, 0)
	s.Clock.Add(2 * day)
	ends(s, "not refreshed", 1, 0)
	if w, f, err := other.Service.EndLeases(t.Context()); w+f != 0 || err != nil {
		t.Errorf("another service does it again: %d %d %v", w, f, err)
	}
	h := s.Shown("app.vo.example.org")
	if h.Lapsed == nil || !strings.HasPrefix(h.Lapsed.Reason, "not refreshed since 20") || !h.LeaseExpireTime.AsTime().Equal(s.Clock.Read().Add(40*day)) {
		t.Errorf("%v", h)
	}
	if got := withdrawn(s, "vo.example.org", "app.vo.example.org"); len(got) != 1 {
		t.Error("it is still answered")
	}
	s.Clock.Add(30 * day)
	ends(s, "a further lease is longer than 30 days", 0, 0)
	if out := refresh("192.0.2.3"); !out.Change.Changed || out.Host.Lapsed != nil {
		t.Errorf("refreshed: %v", out)
	}
	if got := withdrawn(s, "vo.example.org", "app.vo.example.org"); len(got) != 0 {
		t.Error("it is not answered again")
	}

	s.Clock.Add(50 * day)
	ends(s, "not refreshed again", 1, 0)
	s.Clock.Add(40 * day)
	ends(s, "and freed", 0, 1)
	_, err := s.Hosts.GetHost(s.Admin(), &pb.GetHostRequest{Fqdn: "app.vo.example.org"})
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = s.Hosts.CreateHost(controltest.Person("egi/bob"), &pb.CreateHostRequest{Fqdn: "app.vo.example.org"})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	records, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Fqdn: "app.vo.example.org", PageSize: 2})
	if err != nil || len(records.Records) != 2 {
		t.Fatal(records, err)
	}
	if r := records.Records[0]; r.Principal != "system/lease" || r.Action != "host.delete" {
		t.Errorf("the record of freeing is %v", r)
	}
	if r := records.Records[1]; r.Principal != "system/lease" || r.Action != "host.disable" || !strings.HasPrefix(r.After, "lapsed: not refreshed since") {
		t.Errorf("the record of withdrawing is %v", r)
	}
}

// A blocked host is not freed, nor a name server of the zone withdrawn; a disabled one
// that is enabled is refreshed.
func TestHostsWhoseLeaseEndsOtherwise(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(86400))})
	s.Host("blocked.vo.example.org", "192.0.2.1")
	s.Host("off.vo.example.org", "192.0.2.2")
	s.Host("server.vo.example.org", "192.0.2.3")
	s.Record("vo.example.org", "NS", "server.vo.example.org.", "ns.example.net.")
	if _, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: "blocked.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.DisableHost(s.Admin(), &pb.DisableHostRequest{Fqdn: "off.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	s.Clock.Add(day + day/4)
	ends(s, "after a day", 2, 0)
	if s.Shown("server.vo.example.org").Lapsed != nil {
		t.Error("the name server is withdrawn")
	}
	s.Clock.Add(29 * day)
	if out, err := s.Hosts.EnableHost(s.Admin(), &pb.EnableHostRequest{Fqdn: "off.vo.example.org"}); err != nil || out.Host.Lapsed != nil || out.Host.Disabled != nil {
		t.Fatal(out, err)
	}
	s.Clock.Add(day + day/4 - time.Second)
	ends(s, "enabled less than a day ago, but for what is unwritten", 0, 0)
	s.Clock.Add(time.Second)
	ends(s, "enabled a day ago", 1, 0)
	s.Clock.Add(30 * day)
	ends(s, "long ago", 0, 1)
	if s.Shown("blocked.vo.example.org").Lapsed == nil {
		t.Error("the blocked host has not lapsed")
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(0))})
	s.Clock.Add(365 * day)
	ends(s, "without a lease", 0, 0)
}

// However many are due, one round does some and the next goes on.
func TestLeasesEndInRounds(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(86400))})
	for i := range 203 {
		s.Host(fmt.Sprintf("h%d.vo.example.org", i), "192.0.2.1")
	}
	s.Clock.Add(day + day/4)
	ends(s, "the first", 200, 0)
	ends(s, "the second", 3, 0)
	ends(s, "the third", 0, 0)
}

func TestAListSaysUntilWhenHostsMustBeRefreshed(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Open("none.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(3600))})
	s.HostOf(controltest.Person("egi/alice"), "web.vo.example.org", "192.0.2.1")
	s.HostOf(controltest.Person("egi/alice"), "web.none.example.org", "192.0.2.1")
	list, err := s.Hosts.ListHosts(controltest.Person("egi/alice"), &pb.ListHostsRequest{})
	if err != nil || len(list.Hosts) != 2 {
		t.Fatal(list, err)
	}
	for _, h := range list.Hosts {
		if h.Zone == "none.example.org" && h.LeaseExpireTime != nil || h.Zone == "vo.example.org" && !h.LeaseExpireTime.AsTime().Equal(s.Clock.Read().Add(time.Hour)) {
			t.Errorf("%s: %v", h.Fqdn, h.LeaseExpireTime.AsTime())
		}
	}
}
