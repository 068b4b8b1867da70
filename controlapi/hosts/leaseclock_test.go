package hosts_test

import (
	"testing"
	"time"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	pb "signpost/proto/signpost/v1"
)

// A control service whose clock is a day ahead withdraws no host that is refreshed within
// its lease, be it at another service; one that is not refreshed goes, whatever the clock.
func TestAClockThatIsAheadWithdrawsNobody(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(3600))})
	s.Host("lost.vo.example.org", "192.0.2.1")
	secret := s.Host("app.vo.example.org", "192.0.2.2")
	ahead := s.Again(func(c *controlapi.Config) {
		c.Now = func() time.Time { return s.Clock.Read().Add(day) }
		c.Elapsed = s.Clock.Elapsed
	})
	withdrawn := 0
	for range 8 { // of half an hour each
		w, _, err := ahead.Service.EndLeases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		withdrawn += w
		s.Clock.Add(30 * time.Minute)
		s.Clock.Pass(30 * time.Minute)
		_, err = s.Hosts.SetAddresses(controltest.As("app.vo.example.org", secret), &pb.SetAddressesRequest{Fqdn: "app.vo.example.org", Addresses: []string{"192.0.2.2"}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if s.Shown("app.vo.example.org").Lapsed != nil {
		t.Error("the host that is refreshed is withdrawn")
	}
	if s.Shown("lost.vo.example.org").Lapsed == nil || withdrawn != 1 {
		t.Errorf("%d withdrawn, want the one that is not refreshed", withdrawn)
	}
}

// A clock that is set ahead, and back after a while, has no effect: what was seen due is
// not, and its time begins anew.
func TestAClockThatJumpsWithdrawsNobody(t *testing.T) {
	s := controltest.Start(t)
	s.Open("vo.example.org")
	s.Policy("vo.example.org", &pb.UpdateZonePolicyRequest{Lease: new(uint32(3600))})
	s.Host("app.vo.example.org", "192.0.2.2")
	for range 5 {
		for _, jump := range []time.Duration{2 * time.Hour, -2 * time.Hour} {
			s.Clock.Add(jump)
			if w, f, err := s.Service.EndLeases(t.Context()); w+f != 0 || err != nil {
				t.Fatal(w, f, err)
			}
			s.Clock.Pass(time.Hour)
		}
	}
	s.Clock.Add(2 * time.Hour)
	ends(s, "not refreshed indeed", 1, 0)
}
