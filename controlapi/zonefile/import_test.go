package zonefile_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func TestAZoneFileIsImportedAndExported(t *testing.T) {
	s := controltest.Start(t)
	dry, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", DryRun: true}, controltest.ZoneFile)
	if err != nil || !dry.Created || dry.RecordSets != 9 || dry.Added != 9 || dry.Change.Changed {
		t.Fatalf("dry run: %v, %v", dry, err)
	}
	if _, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"}); err == nil {
		t.Fatal("a dry run made the zone")
	}
	made, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, controltest.ZoneFile)
	if err != nil || !made.Created || made.Added != 9 || !made.Change.Changed {
		t.Fatalf("%v, %v", made, err)
	}
	z, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || int32(z.Serial-2026112301) <= 0 {
		t.Errorf("the serial %d is not greater than the file's (%v)", z.GetSerial(), err)
	}
	if got := s.Sets("mail.vo.example.org"); got != "A 300 192.0.2.25" {
		t.Error(got)
	}
	s.Host("www.vo.example.org", "192.0.2.80", "2001:db8::80")
	text := s.Export("vo.example.org")
	again, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, text)
	if err != nil || again.Change.Changed || again.Unchanged != again.RecordSets || again.HostsKept != 1 || len(again.Warnings) != 0 {
		t.Errorf("an export, imported again: %v, %v", again, err)
	}
}

func TestNamedCheckzoneAcceptsAnExport(t *testing.T) {
	checker, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Skip("named-checkzone is not installed: apt-get install bind9-utils")
	}
	s := controltest.Start(t)
	if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, controltest.ZoneFile); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.CreateHost(s.Admin(), &pb.CreateHostRequest{Fqdn: "w.vo.example.org", Addresses: []string{"192.0.2.1", "2001:db8::1"}, Wildcard: true}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(s.Export("vo.example.org")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(checker, "-k", "fail", "-n", "fail", "vo.example.org", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAnImportReplacesWhatNoHostOwns(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.80")
	s.Record("_acme-challenge.www.vo.example.org", "TXT", "kept")
	s.Record("old.vo.example.org", "TXT", "gone")
	s.Record("mail.vo.example.org", "A", "192.0.2.24")
	_, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, controltest.ZoneFile)
	controltest.WantErr(t, err, codes.FailedPrecondition, "replace")
	before, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	file := controltest.ZoneFile + "www A 192.0.2.99\nx.www TXT lost\n"
	out, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, file)
	if err != nil {
		t.Fatal(err)
	}
	if out.HostsKept != 1 || out.Skipped != 2 || out.Removed != 1 || out.RecordSets != 11 || len(out.Warnings) != 2 || out.Created {
		t.Errorf("%v", out)
	}
	for name, want := range map[string]string{
		"www.vo.example.org": "A 60 192.0.2.80", "_acme-challenge.www.vo.example.org": `TXT 60 "kept"`, "x.www.vo.example.org": "",
		"old.vo.example.org": "", "mail.vo.example.org": "A 300 192.0.2.25", "sub.vo.example.org": "NS 300 ns.sub.vo.example.org.",
	} {
		if got := s.Sets(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	after, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || int32(after.Serial-before.Serial) <= 0 || int32(after.Serial-2026112301) <= 0 {
		t.Errorf("serial %d after %d (%v)", after.GetSerial(), before.Serial, err)
	}
	if _, err := s.Hosts.SetAddresses(controltest.As("www.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.81"}}); err != nil {
		t.Errorf("the host's secret no longer works: %v", err)
	}
	// The generation that was replaced, and nothing else, is swept away.
	if n, err := s.Store.Sweep(context.Background(), s.Clock.Read()); err != nil || n != 5 {
		t.Errorf("%d swept, %v", n, err)
	}
	if got := s.Sets("mail.vo.example.org"); got != "A 300 192.0.2.25" {
		t.Error(got)
	}
}

func TestAnImportMayReplaceHosts(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	secret := s.Host("www.vo.example.org", "192.0.2.80")
	_, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", ReplaceHosts: true}, controltest.ZoneFile)
	controltest.WantErr(t, err, codes.InvalidArgument, "replace_hosts")
	out, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true}, controltest.ZoneFile+"www A 192.0.2.99\n")
	if err != nil || out.HostsRemoved != 1 || out.HostsKept != 0 {
		t.Fatal(out, err)
	}
	_, err = s.Hosts.GetHost(controltest.As("www.vo.example.org", secret), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	controltest.WantErr(t, err, codes.Unauthenticated, "")
	if got := s.Sets("www.vo.example.org"); got != "A 300 192.0.2.99" {
		t.Error(got)
	}
}

func TestWhatBadZoneFilesGet(t *testing.T) {
	s := controltest.Start(t)
	const soa = "@ 60 SOA ns admin 1 2 3 4 5\n"
	for name, text := range map[string]string{
		"empty": "", "no NS": soa, "no SOA": "@ 60 NS ns.example.net.\n", "garbage": soa + "@ 60 NS\n",
		"out of zone":  soa + "@ 60 NS ns.example.net.\nwww.example.net. 60 A 192.0.2.1\n",
		"CNAME beside": soa + "@ 60 NS ns.example.net.\na 60 CNAME b\na 60 A 192.0.2.1\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "x.example.org"}, text)
			controltest.WantErr(t, err, codes.InvalidArgument, "")
		})
	}
}

func TestALargeImportIsWhole(t *testing.T) {
	s := controltest.Start(t)
	var b strings.Builder
	b.WriteString("@ 60 SOA ns.example.net. admin 1 2 3 4 5\n@ 60 NS ns.example.net.\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "host%d 60 A 192.0.2.1\n", i)
	}
	out, err := s.Load(s.Admin("request-id", "r1"), &pb.ImportZoneRequest{Name: "big.example.org"}, b.String())
	if err != nil || out.Added != 5002 {
		t.Fatal(out, err)
	}
	if got := strings.Count(s.Export("big.example.org"), "\n"); got != 5002 {
		t.Errorf("%d lines", got)
	}
	again, err := s.Load(s.Admin("request-id", "r1"), &pb.ImportZoneRequest{Name: "big.example.org"}, b.String())
	if err != nil || again.Change.Revision != out.Change.Revision || again.Added != 5002 {
		t.Errorf("repeated: %v, %v", again, err)
	}
}
