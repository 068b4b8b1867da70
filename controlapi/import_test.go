package controlapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "signpost/proto/signpost/v1"
)

func (s *server) export(zone string) string {
	s.t.Helper()
	stream, err := s.zones.ExportZone(s.admin(), &pb.ExportZoneRequest{Name: zone})
	if err != nil {
		s.t.Fatal(err)
	}
	var text []byte
	for {
		piece, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return string(text)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		text = append(text, piece.Data...)
	}
}

// load imports a zone file in pieces.
func (s *server) load(ctx context.Context, in *pb.ImportZoneRequest, text string) (*pb.ImportZoneResponse, error) {
	s.t.Helper()
	stream, err := s.zones.ImportZone(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := stream.Send(in); err != nil {
		s.t.Fatal(err)
	}
	for len(text) > 0 {
		n := min(len(text), 100_000)
		if err := stream.Send(&pb.ImportZoneRequest{Data: []byte(text[:n])}); err != nil {
			break
		}
		text = text[n:]
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	return lastOf(stream, nil)
}

// lastOf is the last message of an import's answer, its result; each, if not nil, is
// given those before it.
func lastOf(stream grpc.BidiStreamingClient[pb.ImportZoneRequest, pb.ImportZoneResponse], each func(*pb.ImportZoneResponse)) (out *pb.ImportZoneResponse, err error) {
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		case m.Change != nil:
			out = m
		case each != nil:
			each(m)
		}
	}
}

const zoneFile = `$ORIGIN vo.example.org.
$TTL 300
@       SOA  ns1 admin 2026112301 7200 900 1209600 60
@       NS   ns1
@       NS   ns.example.net.
@       MX   10 mail
ns1     A    192.0.2.53
mail    A    192.0.2.25
*.wild  TXT  "x"
sub     NS   ns.sub
ns.sub  A    192.0.2.54
_sip._tcp SRV 0 0 5060 mail
`

func TestAZoneFileIsImportedAndExported(t *testing.T) {
	s := start(t)
	dry, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", DryRun: true}, zoneFile)
	if err != nil || !dry.Created || dry.RecordSets != 9 || dry.Added != 9 || dry.Change.Changed {
		t.Fatalf("dry run: %v, %v", dry, err)
	}
	if _, err := s.zones.GetZone(s.admin(), &pb.GetZoneRequest{Name: "vo.example.org"}); err == nil {
		t.Fatal("a dry run made the zone")
	}
	made, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, zoneFile)
	if err != nil || !made.Created || made.Added != 9 || !made.Change.Changed {
		t.Fatalf("%v, %v", made, err)
	}
	z, err := s.zones.GetZone(s.admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || int32(z.Serial-2026112301) <= 0 {
		t.Errorf("the serial %d is not greater than the file's (%v)", z.GetSerial(), err)
	}
	if got := s.sets("mail.vo.example.org"); got != "A 300 192.0.2.25" {
		t.Error(got)
	}
	s.host("www.vo.example.org", "192.0.2.80", "2001:db8::80")
	text := s.export("vo.example.org")
	again, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, text)
	if err != nil || again.Change.Changed || again.Unchanged != again.RecordSets || again.HostsKept != 1 || len(again.Warnings) != 0 {
		t.Errorf("an export, imported again: %v, %v", again, err)
	}
}

func TestNamedCheckzoneAcceptsAnExport(t *testing.T) {
	checker, err := exec.LookPath("named-checkzone")
	if err != nil {
		t.Skip("named-checkzone is not installed: apt-get install bind9-utils")
	}
	s := start(t)
	if _, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, zoneFile); err != nil {
		t.Fatal(err)
	}
	if _, err := s.hosts.CreateHost(s.admin(), &pb.CreateHostRequest{Fqdn: "w.vo.example.org", Addresses: []string{"192.0.2.1", "2001:db8::1"}, Wildcard: true}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "zone")
	if err := os.WriteFile(file, []byte(s.export("vo.example.org")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(checker, "-k", "fail", "-n", "fail", "vo.example.org", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAnImportReplacesWhatNoHostOwns(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	secret := s.host("www.vo.example.org", "192.0.2.80")
	s.record("_acme-challenge.www.vo.example.org", "TXT", "kept")
	s.record("old.vo.example.org", "TXT", "gone")
	s.record("mail.vo.example.org", "A", "192.0.2.24")
	_, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org"}, zoneFile)
	wantErr(t, err, codes.FailedPrecondition, "replace")
	before, err := s.zones.GetZone(s.admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	file := zoneFile + "www A 192.0.2.99\nx.www TXT lost\n"
	out, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, file)
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
		if got := s.sets(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	after, err := s.zones.GetZone(s.admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || int32(after.Serial-before.Serial) <= 0 || int32(after.Serial-2026112301) <= 0 {
		t.Errorf("serial %d after %d (%v)", after.GetSerial(), before.Serial, err)
	}
	if _, err := s.hosts.SetAddresses(as("www.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "www.vo.example.org", Addresses: []string{"192.0.2.81"}}); err != nil {
		t.Errorf("the host's secret no longer works: %v", err)
	}
	// The generation that was replaced, and nothing else, is swept away.
	if n, err := s.store.Sweep(context.Background(), s.clock.read()); err != nil || n != 5 {
		t.Errorf("%d swept, %v", n, err)
	}
	if got := s.sets("mail.vo.example.org"); got != "A 300 192.0.2.25" {
		t.Error(got)
	}
}

func TestAnImportMayReplaceHosts(t *testing.T) {
	s := start(t)
	s.zone("vo.example.org")
	secret := s.host("www.vo.example.org", "192.0.2.80")
	_, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", ReplaceHosts: true}, zoneFile)
	wantErr(t, err, codes.InvalidArgument, "replace_hosts")
	out, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, ReplaceHosts: true}, zoneFile+"www A 192.0.2.99\n")
	if err != nil || out.HostsRemoved != 1 || out.HostsKept != 0 {
		t.Fatal(out, err)
	}
	_, err = s.hosts.GetHost(as("www.vo.example.org", secret), &pb.GetHostRequest{Fqdn: "www.vo.example.org"})
	wantErr(t, err, codes.Unauthenticated, "")
	if got := s.sets("www.vo.example.org"); got != "A 300 192.0.2.99" {
		t.Error(got)
	}
}

func TestWhatBadZoneFilesGet(t *testing.T) {
	s := start(t)
	const soa = "@ 60 SOA ns admin 1 2 3 4 5\n"
	for name, text := range map[string]string{
		"empty": "", "no NS": soa, "no SOA": "@ 60 NS ns.example.net.\n", "garbage": soa + "@ 60 NS\n",
		"out of zone":  soa + "@ 60 NS ns.example.net.\nwww.example.net. 60 A 192.0.2.1\n",
		"CNAME beside": soa + "@ 60 NS ns.example.net.\na 60 CNAME b\na 60 A 192.0.2.1\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: "x.example.org"}, text)
			wantErr(t, err, codes.InvalidArgument, "")
		})
	}
}

func TestALargeImportIsWhole(t *testing.T) {
	s := start(t)
	var b strings.Builder
	b.WriteString("@ 60 SOA ns.example.net. admin 1 2 3 4 5\n@ 60 NS ns.example.net.\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "host%d 60 A 192.0.2.1\n", i)
	}
	out, err := s.load(s.admin("request-id", "r1"), &pb.ImportZoneRequest{Name: "big.example.org"}, b.String())
	if err != nil || out.Added != 5002 {
		t.Fatal(out, err)
	}
	if got := strings.Count(s.export("big.example.org"), "\n"); got != 5002 {
		t.Errorf("%d lines", got)
	}
	again, err := s.load(s.admin("request-id", "r1"), &pb.ImportZoneRequest{Name: "big.example.org"}, b.String())
	if err != nil || again.Change.Revision != out.Change.Revision || again.Added != 5002 {
		t.Errorf("repeated: %v, %v", again, err)
	}
}
