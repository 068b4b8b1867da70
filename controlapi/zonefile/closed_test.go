package zonefile_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// endLease lets the time pass after which a dead holder's claim ends.
func endLease(t *testing.T, ctl *clientv3.Client, key string) {
	t.Helper()
	got, err := ctl.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range got.Kvs {
		if kv.Lease == 0 {
			t.Error("a claim does not end with its holder")
		}
		if _, err := ctl.Revoke(t.Context(), clientv3.LeaseID(kv.Lease)); err != nil {
			t.Fatal(err)
		}
	}
}

// The third try closes the zone: changes are refused with ABORTED, and none is lost.
func TestTheThirdTryClosesTheZone(t *testing.T) {
	const zone = "vo.example.org"
	var s *controltest.Server
	var importing, inside atomic.Bool
	var answers []error
	s = controltest.Start(t, func(c *controlapi.Config) {
		c.Now = func() time.Time {
			// The clock is read where the switch is decided on.
			if importing.Load() && inside.CompareAndSwap(false, true) {
				_, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{fmt.Sprintf("192.0.2.%d", 100+len(answers))}})
				answers = append(answers, err)
				inside.Store(false)
			}
			return time.Unix(1_800_000_000, 0)
		}
	})
	s.Zone(zone)
	s.Host("h.vo.example.org", "192.0.2.1")
	importing.Store(true)
	out, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: zone, Replace: true}, controltest.Numbered(150, "192.0.2.2"))
	importing.Store(false)
	if err != nil || out.HostsKept != 1 {
		t.Fatal(out, err)
	}
	last, refused := "", 0
	for i, err := range answers {
		switch {
		case err == nil:
			last = fmt.Sprintf("A 60 192.0.2.%d", 100+i)
		case status.Code(err) == codes.Aborted && strings.Contains(err.Error(), "being imported"):
			refused++
		default:
			t.Error(err)
		}
	}
	if got := s.Sets("h.vo.example.org"); got != last || refused == 0 {
		t.Errorf("the host has %q, want %q; %d of %d changes were refused", got, last, refused, len(answers))
	}
	if _, err := s.Hosts.SetAddresses(s.Admin(), &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.99"}}); err != nil {
		t.Errorf("after the import: %v", err)
	}
}

// A closed zone opens by itself when its importer dies.
func TestAClosedZoneOpensWhenItsImporterDies(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	s.Host("h.vo.example.org", "192.0.2.1")
	s.Zone("other.example.org")
	claim, err := s.Store.ClaimImport(t.Context(), "vo.example.org.", "somebody", time.Now())
	if err == nil {
		err = claim.CloseZone()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.2"}}
	same := &pb.SetAddressesRequest{Fqdn: "h.vo.example.org", Addresses: []string{"192.0.2.1"}}
	changes := map[string]func() error{
		"address": func() error { _, err := s.Hosts.SetAddresses(s.Admin(), in); return err },
		"record": func() error {
			_, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "x.vo.example.org", Type: "TXT", Rdata: []string{"x"}})
			return err
		},
		"apex": func() error {
			_, err := s.Records.SetRecordSet(s.Admin(), &pb.SetRecordSetRequest{Fqdn: "vo.example.org", Type: "TXT", Rdata: []string{"x"}})
			return err
		},
		"settings": func() error {
			ttl := uint32(90)
			_, err := s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: &ttl})
			return err
		},
		"zone below": func() error {
			_, err := s.Zones.CreateZone(s.Admin(), &pb.CreateZoneRequest{Name: "sub.vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
			return err
		},
		"zone": func() error {
			_, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: "vo.example.org", Force: true})
			return err
		},
	}
	for what, change := range changes {
		if err := change(); status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "being imported") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.Hosts.SetAddresses(s.Admin(), same); err != nil {
		t.Errorf("what changes nothing: %v", err)
	}
	s.Record("x.other.example.org", "TXT", "another zone")
	endLease(t, s.Etcd(), s.Prefix+"/v1/ctl/import/org.example.vo.")
	if err := changes["address"](); err != nil {
		t.Errorf("after the importer's end: %v", err)
	}
	if err := claim.Load(func(yield func(model.Name, *model.NameData) bool) { yield("y.vo.example.org.", nil) }, func(int) {}); err == nil {
		t.Error("who has lost the claim writes on")
	}
}

// Two imports of one zone at once: one is refused, and told who is at it.
func TestOneImportOfAZoneAtATime(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	claim, err := s.Store.ClaimImport(t.Context(), "vo.example.org.", "somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, controltest.Numbered(3, "192.0.2.1"))
	controltest.WantErr(t, err, codes.Aborted, "")
	if err == nil || !strings.Contains(err.Error(), "begun by somebody") {
		t.Error(err)
	}
	if _, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true, DryRun: true}, controltest.Numbered(3, "192.0.2.1")); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	z, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"})
	if err != nil || z.Import.GetPrincipal() != "somebody" || z.Import.Closed {
		t.Error(z.GetImport(), err)
	}
	if _, err := claim.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	var won atomic.Int64
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			_, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: "vo.example.org", Replace: true}, controltest.Numbered(300, "192.0.2.1"))
			if err == nil {
				won.Add(1)
			} else if status.Code(err) != codes.Aborted {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if won.Load() == 0 {
		t.Error("both were refused")
	}
	if z, err := s.Zones.GetZone(s.Admin(), &pb.GetZoneRequest{Name: "vo.example.org"}); err != nil || z.Import != nil {
		t.Error(z.GetImport(), err)
	}
}
