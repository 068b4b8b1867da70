package hosts_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"
	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// A host that is blocked or switched off is silent below a wildcard, too; and deleting one
// that is blocked lets no wildcard answer in its place unseen (RFC 4592).
func TestABlockedHostStaysSilentBelowAWildcard(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Depth: new(uint32(3))})
	alice, zoe := controltest.Person("egi/alice"), controltest.Person("egi/zoe")
	const bad = "bad.w.vo.example.org"
	if _, err := s.Hosts.CreateHost(alice, &pb.CreateHostRequest{Fqdn: "w.vo.example.org", Addresses: []string{"192.0.2.1"}, Wildcard: true}); err != nil {
		t.Fatal(err)
	}
	r := s.Replica(t)
	answers := func(what string, rev int64, want string) {
		t.Helper()
		v, _ := r.At(rev)
		a := v.Zone("vo.example.org.").Answer(bad+".", dns.TypeA, 0)
		got := dns.RcodeToString[a.Rcode]
		for _, rr := range a.Answer {
			got += " " + rr.(*dns.A).A.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	remove := func() (int64, error) {
		out, err := s.Hosts.DeleteHost(zoe, &pb.DeleteHostRequest{Fqdn: bad})
		return out.GetChange().GetRevision(), err
	}
	change := func(c interface{ GetChange() *pb.Change }, err error) int64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c.GetChange().GetRevision()
	}
	s.HostOf(alice, bad, "192.0.2.2")
	answers("switched off", change(s.Hosts.DisableHost(alice, &pb.DisableHostRequest{Fqdn: bad})), "NOERROR")
	answers("on again", change(s.Hosts.EnableHost(alice, &pb.EnableHostRequest{Fqdn: bad})), "NOERROR 192.0.2.2")
	answers("blocked", change(s.Hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: bad, Reason: "phishing"})), "NOERROR")
	refused := func(who string) {
		t.Helper()
		before := s.Revision()
		_, err := remove()
		controltest.WantErr(t, err, codes.FailedPrecondition, "fqdn")
		if err != nil && !strings.Contains(err.Error(), "it is blocked, and without it "+who+" would answer for its name; leave it blocked") {
			t.Error(err)
		}
		if s.Revision() != before {
			t.Error("it has changed something")
		}
	}
	refused("the wildcard host w.vo.example.org")
	change(s.Hosts.UpdateHost(alice, &pb.UpdateHostRequest{Fqdn: "w.vo.example.org", Wildcard: new(false)}))
	s.Record("*.w.vo.example.org", "A", "192.0.2.3")
	refused("*.w.vo.example.org")
	change(s.Records.DeleteRecordSet(s.Admin(), &pb.DeleteRecordSetRequest{Fqdn: "*.w.vo.example.org", Type: "A"}))
	s.Record("*.vo.example.org", "A", "192.0.2.4") // for which w is in the way
	rev, err := remove()
	if err != nil {
		t.Fatal(err)
	}
	answers("deleted", rev, "NXDOMAIN")
	// Who sees to it that a wildcard answers has it answer.
	s.HostOf(zoe, bad, "192.0.2.2")
	change(s.Hosts.BlockHost(zoe, &pb.BlockHostRequest{Fqdn: bad, Reason: "phishing"}))
	change(s.Hosts.UpdateHost(zoe, &pb.UpdateHostRequest{Fqdn: "w.vo.example.org", Wildcard: new(true)}))
	refused("the wildcard host w.vo.example.org")
	change(s.Hosts.UnblockHost(zoe, &pb.UnblockHostRequest{Fqdn: bad}))
	if rev, err = remove(); err != nil {
		t.Fatal(err)
	}
	answers("unblocked and deleted", rev, "NOERROR 192.0.2.1")
}
