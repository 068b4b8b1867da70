package controlapi_test

import (
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/zone"
	pb "signpost/proto/signpost/v1"
)

// replica is a name server's view.
type replica struct {
	t     *testing.T
	mu    sync.Mutex
	moved *sync.Cond
	view  *zone.View
	held  bool // the guard has ever held a zone
}

func (s *server) replica(t *testing.T) *replica {
	r := &replica{t: t}
	r.moved = sync.NewCond(&r.mu)
	var following sync.WaitGroup
	following.Go(func() { _ = s.store.Follow(t.Context(), r, store.FollowOptions{}) }) // it returns ctx's error only
	t.Cleanup(following.Wait)
	return r
}

func (r *replica) take(v *zone.View, err error) error {
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.view, r.held = v, r.held || len(v.Held()) > 0
	r.moved.Broadcast()
	return nil
}

func (r *replica) Load(rev int64, _ uint64, all iter.Seq2[model.Change, error]) error {
	return r.take(zone.Build(rev, r.view, all))
}
func (r *replica) Next(rev int64, changes []model.Change) {
	_ = r.take(r.view.Apply(rev, changes), nil)
}
func (r *replica) Confirm(time.Time)              {}
func (r *replica) Trouble(what string, err error) { r.t.Log(what, err) }

// at waits for a revision and gives the view and whether the guard ever held.
func (r *replica) at(rev int64) (*zone.View, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.view == nil || r.view.Revision() < rev {
		r.moved.Wait()
	}
	return r.view, r.held
}

// file is a zone file with n names beside its frame.
func file(n int) string {
	var b strings.Builder
	b.WriteString("@ 3600 SOA ns.example.net. root.example.net. 1 7200 900 1209600 30\n@ NS ns.example.net.\n")
	for i := range n {
		fmt.Fprintf(&b, "h%d A 192.0.2.1\n", i)
	}
	return b.String()
}

// What the control service was told to remove never trips the guard; etcdctl does.
func TestOnlyWhoGoesAroundUsTripsTheGuard(t *testing.T) {
	s := start(t)
	r := s.replica(t)
	const name = "vo.example.org"
	load := func(n int) int64 {
		t.Helper()
		out, err := s.load(s.admin(), &pb.ImportZoneRequest{Name: name, Replace: true}, file(n))
		if err != nil {
			t.Fatal(err)
		}
		return out.Change.Revision
	}
	for _, n := range []int{500, 3, 500} {
		if v, held := r.at(load(n)); held || v.Names() != n {
			t.Fatalf("after an import of %d names %d are served, held: %t", n, v.Names(), held)
		}
	}
	gone, err := s.zones.DeleteZone(s.admin(), &pb.DeleteZoneRequest{Name: name, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if v, held := r.at(gone.Change.Revision); held || v.Zone(name+".") != nil {
		t.Fatalf("after a forced deletion the zone is %v, held: %t", v.Zone(name+"."), held)
	}
	r.at(load(500))
	ctl, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer ctl.Close()
	lost, err := ctl.Delete(t.Context(), s.prefix+"/v1/dns/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if v, held := r.at(lost.Header.Revision); !held || v.Names() != 500 {
		t.Fatalf("after etcdctl del --prefix %d names are served, held: %t", v.Names(), held)
	}
	for range 2 { // the second changes nothing that is served, and is a change all the same
		out, err := s.zones.AcceptZone(s.admin(), &pb.AcceptZoneRequest{Name: name})
		if err != nil || !out.Change.Changed {
			t.Fatal(out, err)
		}
		if v, _ := r.at(out.Change.Revision); len(v.Held()) != 0 || v.Zone(name+".") != nil {
			t.Fatalf("after the acceptance %v is held", v.Held())
		}
	}
	records, err := s.audits.ListAuditRecords(s.admin(), &pb.ListAuditRecordsRequest{Zone: name, PageSize: 1})
	if err != nil || len(records.Records) != 1 || records.Records[0].Action != "zone.accept" {
		t.Errorf("the audit says %v, %v", records, err)
	}
}
