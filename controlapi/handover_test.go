package controlapi_test

import (
	"bytes"
	"context"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "signpost/proto/signpost/v1"
)

// also is a context with more metadata.
func also(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func (s *server) setBy(who context.Context, fqdn, rrtype string, rdata ...string) error {
	s.t.Helper()
	_, err := s.records.SetRecordSet(who, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: rrtype, Rdata: rdata})
	return err
}

// handOver transfers a host from one person to another and answers its new secret.
func (s *server) handOver(fqdn string, from context.Context, to string) string {
	s.t.Helper()
	if _, err := s.hosts.TransferHost(from, &pb.TransferHostRequest{Fqdn: fqdn, To: to}); err != nil {
		s.t.Fatal(err)
	}
	out, err := s.hosts.AcceptHost(person(to), &pb.AcceptHostRequest{Fqdn: fqdn})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.Secret
}

// Promise 9 holds for the secret of a host that changes hands, too, and whoever did not
// hear the answer gets it again.
func TestTheSecretOfAnAcceptedHostIsKeptAsOthers(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	alice, bob := person("egi/alice"), also(person("egi/bob"), "request-id", "one")
	s.hostOf(alice, "mine.vo.example.org")
	if _, err := s.hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/bob"}); err != nil {
		t.Fatal(err)
	}
	accept := func() (*pb.AcceptHostResponse, error) {
		return s.hosts.AcceptHost(bob, &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"})
	}
	first, err := accept()
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.etcd().Get(t.Context(), s.prefix, clientv3.WithPrefix())
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
	s.handOver("mine.vo.example.org", person("egi/bob"), "egi/carol")
	if again, err := accept(); err == nil {
		t.Errorf("who has handed it on is answered %v", again)
	}
}

// Whoever answers at _acme-challenge gets certificates for the name, whether the
// records are there or are pointed to (RFC 8555 section 8.4, RFC 1034 section 3.6.2).
func TestAFormerOwnerAnswersNoChallenge(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	alice := person("egi/alice")
	s.hostOf(alice, "mine.vo.example.org")
	for name, sets := range map[string][2]string{
		"_acme-challenge.mine.vo.example.org":       {"CNAME", "mine.evil.example.net."},
		"_acme-challenge.x.mine.vo.example.org":     {"TXT", "hers"},
		"_acme-challenge.a.b.mine.vo.example.org":   {"CNAME", "ab.evil.example.net."},
		"kept.mine.vo.example.org":                  {"TXT", "kept"},
		"below._acme-challenge.mine.vo.example.org": {"TXT", "kept"},
	} {
		if err := s.setBy(alice, name, sets[0], sets[1]); err != nil {
			t.Fatal(err)
		}
	}
	s.handOver("mine.vo.example.org", alice, "egi/bob")
	for _, name := range []string{"_acme-challenge.mine", "_acme-challenge.x.mine", "_acme-challenge.a.b.mine"} {
		if got := s.sets(name + ".vo.example.org"); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := s.sets("kept.mine.vo.example.org"); got == "" {
		t.Error("other records are gone")
	}
}

// What was answered to a former owner gives nothing any more.
func TestAFormerOwnersRepeatedCalls(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	once := also(person("egi/alice"), "request-id", "one")
	twice := also(person("egi/alice"), "request-id", "two")
	if _, err := s.hosts.CreateHost(once, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.RotateSecret(twice, &pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	now := s.handOver("mine.vo.example.org", person("egi/alice"), "egi/bob")
	if out, err := s.hosts.CreateHost(once, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"}); err == nil && out.Secret == now {
		t.Error("the new secret is told")
	}
	_, err := s.hosts.RotateSecret(twice, &pb.RotateSecretRequest{Fqdn: "mine.vo.example.org"})
	wantErr(t, err, codes.NotFound, "")
	t.Run("an offer of before", func(t *testing.T) {
		s.hostOf(person("egi/alice"), "again.vo.example.org")
		if _, err := s.hosts.TransferHost(person("egi/alice"), &pb.TransferHostRequest{Fqdn: "again.vo.example.org", To: "egi/eve"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.hosts.DeleteHost(person("egi/alice"), &pb.DeleteHostRequest{Fqdn: "again.vo.example.org"}); err != nil {
			t.Fatal(err)
		}
		s.hostOf(person("egi/alice"), "again.vo.example.org")
		_, err := s.hosts.AcceptHost(person("egi/eve"), &pb.AcceptHostRequest{Fqdn: "again.vo.example.org"})
		wantErr(t, err, codes.NotFound, "")
	})
}

// An import that takes hosts away takes no rights in the zone away.
func TestAnImportLeavesWhoAdministersAZone(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxHosts: new(uint32(7))})
	alice, bob, zoe := person("egi/alice"), person("egi/bob"), person("egi/zoe")
	old := s.hostOf(alice, "mine.vo.example.org")
	if _, err := s.hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/eve"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/olga"}); err != nil {
		t.Fatal(err)
	}
	file := "$ORIGIN vo.example.org.\n$TTL 60\n@ SOA ns.example.net. h.example.net. 1 2 3 4 5\n@ NS ns.example.net.\n"
	in := &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true}
	_, err := s.load(zoe, in, file) // hosts are people's: only an operator takes all of them away
	wantErr(t, err, codes.PermissionDenied, "")
	if _, err := s.load(s.admin(), proto.Clone(in).(*pb.ImportZoneRequest), file); err != nil {
		t.Fatal(err)
	}
	z, err := s.zones.GetZone(zoe, &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || z.GetPolicy().GetRegister() != "everyone" || z.GetPolicy().GetMaxHosts() != 7 {
		t.Fatalf("%v, %v", z, err)
	}
	s.clock.add(30 * day) // the name is kept for its owner until then
	s.hostOf(bob, "mine.vo.example.org")
	for what, err := range map[string]error{
		"owner":  s.setBy(alice, "mine.vo.example.org", "TXT", "x"),
		"editor": s.setBy(person("egi/eve"), "mine.vo.example.org", "TXT", "x"),
		"offered": func() error {
			_, err := s.hosts.AcceptHost(person("egi/olga"), &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		}(),
		"audit": func() error {
			_, err := s.audits.ListAuditRecords(alice, &pb.ListAuditRecordsRequest{Fqdn: "mine.vo.example.org"})
			return err
		}(),
	} {
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = s.hosts.GetHost(as("mine.vo.example.org", old), &pb.GetHostRequest{Fqdn: "mine.vo.example.org"})
	wantErr(t, err, codes.Unauthenticated, "")
	if hosts, err := s.hosts.ListHosts(alice, &pb.ListHostsRequest{}); err != nil || len(hosts.Hosts) != 0 {
		t.Errorf("%v, %v", hosts, err)
	}
}

// A zone that is made anew has nothing of what was in it before, for nobody.
func TestAZoneMadeAnewIsNobodysOfBefore(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	alice, bob := person("egi/alice"), person("egi/bob")
	s.hostOf(alice, "mine.vo.example.org")
	if _, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true}); err != nil {
		t.Fatal(err)
	}
	s.zone("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Register: new("everyone"), MaxHosts: new(uint32(1))})
	s.hostOf(bob, "mine.vo.example.org", "192.0.2.66")
	if out, err := s.hosts.ListHosts(alice, &pb.ListHostsRequest{}); err != nil || len(out.Hosts) != 0 {
		t.Errorf("who had the name is shown %v, %v", out, err)
	}
	_, err := s.hosts.GetHost(alice, &pb.GetHostRequest{Fqdn: "mine.vo.example.org"})
	wantErr(t, err, codes.NotFound, "")
	_, err = s.zones.UpdateZone(person("egi/zoe"), &pb.UpdateZoneRequest{Name: "vo.example.org"})
	wantErr(t, err, codes.PermissionDenied, "")
	s.hostOf(alice, "other.vo.example.org") // what is gone counts for no quota
}
