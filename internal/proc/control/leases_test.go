package control

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"signpost/controlapi"
	"signpost/internal/store/localetcd"
	pb "signpost/proto/signpost/v1"
)

func TestServeEndsLeases(t *testing.T) {
	st := openStore(t, localetcd.New(t).Endpoint())
	key := filepath.Join(t.TempDir(), "key")
	log := slog.New(slog.DiscardHandler)
	c := Config{MasterKeyFile: key, AdminTokenFile: filepath.Join(t.TempDir(), "token")}
	if err := setUp(t.Context(), st, c, log); err != nil {
		t.Fatal(err)
	}
	token, err := newAdminToken(t.Context(), st, c, log)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	now, start := time.Now(), time.Now()
	read := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	s, err := controlapi.New(controlapi.Config{Store: st, Now: read, Elapsed: func() time.Duration {
		// Each reading is a minute later: hosts are watched before they are withdrawn.
		mu.Lock()
		defer mu.Unlock()
		start = start.Add(-time.Minute)
		return now.Sub(start)
	}})
	if err != nil {
		t.Fatal(err)
	}
	admin := controlapi.WithCaller(t.Context(), controlapi.Caller{Authorization: "Bearer " + token})
	_, err1 := s.CreateZone(admin, &pb.CreateZoneRequest{Name: "vo.example.org", NameServers: []*pb.NameServer{{Name: "ns.example.net"}}})
	_, err2 := s.UpdateZonePolicy(admin, &pb.UpdateZonePolicyRequest{Name: "vo.example.org", Lease: new(uint32(300))})
	_, err3 := s.CreateHost(admin, &pb.CreateHostRequest{Fqdn: "app.vo.example.org"})
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { endLeases(ctx, s, time.Millisecond, log) })
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	for {
		h, err := s.GetHost(admin, &pb.GetHostRequest{Fqdn: "app.vo.example.org"})
		if err != nil {
			t.Fatal(err)
		}
		if h.Lapsed != nil {
			break
		}
	}
	cancel()
	running.Wait()
}
