package hosts_test

import (
	"bytes"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Promise 9 holds for the secret of a host that changes hands, too, and whoever did not
// hear the answer gets it again.
func TestTheSecretOfAnAcceptedHostIsKeptAsOthers(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, bob := controltest.Person("egi/alice"), controltest.Also(controltest.Person("egi/bob"), "request-id", "one")
	s.HostOf(alice, "mine.vo.example.org")
	if _, err := s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/bob"}); err != nil {
		t.Fatal(err)
	}
	accept := func() (*pb.AcceptHostResponse, error) {
		return s.Hosts.AcceptHost(bob, &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"})
	}
	first, err := accept()
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Etcd().Get(t.Context(), s.Prefix, clientv3.WithPrefix())
	if err != nil || len(all.Kvs) == 0 {
		t.Fatal(all, err)
	}
	for _, kv := range all.Kvs {
		if bytes.Contains(kv.Value, []byte(first.Secret)) {
			t.Errorf("%s holds the secret", kv.Key)
		}
	}
	if again, err := accept(); err != nil || again.Secret != first.Secret {
		t.Errorf("again: %v, %v", again, err)
	}
	s.HandOver("mine.vo.example.org", controltest.Person("egi/bob"), "egi/carol")
	if again, err := accept(); err == nil {
		t.Errorf("who has handed it on is answered %v", again)
	}
}

// Whoever answers at _acme-challenge gets certificates for the name, whether the
// records are there or are pointed to (RFC 8555 section 8.4, RFC 1034 section 3.6.2).
func TestAFormerOwnerAnswersNoChallenge(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice := controltest.Person("egi/alice")
	s.HostOf(alice, "mine.vo.example.org")
	for name, sets := range map[string][2]string{
		"_acme-challenge.mine.vo.example.org":       {"CNAME", "mine.evil.example.net."},
		"_acme-challenge.x.mine.vo.example.org":     {"TXT", "hers"},
		"_acme-challenge.a.b.mine.vo.example.org":   {"CNAME", "ab.evil.example.net."},
		"kept.mine.vo.example.org":                  {"TXT", "kept"},
		"below._acme-challenge.mine.vo.example.org": {"TXT", "kept"},
	} {
		if err := s.SetBy(alice, name, sets[0], sets[1]); err != nil {
			t.Fatal(err)
		}
	}
	s.HandOver("mine.vo.example.org", alice, "egi/bob")
	for _, name := range []string{"_acme-challenge.mine", "_acme-challenge.x.mine", "_acme-challenge.a.b.mine"} {
		if got := s.Sets(name + ".vo.example.org"); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := s.Sets("kept.mine.vo.example.org"); got == "" {
		t.Error("other records are gone")
	}
}

// What was answered to a former owner gives nothing any more.
func TestAFormerOwnersRepeatedCalls(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	once := controltest.Also(controltest.Person("egi/alice"), "request-id", "one")
	twice := controltest.Also(controltest.Person("egi/alice"), "request-id", "two")
	if _, err := s.Hosts.CreateHost(once, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.RotateSecret(twice, &pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	now := s.HandOver("mine.vo.example.org", controltest.Person("egi/alice"), "egi/bob")
	if out, err := s.Hosts.CreateHost(once, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"}); err == nil && out.Secret == now {
		t.Error("the new secret is told")
	}
	_, err := s.Hosts.RotateSecret(twice, &pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"})
	controltest.WantErr(t, err, codes.NotFound, "")
	t.Run("an offer of before", func(t *testing.T) {
		s.HostOf(controltest.Person("egi/alice"), "again.vo.example.org")
		if _, err := s.Hosts.TransferHost(controltest.Person("egi/alice"), &pb.TransferHostRequest{Fqdn: "again.vo.example.org", To: "egi/eve"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Hosts.DeleteHost(controltest.Person("egi/alice"), &pb.DeleteHostRequest{Fqdn: "again.vo.example.org"}); err != nil {
			t.Fatal(err)
		}
		s.HostOf(controltest.Person("egi/alice"), "again.vo.example.org")
		_, err := s.Hosts.AcceptHost(controltest.Person("egi/eve"), &pb.AcceptHostRequest{Fqdn: "again.vo.example.org"})
		controltest.WantErr(t, err, codes.NotFound, "")
	})
}

// An import that takes hosts away takes no rights in the zone away.
func TestAnImportLeavesWhoAdministersAZone(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxHosts: new(uint32(7))})
	alice, bob, zoe := controltest.Person("egi/alice"), controltest.Person("egi/bob"), controltest.Person("egi/zoe")
	old := s.HostOf(alice, "mine.vo.example.org")
	if _, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/eve"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/olga"}); err != nil {
		t.Fatal(err)
	}
	file := "$ORIGIN vo.example.org.\n$TTL 60\n@ SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ NS ns.example.net.\n"
	in := &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true}
	_, err := s.Load(zoe, in, file) // hosts are people's: only an operator takes all of them away
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	if _, err := s.Load(s.Admin(), proto.Clone(in).(*pb.ImportZoneRequest), file); err != nil {
		t.Fatal(err)
	}
	z, err := s.Zones.GetZone(zoe, &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || z.GetPolicy().GetRegister() != "everyone" || z.GetPolicy().GetMaxHosts() != 7 {
		t.Fatalf("%v, %v", z, err)
	}
	s.Clock.Add(30 * day) // the name is kept for its owner until then
	s.HostOf(bob, "mine.vo.example.org")
	for what, err := range map[string]error{
		"owner":  s.SetBy(alice, "mine.vo.example.org", "TXT", "x"),
		"editor": s.SetBy(controltest.Person("egi/eve"), "mine.vo.example.org", "TXT", "x"),
		"offered": func() error {
			_, err := s.Hosts.AcceptHost(controltest.Person("egi/olga"), &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		}(),
		"audit": func() error {
			_, err := s.Audits.ListAuditRecords(alice, &pb.ListAuditRecordsRequest{Fqdn: "mine.vo.example.org"})
			return err
		}(),
	} {
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = s.Hosts.GetHost(controltest.As("mine.vo.example.org", old), &pb.GetHostRequest{Fqdn: "mine.vo.example.org"})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	if hosts, err := s.Hosts.ListHosts(alice, &pb.ListHostsRequest{}); err != nil || len(hosts.Hosts) != 0 {
		t.Errorf("%v, %v", hosts, err)
	}
}

// A zone that is made anew has nothing of what was in it before, for nobody.
func TestAZoneMadeAnewIsNobodysOfBefore(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	s.HostOf(alice, "mine.vo.example.org")
	if _, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	s.Zone("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), MaxHosts: new(uint32(1))})
	s.HostOf(bob, "mine.vo.example.org", "192.0.2.66")
	if out, err := s.Hosts.ListHosts(alice, &pb.ListHostsRequest{}); err != nil || len(out.Hosts) != 0 {
		t.Errorf("who had the name is shown %v, %v", out, err)
	}
	_, err := s.Hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: "mine.vo.example.org"})
	controltest.WantErr(t, err, codes.NotFound, "")
	_, err = s.Zones.UpdateZone(controltest.Person("egi/zoe"), &pb.UpdateZoneRequest{Name: "vo.example.org"})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	s.HostOf(alice, "other.vo.example.org") // what is gone counts for no quota
}
