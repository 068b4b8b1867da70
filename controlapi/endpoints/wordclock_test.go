package endpoints_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"signpost/controlapi"
	"signpost/controlapi/controltest"
	"signpost/internal/automation"
	pb "signpost/proto/signpost/v1"
)

const day = 24 * time.Hour

// A word for a while ends with its lease in etcd, whatever the clock of the service that
// took it and of those that look for it say: neither an hour early nor a day late.
func TestNoClockEndsAWord(t *testing.T) {
	for _, off := range []time.Duration{-day, -time.Hour, -3 * time.Minute, time.Hour, day} {
		s := controltest.Two(t)
		wrong := func() time.Time { return s.Clock.Read().Add(off) }
		took := s.Again(func(c *controlapi.Config) { c.Now = wrong })
		_, err := took.Points.SetEndpointWord(s.Admin(), &pb.SetEndpointWordRequest{Fqdn: controltest.App, Id: "a", Say: "drain", For: durationpb.New(30 * time.Minute)})
		s.Done(err)
		_, err = took.Health.SetSiteWord(s.Admin(), &pb.SetSiteWordRequest{Site: "elsewhere", Say: "drain", For: durationpb.New(time.Minute), ConfirmLast: true})
		s.Done(err)
		var looks []*automation.Automation
		for _, now := range []func() time.Time{wrong, s.Clock.Read, func() time.Time { return s.Clock.Read().Add(-off) }} {
			a, err := automation.New(automation.Config{Store: s.Store, Now: now})
			s.Done(err)
			looks = append(looks, a)
		}
		for _, a := range looks {
			s.Done(a.Step(t.Context()))
		}
		if s.WantStands(controltest.App, "a drained, b up*"); markers(s) != 2 {
			t.Errorf("with a clock wrong by %v: %d markers", off, markers(s))
		}
		endMarkers(s)
		s.Done(looks[2].Step(t.Context()))
		s.WantStands(controltest.App, "a up*, b up*")
	}
}
