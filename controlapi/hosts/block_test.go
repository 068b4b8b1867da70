package hosts_test

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// withdrawn is which of these names of a zone are.
func withdrawn(s *controltest.Server, zone string, names ...string) (out []string) {
	s.T.Helper()
	if err := s.Store.Read(s.T.Context(), func(tx *store.Tx) error {
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
		s.T.Fatal(err)
	}
	return out
}

// What a blocked host's owner, editors and secret may do with it is look at it.
func TestABlockedHostIsNoLongerItsOwners(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(2))})
	alice, bob, zoe := controltest.Person("egi/alice"), controltest.Person("egi/bob"), controltest.Person("egi/zoe")
	secret := s.HostOf(alice, "mine.vo.example.org", "192.0.2.1")
	if _, err := s.Hosts.ShareHost(alice, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/bob"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/carol"}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: "mine.vo.example.org"})
	controltest.WantErr(t, err, codes.InvalidArgument, "reason")
	if _, err := s.Hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: "mine.vo.example.org", Reason: "phishing, ticket 4711"}); err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func() error{
		"delete": func() error {
			_, err := s.Hosts.DeleteHost(alice, &pb.DeleteHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"unblock": func() error {
			_, err := s.Hosts.UnblockHost(alice, &pb.UnblockHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"transfer": func() error {
			_, err := s.Hosts.TransferHost(alice, &pb.TransferHostRequest{Fqdn: "mine.vo.example.org", To: "egi/dave"})
			return err
		},
		"accept": func() error {
			_, err := s.Hosts.AcceptHost(controltest.Person("egi/carol"), &pb.AcceptHostRequest{Fqdn: "mine.vo.example.org"})
			return err
		},
		"a host below it": func() error {
			_, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "x.mine.vo.example.org"})
			return err
		},
		"addresses": func() error {
			_, err := s.Hosts.SetAddresses(bob, &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.2"}})
			return err
		},
		"addresses with the secret": func() error {
			_, err := s.Hosts.SetAddresses(controltest.As("mine.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.1"}})
			return err
		},
		"records below it": func() error {
			_, err := s.Records.SetRecordSet(bob, &pb.SetRecordSetRequest{Fqdn: "x.mine.vo.example.org", Type: "A", Rdata: []string{"192.0.2.2"}})
			return err
		},
		"a challenge": func() error {
			_, err := s.Records.SetRecordSet(controltest.As("mine.vo.example.org", secret), &pb.SetRecordSetRequest{Fqdn: "_acme-challenge.mine.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
			return err
		},
	} {
		err := try()
		controltest.WantErr(t, err, codes.PermissionDenied, "")
		if err != nil && !strings.Contains(err.Error(), "host mine.vo.example.org is blocked: phishing, ticket 4711; ask an administrator of the zone") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "mine.vo.example.org"})
	controltest.WantErr(t, err, codes.PermissionDenied, "")
	for _, ctx := range []context.Context{alice, bob, controltest.As("mine.vo.example.org", secret)} {
		if h, err := s.Hosts.GetHost(ctx, &pb.GetHostRequest{Fqdn: "mine.vo.example.org"}); err != nil || h.Blocked.GetReason() != "phishing, ticket 4711" || h.Blocked.Time == nil {
			t.Errorf("%v, %v", h, err)
		}
	}
	if _, err := s.Hosts.SetAddresses(zoe, &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.9"}}); err != nil {
		t.Error(err)
	}
	if got := withdrawn(s, "vo.example.org", "mine.vo.example.org"); len(got) != 1 {
		t.Error("it is answered again")
	}
	out, err := s.Hosts.UnblockHost(zoe, &pb.UnblockHostRequest{Fqdn: "mine.vo.example.org"})
	if err != nil || out.Host.Blocked != nil || !out.Change.Changed {
		t.Fatal(out, err)
	}
	if got := withdrawn(s, "vo.example.org", "mine.vo.example.org"); len(got) != 0 {
		t.Error("it is not answered again")
	}
	if _, err := s.Hosts.SetAddresses(controltest.As("mine.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.2"}}); err != nil {
		t.Error(err)
	}
}

// What belongs to a host goes with it and comes back with it; what stands for itself
// stays.
func TestWhatIsWithdrawnWithAHost(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("h.vo.example.org", "192.0.2.1")
	s.Record("h.vo.example.org", "TXT", "kept")
	s.Record("x.h.vo.example.org", "A", "192.0.2.2")
	s.Record("cut.h.vo.example.org", "NS", "ns.example.net.")
	s.Host("own.h.vo.example.org", "192.0.2.3")
	s.Record("x.own.h.vo.example.org", "A", "192.0.2.4")
	names := []string{
		"h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "cut.h.vo.example.org", "own.h.vo.example.org", "x.own.h.vo.example.org",
		"later.h.vo.example.org", "x.later.h.vo.example.org",
	}
	want := func(when string, want ...string) {
		t.Helper()
		if got := strings.Join(withdrawn(s, "vo.example.org", names...), " "); got != strings.Join(want, " ") {
			t.Errorf("%s: withdrawn are %q, want %q", when, got, want)
		}
	}
	disable := func(fqdn string) {
		t.Helper()
		if _, err := s.Hosts.DisableHost(s.Admin(), &pb.DisableHostRequest{Fqdn: fqdn}); err != nil {
			t.Fatal(err)
		}
	}
	enable := func(fqdn string) {
		t.Helper()
		if _, err := s.Hosts.EnableHost(s.Admin(), &pb.EnableHostRequest{Fqdn: fqdn}); err != nil {
			t.Fatal(err)
		}
	}
	want("at first")
	disable("h.vo.example.org")
	want("disabled", "h.vo.example.org", "x.h.vo.example.org")
	s.Record("new.h.vo.example.org", "A", "192.0.2.5")
	s.Record("x.later.h.vo.example.org", "A", "192.0.2.6")
	want("and more records", "h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "x.later.h.vo.example.org")
	s.Record("later.h.vo.example.org", "NS", "ns.example.net.")
	want("and a delegation above them", "h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "x.later.h.vo.example.org")
	if got := s.Sets("h.vo.example.org"); got != "A 60 192.0.2.1\nTXT 60 \"kept\"" {
		t.Errorf("stored is %q", got)
	}
	if got := s.Export("vo.example.org"); strings.Contains(got, "192.0.2.1\n") || strings.Contains(got, "kept") || !strings.Contains(got, "192.0.2.3\n") {
		t.Errorf("the zone file is\n%s", got)
	}
	_, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "fresh.h.vo.example.org"})
	controltest.WantErr(t, err, codes.FailedPrecondition, "fqdn")
	_, err = s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.9"}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "fqdn")
	if _, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: "h.vo.example.org", Reason: "phishing"}); err != nil {
		t.Fatal(err)
	}
	enable("h.vo.example.org")
	want("enabled, and blocked", "h.vo.example.org", "x.h.vo.example.org", "new.h.vo.example.org", "x.later.h.vo.example.org")
	if _, err := s.Hosts.UnblockHost(s.Admin(), &pb.UnblockHostRequest{Fqdn: "h.vo.example.org"}); err != nil {
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
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("h.vo.example.org", "192.0.2.1")
	s.Record("ns.h.vo.example.org", "A", "192.0.2.2")
	s.Record("vo.example.org", "NS", "h.vo.example.org.", "ns.h.vo.example.org.")
	for range 2 {
		_, err := s.Hosts.BlockHost(s.Admin(), &pb.BlockHostRequest{Fqdn: "h.vo.example.org", Reason: "phishing"})
		controltest.WantErr(t, err, codes.FailedPrecondition, "")
		s.Record("vo.example.org", "NS", "ns.example.net.", "ns.h.vo.example.org.")
	}
}
