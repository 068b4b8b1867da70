package zones_test

import (
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// What the control service was told to remove never trips the guard; etcdctl does.
func TestOnlyWhoGoesAroundUsTripsTheGuard(t *testing.T) {
	s := controltest.Start(t)
	r := s.Replica(t)
	const name = "vo.example.org"
	load := func(n int) int64 {
		t.Helper()
		out, err := s.Load(s.Admin(), &pb.ImportZoneRequest{Name: name, Replace: true}, controltest.File(n))
		if err != nil {
			t.Fatal(err)
		}
		return out.Change.Revision
	}
	for _, n := range []int{500, 3, 500} {
		if v, held := r.At(load(n)); held || v.Names() != n {
			t.Fatalf("after an import of %d names %d are served, held: %t", n, v.Names(), held)
		}
	}
	gone, err := s.Zones.DeleteZone(s.Admin(), &pb.DeleteZoneRequest{Name: name, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if v, held := r.At(gone.Change.Revision); held || v.Zone(name+".") != nil {
		t.Fatalf("after a forced deletion the zone is %v, held: %t", v.Zone(name+"."), held)
	}
	r.At(load(500))
	ctl, err := clientv3.New(clientv3.Config{Endpoints: []string{controltest.Etcd.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer ctl.Close()
	lost, err := ctl.Delete(t.Context(), s.Prefix+"/v1/dns/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if v, held := r.At(lost.Header.Revision); !held || v.Names() != 500 {
		t.Fatalf("after etcdctl del --prefix %d names are served, held: %t", v.Names(), held)
	}
	for range 2 { // the second changes nothing that is served, and is a change all the same
		out, err := s.Zones.AcceptZone(s.Admin(), &pb.AcceptZoneRequest{Name: name})
		if err != nil || !out.Change.Changed {
			t.Fatal(out, err)
		}
		if v, _ := r.At(out.Change.Revision); len(v.Held()) != 0 || v.Zone(name+".") != nil {
			t.Fatalf("after the acceptance %v is held", v.Held())
		}
	}
	records, err := s.Audits.ListAuditRecords(s.Admin(), &pb.ListAuditRecordsRequest{Zone: name, PageSize: 1})
	if err != nil || len(records.Records) != 1 || records.Records[0].Action != "zone.accept" {
		t.Errorf("the audit says %v, %v", records, err)
	}
}
