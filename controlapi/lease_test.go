package controlapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi"
	pb "signpost/proto/signpost/v1"
)

// day is what leases are counted in here.
const day = 24 * time.Hour

// endLeases looks twice, and between for as long as hosts are watched.
func (s *server) endLeases() (withdrawn, freed int, err error) {
	w, f, err := s.service.EndLeases(s.t.Context())
	if err != nil {
		return w, f, err
	}
	s.clock.pass(day)
	withdrawn, freed, err = s.service.EndLeases(s.t.Context())
	return w + withdrawn, f + freed, err
}

// ends ends leases, and checks how many hosts that withdrew and freed.
func (s *server) ends(when string, withdrawn, freed int) {
	s.t.Helper()
	w, f, err := s.endLeases()
	if err != nil || w != withdrawn || f != freed {
		s.t.Errorf("%s: %d withdrawn, %d freed, want %d and %d; %v", when, w, f, withdrawn, freed, err)
	}
}

func (s *server) shown(fqdn string) *pb.Host {
	s.t.Helper()
	h, err := s.hosts.GetHost(s.admin(), &pb.GetHostRequest{Fqdn: fqdn})
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

func TestALeaseEnds(t *testing.T) {
	s := start(t)
	other := s.again(func(c *controlapi.Config) { c.Now = s.clock.read })
	s.open("vo.example.org")
	alice := person("egi/alice")
	secret := s.hostOf(alice, "app.vo.example.org", "192.0.2.1")
	refresh := func(addr string) *pb.SetAddressesResponse {
		t.Helper()
		out, err := s.hosts.SetAddresses(as("app.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "app.vo.example.org", Addresses: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	s.clock.add(365 * day)
	s.ends("there is no lease", 0, 0)
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(40 * 86400))})
	s.ends("the lease counts from when it was set", 0, 0)
	if h := s.shown("app.vo.example.org"); !h.LeaseExpireTime.AsTime().Equal(s.clock.read().Add(40 * day)) {
		t.Errorf("expires %v", h.LeaseExpireTime.AsTime())
	}

	// A refresh is written once in a quarter of the lease, and is no change.
	etag := s.shown("app.vo.example.org").Etag
	s.clock.add(9 * day)
	if out := refresh("192.0.2.1"); out.Change.Changed || s.shown("app.vo.example.org").Etag != etag {
		t.Errorf("a refresh after nine days is written: %v", out)
	}
	s.clock.add(2 * day)
	out := refresh("192.0.2.1")
	if h := s.shown("app.vo.example.org"); out.Change.Changed || h.Etag == etag || h.Etag != out.Host.Etag || !h.LeaseExpireTime.AsTime().Equal(s.clock.read().Add(40*day)) {
		t.Errorf("after eleven days: %v, then %v", out, h)
	}
	s.clock.add(39 * day)
	refresh("192.0.2.2")
	s.clock.add(39 * day)
	s.ends("refreshed by a new address", 0, 0)

	// Who refreshes within the lease, be it not written, is answered.
	refresh("192.0.2.3")
	s.clock.add(9 * day)
	refresh("192.0.2.3")
	s.clock.add(39 * day)
	s.ends("refreshed 39 days ago", 0, 0)
	s.clock.add(2 * day)
	s.ends("not refreshed", 1, 0)
	if w, f, err := other.service.EndLeases(t.Context()); w+f != 0 || err != nil {
		t.Errorf("another service does it again: %d %d %v", w, f, err)
	}
	h := s.shown("app.vo.example.org")
	if h.Lapsed == nil || !strings.HasPrefix(h.Lapsed.Reason, "not refreshed since 20") || !h.LeaseExpireTime.AsTime().Equal(s.clock.read().Add(40*day)) {
		t.Errorf("%v", h)
	}
	if got := s.withdrawn("vo.example.org", "app.vo.example.org"); len(got) != 1 {
		t.Error("it is still answered")
	}
	s.clock.add(30 * day)
	s.ends("a further lease is longer than 30 days", 0, 0)
	if out := refresh("192.0.2.3"); !out.Change.Changed || out.Host.Lapsed != nil {
		t.Errorf("refreshed: %v", out)
	}
	if got := s.withdrawn("vo.example.org", "app.vo.example.org"); len(got) != 0 {
		t.Error("it is not answered again")
	}

	s.clock.add(50 * day)
	s.ends("not refreshed again", 1, 0)
	s.clock.add(40 * day)
	s.ends("and freed", 0, 1)
	_, err := s.hosts.GetHost(s.admin(), &pb.GetHostRequest{Fqdn: "app.vo.example.org"})
	wantErr(t, err, codes.NotFound, "")
	_, err = s.hosts.CreateHost(person("egi/bob"), &pb.CreateHostRequest{Fqdn: "app.vo.example.org"})
	wantErr(t, err, codes.PermissionDenied, "")
	records, err := s.audits.ListAuditRecords(s.admin(), &pb.ListAuditRecordsRequest{Fqdn: "app.vo.example.org", PageSize: 2})
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
	s := start(t)
	s.open("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(86400))})
	s.host("blocked.vo.example.org", "192.0.2.1")
	s.host("off.vo.example.org", "192.0.2.2")
	s.host("server.vo.example.org", "192.0.2.3")
	s.record("vo.example.org", "NS", "server.vo.example.org.", "ns.example.net.")
	if _, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: "blocked.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.DisableHost(s.admin(), &pb.DisableHostRequest{Fqdn: "off.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	s.clock.add(day + day/4)
	s.ends("after a day", 2, 0)
	if s.shown("server.vo.example.org").Lapsed != nil {
		t.Error("the name server is withdrawn")
	}
	s.clock.add(29 * day)
	if out, err := s.hosts.EnableHost(s.admin(), &pb.EnableHostRequest{Fqdn: "off.vo.example.org"}); err != nil || out.Host.Lapsed != nil || out.Host.Disabled != nil {
		t.Fatal(out, err)
	}
	s.clock.add(day + day/4 - time.Second)
	s.ends("enabled less than a day ago, but for what is unwritten", 0, 0)
	s.clock.add(time.Second)
	s.ends("enabled a day ago", 1, 0)
	s.clock.add(30 * day)
	s.ends("long ago", 0, 1)
	if s.shown("blocked.vo.example.org").Lapsed == nil {
		t.Error("the blocked host has not lapsed")
	}
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(0))})
	s.clock.add(365 * day)
	s.ends("without a lease", 0, 0)
}

// However many are due, one round does some and the next goes on.
func TestLeasesEndInRounds(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(86400))})
	for i := range 203 {
		s.host(fmt.Sprintf("h%d.vo.example.org", i), "192.0.2.1")
	}
	s.clock.add(day + day/4)
	s.ends("the first", 200, 0)
	s.ends("the second", 3, 0)
	s.ends("the third", 0, 0)
}

func TestAListSaysUntilWhenHostsMustBeRefreshed(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	s.open("none.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(3600))})
	s.hostOf(person("egi/alice"), "web.vo.example.org", "192.0.2.1")
	s.hostOf(person("egi/alice"), "web.none.example.org", "192.0.2.1")
	list, err := s.hosts.ListHosts(person("egi/alice"), &pb.ListHostsRequest{})
	if err != nil || len(list.Hosts) != 2 {
		t.Fatal(list, err)
	}
	for _, h := range list.Hosts {
		if h.Zone == "none.example.org" && h.LeaseExpireTime != nil || h.Zone == "vo.example.org" && !h.LeaseExpireTime.AsTime().Equal(s.clock.read().Add(time.Hour)) {
			t.Errorf("%s: %v", h.Fqdn, h.LeaseExpireTime.AsTime())
		}
	}
}
