package watch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// Readers who take nothing while they catch up keep nobody else from it.
func TestNobodyKeepsOthersFromCatchingUp(t *testing.T) {
	s := controltest.Start(t)
	s.Zone("vo.example.org")
	from := s.Revision()
	big := strings.Repeat("x", 250)
	for i := range 400 {
		s.Record("big.vo.example.org", "TXT", fmt.Sprint(i), big+"1", big+"2", big+"3", big+"4", big+"5", big+"6", big+"7", big+"8")
	}
	var admins []string
	for i := range 5 {
		admins = append(admins, fmt.Sprintf("egi/p%d", i))
	}
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Admins: &pb.Words{Values: admins}})
	last := s.Revision()
	watch := func(who string) pb.WatchService_WatchClient {
		t.Helper()
		ctx, cancel := context.WithTimeout(controltest.Person(who), time.Minute)
		t.Cleanup(cancel)
		w, err := pb.NewWatchServiceClient(s.Conn).Watch(ctx, &pb.WatchRequest{Zone: "vo.example.org", FromRevision: from})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	for _, who := range admins[:4] {
		if _, err := watch(who).Recv(); err != nil { // it has begun
			t.Fatal(err)
		}
	}
	began, w := time.Now(), watch(admins[4])
	for {
		m, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.Revision >= last {
			break
		}
	}
	took := time.Since(began)
	if t.Logf("caught up after %v beside four who read nothing", took); took > 20*time.Second {
		t.Error("they were waited for")
	}
}
