package controlapi_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// withdrawn is which of these names of a zone are.
func (s *server) withdrawn(zone string, names ...string) (out []string) {
	s.t.Helper()
	if err := s.store.Read(s.t.Context(), func(tx *store.Tx) error {
		z, err := tx.Zone(model.NameOf(zone + "."))
		if err != nil {
			return err
		}
		for _, n := range names {
			d, err := tx.Datas(z, model.NameOf(n+"."))
			if err != nil {
				return err
			}
			if d[0] != nil && d[0].Withdrawn {
				out = append(out, n)
			}
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// What a blocked host's owner, editors and secret may do with it is look at it.
func TestABlockedHostIsNoLongerItsOwners(t *testing.T) {
	s := start(t)
	s.open("vo.example.org")
	s.policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2))})
	alice, bob, zoe := person("egi/alice"), person("egi/bob"), person("egi/zoe")
	secret := s.hostOf(alice, "mine.vo.example.org", "192.0.2.1")
	if _, err := s.hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/bob"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/carol"}); err != nil {
		t.Fatal(err)
	}
	_, err := s.hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: "mine.vo.example.org"})
	wantErr(t, err, codes.InvalidArgument, "reason")
	if _, err := s.hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: "mine.vo.example.org", Reason: "phishing, ticket 4711"}); err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"delete": func() error {
			_, err := s.hosts.DeleteHost(alice, &pb.DeleteHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"unblock": func() error {
			_, err := s.hosts.UnblockHost(alice, &pb.UnblockHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"transfer": func() error {
			_, err := s.hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/dave"})
			return err
		},
		"accept": func() error {
			_, err := s.hosts.AcceptHost(person("egi/carol"), &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"a host below it": func() error {
			_, err := s.hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "x.mine.vo.example.org"})
			return err
		},
		"addresses": func() error {
			_, err := s.hosts.SetAddresses(bob, &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.2"}})
			return err
		},
		"addresses with the secret": func() error {
			_, err := s.hosts.SetAddresses(as("mine.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.1"}})
			return err
		},
		"records below it": func() error {
			_, err := s.records.SetRecordSet(bob, &pb.SetRecordSetRequest{Fqdn: "x.mine.vo.example.org", Type: "A", Rdata: []string{"192.0.2.2"}})
			return err
		},
		"a challenge": func() error {
			_, err := s.records.SetRecordSet(as("mine.vo.example.org", secret), &pb.SetRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
			return err
		},
	} {
		err := try()
		wantErr(t, err, codes.PermissionDenied, "")
		if err != nil && !strings.Contains(err.Error(), "host mine.vo.example.org is blocked: phishing, ticket 4711; ask an administrator of the zone") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = s.hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"})
	wantErr(t, err, codes.PermissionDenied, "")
	for _, ctx := range []context.Context{alice, bob, as("mine.vo.example.org", secret)} {
		if h, err := s.hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: "mine.vo.example.org"}); err != nil || h.Blocked.GetReason() != "phishing, ticket 4711" || h.Blocked.Time == nil {
			t.Errorf("%v, %v", h, err)
		}
	}
	if _, err := s.hosts.SetAddresses(zoe, &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.9"}}); err != nil {
		t.Error(err)
	}
	if got := s.withdrawn("vo.example.org", "mine.vo.example.org"); len(got) != 1 {
		t.Error("it is answered again")
	}
	out, err := s.hosts.UnblockHost(zoe, &pb.UnblockHostRequest{Fqdn: "mine.vo.example.org"})
	if err != nil || out.Host.Blocked != nil || !out.Change.Changed {
		t.Fatal(out, err)
	}
	if got := s.withdrawn("vo.example.org", "mine.vo.example.org"); len(got) != 0 {
		t.Error("it is not answered again")
	}
	if _, err := s.hosts.SetAddresses(as("mine.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.2"}}); err != nil {
		t.Error(err)
	}
}

// What belongs to a host goes with it and comes back with it; what stands for itself
// stays.
func TestWhatIsWithdrawnWithAHost(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.host("h.vo.example.org", "192.0.2.1")
	s.record("h.vo.example.org", "TXT", "kept")
	s.record("x.h.vo.example.org", "A", "192.0.2.2")
	s.record("cut.h.vo.example.org", "NS", "ns.example.net.")
	s.host("own.h.vo.example.org", "192.0.2.3")
	s.record("x.own.h.vo.example.org", "A", "192.0.2.4")
	names := []string{
		"h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "cut.h.vo.example.org", "own.h.vo.example.org", "x.own.h.vo.example.org",
		"later.h.vo.example.org", "x.later.h.vo.example.org",
	}
	want := func(when string, want ...string) {
		t.Helper()
		if got := strings.Join(s.withdrawn("vo.example.org", names...), " "); got != strings.Join(want, " ") {
			t.Errorf("%s: withdrawn are %q, want %q", when, got, want)
		}
	}
	disable := func(fqdn string) {
		t.Helper()
		if _, err := s.hosts.DisableHost(s.admin(), &pb.DisableHostRequest{Fqdn: fqdn}); err != nil {
			t.Fatal(err)
		}
	}
	enable := func(fqdn string) {
		t.Helper()
		if _, err := s.hosts.EnableHost(s.admin(), &pb.EnableHostRequest{Fqdn: fqdn}); err != nil {
			t.Fatal(err)
		}
	}
	want("at first")
	disable("h.vo.example.org")
	want("disabled", "h.vo.example.org", "x.h.vo.example.org")
	s.record("new.h.vo.example.org", "A", "192.0.2.5")
	s.record("x.later.h.vo.example.org", "A", "192.0.2.6")
	want("and more records", "h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "x.later.h.vo.example.org")
	s.record("later.h.vo.example.org", "NS", "ns.example.net.")
	want("and a delegation above them", "h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "x.later.h.vo.example.org")
	if got := s.sets("h.vo.example.org"); got != "A 60 192.0.2.1\nTXT 60 \"kept\"" {
		t.Errorf("stored is %q", got)
	}
	if got := s.export("vo.example.org"); strings.Contains(got, "192.0.2.1\n") || strings.Contains(got, "kept") || !strings.Contains(got, "192.0.2.3\n") {
		t.Errorf("the zone file is\n%s", got)
	}
	_, err := s.hosts.CreateHost(s.admin(), &pb.CreateHostRequest{Fqdn: "fresh.h.vo.example.org"})
	wantErr(t, err, codes.FailedPrecondition, "fqdn")
	_, err = s.hosts.SetAddresses(s.admin(), &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.9"}})
	wantErr(t, err, codes.FailedPrecondition, "fqdn")
	if _, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: "h.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	enable("h.vo.example.org")
	want("enabled, and blocked", "h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "x.later.h.vo.example.org")
	if _, err := s.hosts.UnblockHost(s.admin(), &pb.UnblockHostRequest{Fqdn: "h.vo.example.org"}); err != nil {
		t.Fatal(err)
	}
	want("neither")
	disable("own.h.vo.example.org")
	want("the one below it", "own.h.vo.example.org", "x.own.h.vo.example.org")
	disable("h.vo.example.org")
	enable("h.vo.example.org")
	want("the one below it still", "own.h.vo.example.org", "x.own.h.vo.example.org")
}

func TestANameServerOfTheZoneIsNotWithdrawn(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	s.host("h.vo.example.org", "192.0.2.1")
	s.record("ns.h.vo.example.org", "A", "192.0.2.2")
	s.record("vo.example.org", "NS", "h.vo.example.org.", "ns.h.vo.example.org.")
	for range 2 {
		_, err := s.hosts.BlockHost(s.admin(), &pb.BlockHostRequest{Fqdn: "h.vo.example.org", Reason: "phishing"})
		wantErr(t, err, codes.FailedPrecondition, "")
		s.record("vo.example.org", "NS", "ns.example.net.", "ns.h.vo.example.org.")
	}
}
