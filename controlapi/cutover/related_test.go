package cutover_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// A related host follows its main host, also to addresses that come with an import.
func TestFormerRelatedHosts(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	main := formerHost("w.vo.example.org", django(oldSalt, oldSecret), "2001:db8:1::80")
	nas := formerHost("nas.w.vo.example.org", "")
	nas.Host.Follows = &pb.Following{Main: "w.vo.example.org", Ipv6: "::1:2/64"}
	dry, err := cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "vo.example.org", DryRun: true, Names: []*pb.FormerName{nas}})
	if err != nil || dry.GetResults()[0].GetOutcome() != "created" {
		t.Error(dry, err)
	}
	_, err = cutoverOf(s).ImportNames(s.Admin(), &pb.ImportNamesRequest{Zone: "vo.example.org", Names: []*pb.FormerName{main, nas}})
	controltest.WantErr(t, err, codes.InvalidArgument, "names")
	former(s, main)
	if got := former(s, nas); got != "created owner egi/alice, addresses 2001:db8:1::1:2, ttl 0, follows w.vo.example.org, ipv6 ::1:2/64" {
		t.Error(got)
	}
	if got := former(s, nas); got != "unchanged" {
		t.Error(got)
	}
	if err := s.UpdateAs(controltest.As("w.vo.example.org", oldSecret), "w.vo.example.org", "2001:db8:2::80"); err != nil {
		t.Fatal(err)
	}
	if got := s.Sets("nas.w.vo.example.org"); got != "AAAA 60 2001:db8:2::1:2" {
		t.Error(got)
	}
	// The addresses that it had from whom it follows are no change of its own.
	if got := former(s, nas); got != "unchanged" {
		t.Error(got)
	}
	main.Host.Comment, main.Host.Addresses = "still", []string{"2001:db8:2::80"}
	former(s, main)
	main.Host.Addresses = []string{"2001:db8:3::80"}
	if got := former(s, main); got != "changed IPv6 2001:db8:3::80" {
		t.Error(got)
	}
	if got := s.Sets("nas.w.vo.example.org"); got != "AAAA 60 2001:db8:3::1:2" {
		t.Error(got)
	}
	// It is let go there, and both are gone then.
	nas.Host.Follows = nil
	if got := former(s, nas); got != "changed follows none" {
		t.Error(got)
	}
	nas.Host.Follows = &pb.Following{Main: "w.vo.example.org", Ipv6: "::1:3/64"}
	if got := former(s, nas); got != "changed follows w.vo.example.org, ipv6 ::1:3/64" || s.Sets("nas.w.vo.example.org") != "AAAA 60 2001:db8:3::1:3" {
		t.Error(got, s.Sets("nas.w.vo.example.org"))
	}
	if got := former(s, &pb.FormerName{Fqdn: "w.vo.example.org", Gone: true}); !strings.Contains(got, "others follow it") {
		t.Error(got)
	}
	for _, n := range []string{"nas.w.vo.example.org", "w.vo.example.org"} {
		if got := former(s, &pb.FormerName{Fqdn: n, Gone: true}); got != "removed the host" {
			t.Error(n, got)
		}
	}
}

func chainFor(t *testing.T, from, to time.Time, names ...string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, NotBefore: from, NotAfter: to}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

// A host's chain comes with it until it ends, and never in the place of a later one.
func TestFormerCertificates(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	now := s.Clock.Read()
	day := 24 * time.Hour
	h := formerHost("h.vo.example.org", "", "192.0.2.1")
	give := func(chain string) string {
		h.Host.Certificate = chain
		return former(s, h)
	}
	shown := func() string {
		t.Helper()
		c, err := pb.NewCertificateServiceClient(s.Conn).GetCertificate(controltest.Person("egi/alice"), &pb.GetCertificateRequest{Fqdn: "h.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		return c.GetChain()
	}
	if got := give("garbage"); !strings.HasSuffix(got, "| kept no certificate: there is no certificate in it") {
		t.Error(got)
	}
	if got := give(chainFor(t, now.Add(-9*day), now.Add(-day), "h.vo.example.org")); !strings.Contains(got, "no certificate: that of there ended on 2026-11-22") {
		t.Error(got)
	}
	first := chainFor(t, now.Add(-9*day), now.Add(80*day), "h.vo.example.org", "*.h.vo.example.org")
	if got := give(first); got != "changed certificate until 2027-02-11" || shown() != first {
		t.Error(got)
	}
	if got := give(first); got != "unchanged" {
		t.Error(got)
	}
	if got := give(chainFor(t, now.Add(-19*day), now.Add(70*day), "h.vo.example.org")); got != "unchanged" || shown() != first {
		t.Error(got)
	}
	if got := give(chainFor(t, now.Add(-day), now.Add(89*day), "other.vo.example.org")); got != "unchanged" || shown() != first {
		t.Error(got)
	}
	later := chainFor(t, now.Add(-day), now.Add(89*day), "h.vo.example.org")
	if got := give(later); got != "changed certificate until 2027-02-20" || shown() != later {
		t.Error(got)
	}
	blocked := formerHost("b.vo.example.org", "", "192.0.2.1")
	blocked.Host.Blocked, blocked.Host.Certificate = new("x"), chainFor(t, now.Add(-day), now.Add(89*day), "b.vo.example.org")
	if got := former(s, blocked); !strings.Contains(got, "certificate until") {
		t.Error(got)
	}
}
