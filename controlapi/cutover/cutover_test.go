package cutover_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func records(fqdn string, sets ...string) *pb.FormerName {
	n := &pb.FormerName{Fqdn: fqdn}
	for _, s := range sets {
		t, data, _ := strings.Cut(s, " ")
		n.RecordSets = append(n.RecordSets, &pb.FormerRecordSet{Type: t, Ttl: 300, Rdata: []string{data}})
	}
	return n
}

// What has changed there is taken over, what has changed here stays: a row of fork each.
func TestWhatHasChangedThereAndHere(t *testing.T) {
	host := func(change func(*pb.FormerHost)) *pb.FormerName {
		n := formerHost("h.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1")
		n.Host.Comment = "mine"
		if change != nil {
			change(n.Host)
		}
		return n
	}
	set := func(addr string) func(s *controltest.Server) error {
		return func(s *controltest.Server) error { return s.UpdateAs(s.Admin(), "h.vo.example.org", addr) }
	}
	comment := func(text string) func(s *controltest.Server) error {
		return func(s *controltest.Server) error {
			_, err := s.Hosts.UpdateHost(s.Admin(), &pb.UpdateHostRequest{Fqdn: "h.vo.example.org", Comment: &text})
			return err
		}
	}
	for name, c := range map[string]struct {
		here  func(s *controltest.Server) error
		there func(*pb.FormerHost)
		want  string
	}{
		"nothing":                 {nil, nil, "unchanged"},
		"addresses there":         {nil, func(h *pb.FormerHost) { h.Addresses = []string{"192.0.2.2"} }, "changed IPv4 192.0.2.2"},
		"another family there":    {nil, func(h *pb.FormerHost) { h.Addresses = append(h.Addresses, "2001:db8::1") }, "changed IPv6 2001:db8::1"},
		"addresses here":          {set("192.0.2.3"), nil, "unchanged"},
		"addresses here, another": {set("192.0.2.3"), func(h *pb.FormerHost) { h.Comment = "ours" }, `changed comment "ours"`},
		"addresses both":          {set("192.0.2.3"), func(h *pb.FormerHost) { h.Addresses = []string{"192.0.2.2"} }, "unchanged | kept IPv4: here 192.0.2.3, there 192.0.2.2"},
		"the same both":           {set("192.0.2.2"), func(h *pb.FormerHost) { h.Addresses = []string{"192.0.2.2"} }, "unchanged"},
		"addresses gone there":    {nil, func(h *pb.FormerHost) { h.Addresses = nil }, "changed IPv4 none"},
		"comment both":            {comment("here"), func(h *pb.FormerHost) { h.Comment = "there" }, `unchanged | kept comment: here "here", there "there"`},
		"blocked there":           {nil, func(h *pb.FormerHost) { h.Blocked = new("phishing") }, "changed blocked true"},
		"switched off there":      {nil, func(h *pb.FormerHost) { h.Disabled = new("") }, "changed disabled true"},
		"wildcard there":          {nil, func(h *pb.FormerHost) { h.Wildcard = true }, "changed wildcard true"},
		"owner there":             {nil, func(h *pb.FormerHost) { h.Owner = "egi/bob" }, "changed owner egi/bob"},
		"secret there":            {nil, func(h *pb.FormerHost) { h.LegacySecret = django(oldSalt, "other") }, "changed another secret"},
		"secret here": {func(s *controltest.Server) error {
			_, err := s.Hosts.RotateSecret(s.Admin(), &pb.RotateSecretRequest{Fqdn: "h.vo.example.org"})
			return err
		}, func(h *pb.FormerHost) { h.LegacySecret = django(oldSalt, "other") }, "unchanged"},
		"deleted here": {func(s *controltest.Server) error {
			_, err := s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: "h.vo.example.org"})
			return err
		}, func(h *pb.FormerHost) { h.Comment = "there" }, "unchanged | kept the host was deleted here"},
		"an address that cannot be": {nil, func(h *pb.FormerHost) { h.Addresses = append(h.Addresses, "127.0.0.1") }, "unchanged | kept address 127.0.0.1: it is a loopback or link-local address, which the zone does not allow"},
	} {
		t.Run(name, func(t *testing.T) {
			s := controltest.Start(t)
			s.Zone("vo.example.org")
			if got := former(s, host(nil)); got != `created owner egi/alice, addresses 192.0.2.1, ttl 0, comment "mine"` {
				t.Fatal(got)
			}
			if c.here != nil {
				if err := c.here(s); err != nil {
					t.Fatal(err)
				}
			}
			n := host(c.there)
			dry, err := cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "vo.example.org", DryRun: true, Names: []*pb.FormerName{n}})
			if err != nil || dry.GetChange().GetChanged() {
				t.Fatal(dry, err)
			}
			if got := former(s, n); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			} else if d := dry.GetResults()[0]; !strings.HasPrefix(got, d.GetOutcome()) || len(d.GetChanges()) == 0 != (d.GetOutcome() == "unchanged") {
				t.Errorf("the dry run said %v", d)
			}
			if got := former(s, n); got != "unchanged" {
				t.Errorf("again: %s", got)
			}
		})
	}
}

// Records are taken over one set at a time.
func TestFormerRecords(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	if got := former(s, records("vo.example.org", "NS ns1.vo.example.org."), records("a.vo.example.org", "A 192.0.2.1", "TXT one"), records("b.vo.example.org", "TXT one")); got !=
		"unchanged | kept NS: here 3600 ns1.vo.example.org., there 300 ns1.vo.example.org.\ncreated A: 192.0.2.1; TXT: \"one\"\ncreated TXT: \"one\"" {
		t.Fatal(got)
	}
	s.Record("a.vo.example.org", "TXT", "here")
	s.Record("c.vo.example.org", "TXT", "here")
	if got := former(s, records("a.vo.example.org", "A 192.0.2.2", "TXT two"), records("b.vo.example.org", "TXT two"), records("c.vo.example.org", "TXT two")); got !=
		"changed A: 192.0.2.2 | kept TXT: here 60 \"here\", there 300 \"two\"\nchanged TXT: \"two\"\nunchanged | kept TXT: here 60 \"here\", there 300 \"two\"" {
		t.Error(got)
	}
	// A host that is made of a name whose addresses were imported adopts them.
	if got := former(s, formerHost("a.vo.example.org", "", "192.0.2.2")); !strings.HasPrefix(got, "created owner egi/alice, addresses 192.0.2.2") {
		t.Error(got)
	}
	if got := s.Sets("a.vo.example.org"); got != "A 60 192.0.2.2\nTXT 60 \"here\"" {
		t.Error(got)
	}
	// One that is not ours it does not, and nothing of the call is done.
	s.Record("d.vo.example.org", "A", "192.0.2.9")
	_, err := cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "vo.example.org", Names: []*pb.FormerName{records("e.vo.example.org", "TXT x"), formerHost("d.vo.example.org", "", "192.0.2.2")}})
	controltest.WantErr(t, err, codes.FailedPrecondition, "")
	if got := s.Sets("e.vo.example.org"); got != "" {
		t.Error(got)
	}
	s.Host("f.vo.example.org", "192.0.2.6")
	if got := former(s, formerHost("f.vo.example.org", "", "192.0.2.2")); got != "unchanged | kept a host of that name was made here" {
		t.Error(got)
	}
}

// What is blocked or switched off there is withdrawn here, with all that belongs to it.
func TestFormerHostsThatAreWithdrawn(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	former(s, records("x.bad.vo.example.org", "TXT before"))
	bad := formerHost("bad.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1")
	bad.Host.Blocked = new("phishing")
	former(s, bad, records("y.bad.vo.example.org", "TXT together"))
	controltest.WantErr(t, s.UpdateAs(controltest.As("bad.vo.example.org", oldSecret), "bad.vo.example.org", "192.0.2.2"), codes.PermissionDenied, "")
	text := s.Export("vo.example.org")
	for _, hidden := range []string{"192.0.2.1\n", "before", "together"} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q is answered:\n%s", hidden, text)
		}
	}
	bad.Host.Blocked = nil
	if got := former(s, bad); got != "changed blocked false" {
		t.Error(got)
	}
	if text := s.Export("vo.example.org"); !strings.Contains(text, "192.0.2.1\n") || !strings.Contains(text, "before") || !strings.Contains(text, "together") {
		t.Error(text)
	}
}

// What is gone there goes here if it was asked for, and nothing of it was changed here.
func TestFormerNamesThatAreGone(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	all := []*pb.FormerName{
		formerHost("a.vo.example.org", django(oldSalt, oldSecret), "192.0.2.1"), records("x.a.vo.example.org", "TXT x"),
		formerHost("b.vo.example.org", "", "192.0.2.1"), records("c.vo.example.org", "TXT x", "MX 10 c.vo.example.org."),
	}
	former(s, all...)
	listed, err := cutoverOf(s).ListImportedNames(s.Admin(), &pb.ListImportedNamesRequest{Zone: "vo.example.org", PageSize: 3})
	if err != nil || len(listed.GetFqdns()) != 3 || listed.GetNextPageToken() == "" {
		t.Fatal(listed, err)
	}
	if listed, err = cutoverOf(s).ListImportedNames(s.Admin(), &pb.ListImportedNamesRequest{Zone: "vo.example.org", PageSize: 3, PageToken: listed.GetNextPageToken()}); err != nil || fmt.Sprint(listed.GetFqdns()) != "[c.vo.example.org]" {
		t.Fatal(listed, err)
	}
	if err := s.UpdateAs(s.Admin(), "b.vo.example.org", "192.0.2.2"); err != nil {
		t.Fatal(err)
	}
	s.Record("c.vo.example.org", "TXT", "here")
	gone := func(fqdn string) *pb.FormerName { return &pb.FormerName{Fqdn: fqdn, Gone: true} }
	if got := former(s, gone("a.vo.example.org")); got != "unchanged | kept the host, which is not there any more: there is x.a.vo.example.org below it" {
		t.Error(got)
	}
	if got := former(s, gone("x.a.vo.example.org"), gone("a.vo.example.org"), gone("b.vo.example.org"), gone("c.vo.example.org"), gone("never.vo.example.org")); got !=
		"removed TXT: none\nremoved the host\nunchanged | kept the host, which is not there any more: its addresses were changed here\n"+
			"removed MX: none | kept TXT: here 60 \"here\", there none\nunchanged" {
		t.Error(got)
	}
	if got := s.Sets("a.vo.example.org") + s.Sets("x.a.vo.example.org"); got != "" {
		t.Error(got)
	}
}

// Who may do what in a zone is taken over likewise, and the audit says it in its own words.
func TestFormerSettings(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	settings := func(in *pb.ImportZoneSettingsRequest) string {
		t.Helper()
		in.Zone = "vo.example.org"
		out, err := cutoverOf(s).ImportZoneSettings(s.Admin(), in)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(out.GetResult().GetOutcome(), out.GetResult().GetChanges(), out.GetResult().GetKept())
	}
	first := &pb.ImportZoneSettingsRequest{Admins: []string{"egi/alice"}, Register: "groups", Groups: []string{"group:egi/vo"}, Reserved: []string{"www", "x*"}}
	if got := settings(first); got != "changed[administrators egi/alice register groups group:egi/vo reserved www x*] []" {
		t.Error(got)
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Admins: &pb.Words{Values: []string{"egi/bob"}}})
	if got := settings(first); got != "unchanged[] []" {
		t.Error(got)
	}
	if got := settings(&pb.ImportZoneSettingsRequest{Admins: []string{"egi/carol"}, Register: "everyone"}); got != "changed[register everyone reserved none] [administrators: here egi/bob, there egi/carol]" {
		t.Error(got)
	}
	out, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{PageSize: 100})
	if err != nil || !strings.Contains(fmt.Sprint(out), "zone.open") {
		t.Error(out, err)
	}
	_, err = cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "no.example.org", Names: []*pb.FormerName{records("a.no.example.org", "TXT x")}})
	controltest.WantErr(t, err, codes.NotFound, "")
	dry, err := cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "no.example.org", DryRun: true, Names: []*pb.FormerName{formerHost("a.no.example.org", django(oldSalt, oldSecret), "192.0.2.1")}})
	if err != nil || dry.GetResults()[0].GetOutcome() != "created" {
		t.Error(dry, err)
	}
}

// A host that becomes a wildcard there takes the records of its wildcard, if they came from
// there; else it stays what it is.
func TestAFormerHostBecomesAWildcard(t *testing.T) {
	for name, here := range map[string]bool{"of there": false, "of here": true} {
		t.Run(name, func(t *testing.T) {
			s := controltest.Start(t)
			s.Zone("vo.example.org")
			h := formerHost("h.vo.example.org", "", "192.0.2.1")
			former(s, h, records("*.h.vo.example.org", "A 192.0.2.1"))
			want := "changed wildcard true"
			if here {
				s.Record("*.h.vo.example.org", "A", "192.0.2.9")
				want = "unchanged | kept wildcard: here false, there true"
			}
			h.Host.Wildcard = true
			if got := former(s, h); got != want {
				t.Error(got)
			}
			listed, err := cutoverOf(s).ListImportedNames(s.Admin(), &pb.ListImportedNamesRequest{Zone: "vo.example.org"})
			if err != nil || len(listed.GetFqdns()) != map[bool]int{false: 1, true: 2}[here] {
				t.Error(listed, err)
			}
		})
	}
}
