package controlapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

func setUpRecord(s *controltest.Server, who context.Context, fqdn, text string) int64 {
	s.T.Helper()
	out, err := s.Records.SetRecordSet(who, &pb.SetRecordSetRequest{Fqdn: fqdn, Type: "TXT", Rdata: []string{text}})
	if err != nil {
		s.T.Fatal(err)
	}
	return out.GetChange().GetRevision()
}

// A stream tells of the past no more than the audit does.
func TestAStreamTellsNothingOfAFormerOwnersTime(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	alice, bob, zoe := controltest.Person("egi/alice"), controltest.Person("egi/bob"), controltest.Person("egi/zoe")
	begin := setUpRecord(s, zoe, "x.mine.vo.example.org", "not theirs")
	if _, err := s.Records.DeleteRecordSet(zoe, &pb.DeleteRecordSetRequest{Fqdn: "x.mine.vo.example.org", Type: "TXT"}); err != nil {
		t.Fatal(err)
	}
	s.HostOf(alice, "mine.vo.example.org", "192.0.2.1")
	s.HandOver("mine.vo.example.org", alice, "egi/bob")
	if _, err := s.Hosts.ShareHost(bob, &pb.ShareHostRequest{Fqdn: "mine.vo.example.org", Add: []string{"egi/eve"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Hosts.UpdateHost(bob, &pb.UpdateHostRequest{Fqdn: "mine.vo.example.org", Comment: new("last")}); err != nil {
		t.Fatal(err)
	}
	for who, ctx := range map[string]context.Context{"editor": controltest.Person("egi/eve"), "owner": bob} {
		w := s.Watch(ctx, &pb.WatchRequest{Fqdn: "mine.vo.example.org", FromRevision: begin - 1, Kinds: []string{"host", "record", "audit"}})
		var got []string
		for len(got) == 0 || !strings.Contains(got[len(got)-1], "host.update") {
			_, more := w.Next()
			got = append(got, more...)
		}
		for _, line := range got {
			if strings.Contains(line, "not theirs") || strings.Contains(line, "host.create") || strings.Contains(line, "host.transfer") || strings.Contains(line, "created") && !strings.Contains(line, "audit") {
				t.Errorf("the %s is told %s", who, line)
			}
		}
		if len(got) != 4 {
			t.Errorf("the %s: %s", who, strings.Join(got, "\n"))
		}
	}
}

// A stream shows nothing that was done after a right was taken away, through whichever
// service.
func TestAStreamAsksOnTheStateOfItsEvent(t *testing.T) {
	s := controltest.Start(t)
	other := s.Again()
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxChanges: new(uint32(100000))})
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	s.HostOf(alice, "mine.vo.example.org")
	share := func(in *pb.ShareHostRequest) {
		t.Helper()
		in.Fqdn = "mine.vo.example.org"
		if _, err := other.Hosts.ShareHost(alice, in); err != nil {
			t.Fatal(err)
		}
	}
	share(&pb.ShareHostRequest{Add: []string{"egi/bob"}})
	w := s.Watch(bob, &pb.WatchRequest{Fqdn: "mine.vo.example.org"})
	told := 0
	for i := range uint32(100) {
		share(&pb.ShareHostRequest{Remove: []string{"egi/bob"}})
		if _, err := other.Hosts.UpdateHost(alice, &pb.UpdateHostRequest{Fqdn: "mine.vo.example.org", Comment: new(fmt.Sprint("secret ", i))}); err != nil {
			t.Fatal(err)
		}
		ttl := 100 + i
		if _, err := other.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: &ttl}); err != nil { // what everybody sees
			t.Fatal(err)
		}
		for zone := ""; !strings.HasPrefix(zone, "zone changed"); {
			_, got := w.Next()
			if zone = got[0]; strings.Contains(strings.Join(got, ""), "host.update") {
				told++
			}
		}
		share(&pb.ShareHostRequest{Add: []string{"egi/bob"}})
	}
	if told > 0 {
		t.Errorf("of 100 changes after the right was taken away %d were told", told)
	}
}

// Lists say as little of what is there for others as reads do.
func TestListsDoNotTellOfZonesThatAreForOthers(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("a.example.org")
	s.Zone("b.example.org")
	s.Zone("c.example.org")
	for _, z := range []string{"a.example.org", "c.example.org"} {
		s.Policy(z, &pb.UpdateZonePolicyRequest{Register: new("everyone")})
	}
	alice := controltest.Person("egi/alice")
	for in := (&pb.ListZonesRequest{PageSize: 1}); ; {
		out, err := s.Zones.ListZones(alice, in)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := base64.RawURLEncoding.DecodeString(out.NextPageToken)
		if bytes.Contains(raw, []byte("b.example.org")) {
			t.Errorf("the page token holds %q", raw)
		}
		if in.PageToken = out.NextPageToken; in.PageToken == "" {
			break
		}
	}
	_, there := s.Hosts.ListHosts(alice, &pb.ListHostsRequest{Zone: "b.example.org"})
	_, missing := s.Hosts.ListHosts(alice, &pb.ListHostsRequest{Zone: "nothing.example.org"})
	if a, b := strings.ReplaceAll(fmt.Sprint(there), "b.example.org", "Z"), strings.ReplaceAll(fmt.Sprint(missing), "nothing.example.org", "Z"); a != b {
		t.Errorf("a zone of others: %s; none: %s", a, b)
	}
	s.Host("x.b.example.org")
	if _, err := s.Hosts.ShareHost(s.Admin(), &pb.ShareHostRequest{Fqdn: "x.b.example.org", Add: []string{"egi/alice"}}); err != nil {
		t.Fatal(err)
	}
	if out, err := s.Hosts.ListHosts(alice, &pb.ListHostsRequest{Zone: "b.example.org"}); err != nil || len(out.Hosts) != 1 {
		t.Errorf("%v, %v", out, err)
	}
}

// What is kept in etcd for repeated calls is bounded as changes are: otherwise who has
// the secret of one host fills it with calls that change nothing.
func TestKeptAnswersAreCountedAsChanges(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxChanges: new(uint32(5))})
	secret := s.HostOf(controltest.Person("egi/alice"), "mine.vo.example.org", "192.0.2.1")
	set := func(pairs ...string) error {
		_, err := s.Hosts.SetAddresses(controltest.As("mine.vo.example.org", secret, pairs...), &pb.SetAddressesRequest{Fqdn: "mine.vo.example.org", Addresses: []string{"192.0.2.1"}})
		return err
	}
	for range 15 {
		if err := set(); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for i := range 15 {
		if err := set("request-id", fmt.Sprint(i)); err != nil {
			controltest.WantErr(t, err, codes.ResourceExhausted, "")
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d of 15 were refused, want those beyond 10", refused)
	}
	if err := set("request-id", "0"); err != nil { // kept already
		t.Error(err)
	}
	if err := set(); err != nil {
		t.Error(err)
	}
}

// Whoever resumes many streams and reads none keeps only their own waiting.
func TestReadersThatAreBehindKeepNobodyElseWaiting(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{MaxChanges: new(uint32(100000)), MaxRecords: new(uint32(200)), MaxOctets: new(uint32(100000))})
	alice, bob := controltest.Person("egi/alice"), controltest.Person("egi/bob")
	begin := setUpRecord(s, s.Admin(), "x.vo.example.org", "begin")
	s.HostOf(alice, "mine.vo.example.org")
	s.HostOf(bob, "bobs.vo.example.org")
	for i := range 30 { // more than sockets and windows of HTTP/2 keep
		var many []string
		for j := range 200 {
			many = append(many, fmt.Sprintf("%d-%d-%s", i, j, strings.Repeat("x", 200)))
		}
		if err := s.SetBy(alice, "mine.vo.example.org", "TXT", many...); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		ctx, cancel := context.WithCancel(alice)
		t.Cleanup(cancel)
		if _, err := pb.NewWatchServiceClient(s.Conn).Watch(ctx, &pb.WatchRequest{Fqdn: "mine.vo.example.org", FromRevision: begin}); err != nil {
			t.Fatal(err)
		}
	}
	controltest.WaitUntil(t, "all are there", func() bool { return counted(s, "signpost_watch_streams") == 8 })
	own, err := grpc.NewClient(strings.TrimPrefix(s.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	bobs := *s
	bobs.Conn = own
	w := bobs.Watch(bob, &pb.WatchRequest{Fqdn: "bobs.vo.example.org", FromRevision: begin, Kinds: []string{"host"}})
	w.Want("host created vo.example.org bobs.vo.example.org  = ")
}
