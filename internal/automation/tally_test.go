package automation

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
)

// A checker's silence begins with its last sign of life, or when nobody has seen one.
func TestTheSilenceOfCheckers(t *testing.T) {
	a := newTally()
	reg := prometheus.NewRegistry()
	reg.MustRegister(a.silence)
	shown := func() map[string]float64 {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]float64{}
		for _, m := range families[0].GetMetric() {
			out[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
		return out
	}
	start := time.Unix(1e9, 0)
	both := []model.Checker{{Site: "north"}, {Site: "south"}}
	alive := &model.CheckerLife{}
	want := func(site string, seconds float64) {
		t.Helper()
		if got := shown()[site]; got != seconds {
			t.Errorf("%s: silent for %v s, want %v", site, got, seconds)
		}
	}
	a.checkers(both, map[string]*model.CheckerLife{"north": alive}, start)
	want("north", 0)
	want("south", 0)
	a.checkers(both, map[string]*model.CheckerLife{"north": alive}, start.Add(10*time.Second))
	want("north", 0)
	want("south", 10)
	a.checkers(both, nil, start.Add(700*time.Second))
	want("north", 690)
	want("south", 700)
	a.checkers(both, map[string]*model.CheckerLife{"south": alive}, start.Add(710*time.Second))
	want("south", 0)
	a.checkers(both[:1], nil, start.Add(720*time.Second))
	if n := len(shown()); n != 1 {
		t.Errorf("%d checkers are shown, want the one that is registered", n)
	}
}
