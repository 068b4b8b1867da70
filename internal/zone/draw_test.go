package zone_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/zone"
)

const draws = 40_000

// drawn counts how often each address is in the answers to a question, each with a draw
// of its own; the seed is in what the test says when it fails.
func drawn(t *testing.T, v *zone.View, qtype uint16) map[string]int {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	numbers := rand.New(rand.NewPCG(seed, 0))
	counts := map[string]int{}
	for range draws {
		for _, rr := range v.Zone(sceneZone).Answer(sceneHost, qtype, numbers.Uint64()).Answer {
			counts[strings.TrimPrefix(rr.String(), rr.Header().String())]++
		}
	}
	return counts
}

// near holds counts against what is to be expected, within five standard deviations:
// less than one in a million draws of seeds is further away.
func near(t *testing.T, got map[string]int, want map[string]float64) {
	t.Helper()
	for a, p := range want {
		if away := math.Abs(float64(got[a]) - draws*p); away > 5*math.Sqrt(draws*p*(1-p))+1e-9 {
			t.Errorf("%s is in %d of %d answers, want about %.0f", a, got[a], draws, draws*p)
		}
	}
	for a, n := range got {
		if _, ok := want[a]; !ok && n > 0 {
			t.Errorf("%s is in %d answers", a, n)
		}
	}
}

func TestWeightedDrawsByWeight(t *testing.T) {
	v := staged(t, "policy weighted; a w1 4; b w2 4 6; c w7 4; d w0 4 6; e w10 4; word e drain").view
	near(t, drawn(t, v, dns.TypeA), map[string]float64{"192.0.2.1": .1, "192.0.2.2": .2, "192.0.2.3": .7})
	near(t, drawn(t, v, dns.TypeAAAA), map[string]float64{"2001:db8::2": 1}) // drawn among those that have IPv6
}

func TestWeightZeroOnlyWhenAllAreZero(t *testing.T) {
	v := staged(t, "policy weighted; a w0 4; b w0 4; c w1 4; word c drain").view
	near(t, drawn(t, v, dns.TypeA), map[string]float64{"192.0.2.1": .5, "192.0.2.2": .5})
}

// max_answers are drawn without putting back: with weights 1, 2 and 3 the first is one of
// two with 1/6 + 2/6*1/4 + 3/6*1/3, and so on.
func TestMaxAnswersAreDrawnWithoutPuttingBack(t *testing.T) {
	w := staged(t, "policy weighted max=2; a w1 4; b w2 4; c w3 4")
	near(t, drawn(t, w.view, dns.TypeA), map[string]float64{
		"192.0.2.1": 1./6 + 2./6*1/4 + 3./6*1/3, "192.0.2.2": 2./6 + 1./6*2/5 + 3./6*2/3, "192.0.2.3": 3./6 + 1./6*3/5 + 2./6*3/4,
	})
	for draw := range uint64(1000) {
		if n := len(w.view.Zone(sceneZone).Answer(sceneHost, dns.TypeA, draw+1).Answer); n != 2 {
			t.Fatalf("draw %d gives %d addresses, want 2", draw+1, n)
		}
	}
	w = staged(t, "policy weighted max=9; a w1 4; b w2 4")
	w.expect(sceneHost, dns.TypeA, hostIs(60, "192.0.2.1", "192.0.2.2"))
	if w.view.Zone(sceneZone).Draws() {
		t.Error("all are answered, and the zone asks for a draw")
	}
}

// A transfer contains all that may be drawn, of wildcards too.
func TestATransferContainsAllThatMayBeDrawn(t *testing.T) {
	v := staged(t, "policy weighted; a w1 4; b w2 4; c w0 4; d w5 4; word d down").view
	if got := strings.Join(recordsOf(v.Zone(sceneZone)), " "); strings.Count(got, sceneHost+"\t60\tIN\tA\t") != 2 {
		t.Errorf("the records are %s", got)
	}
	if !v.Zone(sceneZone).Draws() {
		t.Error("the zone asks for no draw")
	}
}

// One draw costs no allocation beyond that of the answer, in wire form none.
func TestADrawAllocatesNothing(t *testing.T) {
	v := staged(t, "policy weighted; a w1 4; b w2 4; c w3 4").view
	m := new(dns.Msg)
	m.SetQuestion(sceneHost, dns.TypeA)
	msg, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var q zone.Question
	q.Read(msg[12:])
	room := make([]byte, 0, 512)
	draw := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		draw++
		if b, s, ok := v.FindPlain(&q).AppendPlain(room, &q, draw); !ok || s.Answer != 1 || len(b) == 0 {
			t.Fatal("not answered")
		}
	}); n != 0 {
		t.Errorf("a draw makes %v allocations", n)
	}
}
