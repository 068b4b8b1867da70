package controlapi_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	"signpost/internal/automation"
	pb "signpost/proto/signpost/v1"
)

// A word for a while ends with its lease in etcd, whatever the clock of the service that
// took it and of those that look for it say: neither an hour early nor a day late.
func TestNoClockEndsAWord(t *testing.T) {
	for _, off := range []time.Duration{-day, -time.Hour, -3 * time.Minute, time.Hour, day} {
		s := two(t)
		wrong := func() time.Time { return s.clock.read().Add(off) }
		took := s.again(func(c *controlapi.Config) { c.Now = wrong })
		_, err := took.points.SetEndpointWord(s.admin(), &pb.SetEndpointWordRequest{Fqdn: app, Id: "a", Say: "drain", For: durationpb.New(30 * time.Minute)})
		s.done(err)
		_, err = took.health.SetSiteWord(s.admin(), &pb.SetSiteWordRequest{Site: "elsewhere", Say: "drain", For: durationpb.New(time.Minute), ConfirmLast: true})
		s.done(err)
		var looks []*automation.Automation
		for _, now := range []func() time.Time{wrong, s.clock.read, func() time.Time { return s.clock.read().Add(-off) }} {
			a, err := automation.New(automation.Config{Store: s.store, Now: now})
			s.done(err)
			looks = append(looks, a)
		}
		for _, a := range looks {
			s.done(a.Step(t.Context()))
		}
		if s.wantStands(app, "a drained, b up*"); s.markers() != 2 {
			t.Errorf("with a clock wrong by %v: %d markers", off, s.markers())
		}
		s.endMarkers()
		s.done(looks[2].Step(t.Context()))
		s.wantStands(app, "a up*, b up*")
	}
}
