package controlapi_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi/controltest"
	"signpost/internal/automation"
	"signpost/internal/model"
	pb "signpost/proto/signpost/v1"
)

// shown is a metric's values by the value of its one label.
func shown(t *testing.T, from prometheus.Gatherer, metric string) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if v := m.GetGauge().GetValue() + m.GetCounter().GetValue(); f.GetName() == metric && v != 0 {
				out[m.GetLabel()[0].GetValue()] = v
			}
		}
	}
	return out
}

func TestEndpointsAreCountedByHowTheyStand(t *testing.T) {
	s := controltest.Two(t)
	s.Host("plain.vo.example.org", "192.0.2.9")
	s.SetCheck(&pb.SetCheckRequest{Kind: "tcp", Port: new(uint32(22))})
	x, y := s.Checker("x"), s.Checker("y")
	reg := prometheus.NewRegistry()
	auto, err := automation.New(automation.Config{Store: s.Store, Metrics: reg})
	s.Done(err)
	want := func(stands, changes string) {
		t.Helper()
		end := time.Now().Add(60 * time.Second)
		for {
			s.Done(auto.Step(t.Context()))
			got, changed := fmt.Sprint(shown(t, reg, "signpost_endpoints")), fmt.Sprint(shown(t, reg, "signpost_endpoint_state_changes_total"))
			if got == stands && changed == changes {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s, changes %s; want %s, %s", got, changed, stands, changes)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	want("map[up:2]", "map[]")
	s.Vote("a", model.Down, model.Refused, x)
	want("map[suspect:1 up:1]", "map[suspect:1]")
	s.Vote("a", model.Down, model.Refused, y)
	want("map[down:1 up:1]", "map[down:1 suspect:1]")
	s.Done(s.SayOfSite("b", "drain", true))
	want("map[down:1 drained:1]", "map[down:1 drained:1 suspect:1]")
	s.Done(s.Say("a", "up"))
	want("map[drained:1 up:1]", "map[down:1 drained:1 suspect:1 up:1]")
	ttl := uint32(77) // after which all is counted anew
	_, err = s.Zones.UpdateZone(s.Admin(), &pb.UpdateZoneRequest{Name: "vo.example.org", Ttl: &ttl})
	s.Done(err)
	want("map[drained:1 up:1]", "map[down:1 drained:1 suspect:1 up:1]")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); auto.Run(ctx) }()
	end := time.Now().Add(60 * time.Second)
	for fmt.Sprint(shown(t, reg, "signpost_words")) != "map[endpoint:1 site:1]" {
		if time.Now().After(end) {
			t.Fatal("words:", shown(t, reg, "signpost_words"))
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-ended
	_, err = s.Hosts.DeleteHost(s.Admin(), &pb.DeleteHostRequest{Fqdn: controltest.App})
	s.Done(err)
	want("map[]", "map[down:1 drained:1 suspect:1 up:1]")
}
