package hosts_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// What is below a delegation is the zone's administrators', below a host too.
func TestTheOwnerOfAHostDoesNotSayWhereADelegationLeads(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, zoe := controltest.Person("egi/alice"), controltest.Person("egi/zoe")
	s.HostOf(alice, "mine.vo.example.org")
	for name, ns := range map[string]string{"sub.mine.vo.example.org": "NS", "other.mine.vo.example.org": "DNAME"} {
		if err := s.SetBy(zoe, name, ns, "ns.sub.mine.vo.example.org."); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SetBy(zoe, "ns.sub.mine.vo.example.org", "A", "192.0.2.7"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ns.sub", "sub", "x.sub", "x.other"} {
		controltest.WantErr(t, s.SetBy(alice, name+".mine.vo.example.org", "A", "192.0.2.66"), codes.NotFound, "")
	}
	_, err := s.Records.DeleteRecordSet(alice, &pb.DeleteRecordSetRequest{Fqdn: "ns.sub.mine.vo.example.org", Type: "A"})
	controltest.WantErr(t, err, codes.NotFound, "")
	if err := s.SetBy(alice, "x.mine.vo.example.org", "A", "192.0.2.66"); err != nil {
		t.Error(err)
	}
}

// What operators forbid to hosts is not had by a name below one.
func TestRecordsBelowAHostHaveTheAddressesThatHostsMay(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, zoe := controltest.Person("egi/alice"), controltest.Person("egi/zoe")
	s.HostOf(alice, "mine.vo.example.org")
	for rrtype, a := range map[string]string{"A": "127.0.0.1", "AAAA": "::1"} {
		controltest.WantErr(t, s.SetBy(alice, "x.mine.vo.example.org", rrtype, a), codes.InvalidArgument, "rdata")
		if err := s.SetBy(zoe, "localhost.vo.example.org", rrtype, a); err != nil {
			t.Error(err)
		}
	}
	controltest.WantErr(t, s.SetBy(alice, "x.mine.vo.example.org", "A", "192.0.2.1", "169.254.169.254"), codes.InvalidArgument, "")
	local := true
	if _, err := s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", LocalAddresses: &local}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetBy(alice, "x.mine.vo.example.org", "A", "127.0.0.1"); err != nil {
		t.Error(err)
	}
}

// A host answers for no name below another's host.
func TestAWildcardIsRefusedAboveAnothersHost(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2))})
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "mine.vo.example.org", "192.0.2.1")
	s.HostOf(alice, "x.mine.vo.example.org", "192.0.2.2")
	wildcard := func(who context.Context, on bool) error {
		_, err := s.Hosts.UpdateHost(who, &pb.UpdateHostRequest{Fqdn: "mine.vo.example.org", Wildcard: &on})
		return err
	}
	if err := wildcard(alice, true); err != nil {
		t.Fatal(err)
	}
	if err := wildcard(alice, false); err != nil {
		t.Fatal(err)
	}
	s.HandOver("x.mine.vo.example.org", alice, "egi/bob")
	controltest.WantErr(t, wildcard(alice, true), codes.PermissionDenied, "")
	if err := wildcard(controltest.Person("egi/zoe"), true); err != nil {
		t.Error(err)
	}
}

// Who has the address of a name server of the zone has the zone.
func TestNobodyRegistersANameServerOfTheZone(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Reserved: &pb.Words{}})
	file := "$ORIGIN vo.example.org.\n$TTL 60\n@ SOA dns.vo.example.org. h.example.net. 1 2 3 4 5\n@ NS dns.vo.example.org.\n@ NS ns.sub.vo.example.org.\n"
	if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"dns.vo.example.org", "sub.vo.example.org", "_acme-challenge.vo.example.org", "_dmarc.vo.example.org"} {
		_, err := s.Hosts.CreateHost(controltest.Person("egi/alice"), &pb.CreateHostRequest{Fqdn: name, Addresses: []string{"192.0.2.66"}})
		if err == nil {
			t.Errorf("%s is registered", name)
		}
	}
	s.HostOf(controltest.Person("egi/zoe"), "dns.vo.example.org", "192.0.2.53")
}

// However a name is written, what is decided on is what is done.
func TestNamesWrittenOtherwise(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	s.HostOf(alice, "mine.vo.example.org", "192.0.2.1")
	s.HostOf(bob, "bobs.vo.example.org", "192.0.2.2")
	md, _ := metadata.FromOutgoingContext(alice)
	auth := md.Get("authorization")[0]
	for _, name := range []string{
		"BOBS.vo.example.org", "bobs.vo.example.org.", `\098obs.vo.example.org`, `b\111bs.vo.example.org`, "x.bobs.vo.example.org", `x\.mine.bobs.vo.example.org`,
		"bobs。vo.example.org", "mine.vo.example.org/../bobs.vo.example.org", "ｂobs.vo.example.org",
	} {
		if err := s.SetBy(alice, name, "TXT", "x"); err == nil {
			t.Errorf("%q is written", name)
		}
		if _, err := s.Hosts.SetAddresses(alice, &pb.SetAddressesRequest{Fqdn: name, Addresses: []string{"192.0.2.66"}}); err == nil {
			t.Errorf("%q is set", name)
		}
	}
	for _, path := range []string{
		"/v1/hosts/bobs.vo.example.org", "/v1/hosts/mine.vo.example.org/../bobs.vo.example.org", "/v1/hosts/mine.vo.example.org%2F..%2Fbobs.vo.example.org",
		"/v1/hosts/bobs%2Evo.example.org", "/v1/hosts/bobs%252Evo.example.org", "/v1/hosts/bobs.vo.example.org.", "//v1/hosts/bobs.vo.example.org", "/v1/hosts/%42obs.vo.example.org",
		"/v1/hosts/mine.vo.example.org?fqdn=bobs.vo.example.org", "/v1/hosts/bobs.vo.example.org/records", "/v1/hosts/BOBS.vo.example.org/records/A",
	} {
		code, body := s.Call("GET", path, auth, "")
		if strings.Contains(body, "192.0.2.2") {
			t.Errorf("GET %s: %d %s", path, code, body)
		}
		if code, body := s.Call("PATCH", path, auth, `{"comment":"hers"}`); code == 200 {
			t.Errorf("PATCH %s: %d %s", path, code, body)
		}
	}
	if out, err := s.Hosts.GetHost(bob, &pb.GetHostRequest{Fqdn: "bobs.vo.example.org"}); err != nil || out.Comment != "" || out.Addresses[0] != "192.0.2.2" {
		t.Errorf("%v, %v", out, err)
	}
	if got := s.Sets("bobs.vo.example.org"); strings.Contains(got, "TXT") {
		t.Error(got)
	}
}

// Two services decide on the same etcd: whatever they decide at once, one of both is
// told no.
func TestRegistrationsAtOnceOnTwoServices(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again()
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2)), MaxHosts: new(uint32(1000)), MaxChanges: new(uint32(100000))})
	both := func(a, b func() error) (errA, errB error) {
		var wg sync.WaitGroup
		wg.Go(func() { errA = a() })
		wg.Go(func() { errB = b() })
		wg.Wait()
		return errA, errB
	}
	create := func(on *controltest.Server, who, fqdn string) func() error {
		return func() error {
			_, err := on.Hosts.CreateHost(controltest.Person(who), &pb.CreateHostRequest{Fqdn: fqdn})
			return err
		}
	}
	for i := range 40 {
		for _, names := range [][2]string{{"p%d.vo.example.org", "x.p%d.vo.example.org"}, {"s%d.vo.example.org", "s%d.vo.example.org"}} {
			a, b := both(create(s, "egi/alice", fmt.Sprintf(names[0], i)), create(other, "egi/bob", fmt.Sprintf(names[1], i)))
			if (a == nil) == (b == nil) {
				t.Errorf("%v: %v, %v", names, a, b)
			}
		}
	}
	t.Run("beyond a quota", func(t *testing.T) {
		s.Open("q.example.org")
		s.Policy("q.example.org", &pb.UpdateZonePolicyRequest{MaxHosts: new(uint32(1)), MaxChanges: new(uint32(100000))})
		for i := range 20 {
			who := fmt.Sprintf("egi/q%d", i)
			a, b := both(create(s, who, fmt.Sprintf("a%d.q.example.org", i)), create(other, who, fmt.Sprintf("b%d.q.example.org", i)))
			if (a == nil) == (b == nil) {
				t.Errorf("%d: %v, %v", i, a, b)
			}
		}
		for i := range 20 {
			who := fmt.Sprintf("egi/r%d", i)
			fqdn := fmt.Sprintf("o%d.q.example.org", i)
			if _, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: fqdn}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Hosts.TransferHost(s.Admin(), &pb.TransferHostRequest{Fqdn: fqdn, To: who}); err != nil {
				t.Fatal(err)
			}
			a, b := both(create(s, who, fmt.Sprintf("c%d.q.example.org", i)), func() error {
				_, err := other.Hosts.AcceptHost(controltest.Person(who), &pb.AcceptHostRequest{Fqdn: fqdn})
				return err
			})
			if (a == nil) == (b == nil) {
				t.Errorf("accept %d: %v, %v", i, a, b)
			}
		}
	})
}
