package health

import "testing"

func tried(site string, all, failing int) Tally { return Tally{Site: site, Tried: Count{all, failing}} }
func beating(site string, all, failing int) Tally {
	return Tally{Site: site, Beating: Count{all, failing}}
}

// TestOneCheckersTroubleIsNotTheEndpoints has each row of the table at Doubts: a checker
// doubts itself when most targets fail at once on more than half of the sites (its own
// included); the loss of one site, however large, is never self-doubt.
func TestOneCheckersTroubleIsNotTheEndpoints(t *testing.T) {
	everybody := Owners{Count{3, 3}, Count{3, 3}}
	for _, c := range []struct {
		name  string
		sites []Tally
		want  Doubt
	}{
		{"no targets", nil, NoDoubt},
		{"all is well", []Tally{tried("a", 10, 0), tried("b", 10, 0), tried("c", 10, 0)}, NoDoubt},
		{"all fail everywhere", []Tally{tried("a", 10, 10), tried("b", 10, 10), tried("c", 10, 10)}, InAll},
		{"all but its own site", []Tally{tried("a", 10, 0), tried("b", 10, 10), tried("c", 10, 10)}, InAll},
		{"most on two of three sites", []Tally{tried("a", 10, 0), tried("b", 10, 6), tried("c", 10, 6)}, InAll},
		{"half on two of three sites", []Tally{tried("a", 10, 0), tried("b", 10, 5), tried("c", 10, 5)}, NoDoubt},
		{"two of four sites", []Tally{tried("a", 10, 0), tried("b", 10, 0), tried("c", 10, 10), tried("d", 10, 10)}, NoDoubt},
		{"three of four sites", []Tally{tried("a", 10, 0), tried("b", 10, 10), tried("c", 10, 10), tried("d", 10, 10)}, InAll},
		{"both of two sites", []Tally{tried("a", 10, 10), tried("b", 10, 10)}, InAll},
		{"one of two sites", []Tally{tried("a", 10, 0), tried("b", 10, 10)}, NoDoubt},
		{"the loss of one site, however large", []Tally{tried("a", 1, 0), tried("b", 1, 0), tried("c", 100000, 100000)}, NoDoubt},
		{"the loss of the only site", []Tally{tried("a", 100000, 100000)}, NoDoubt},
		{"the loss of the only site that has targets", []Tally{tried("a", 0, 0), tried("b", 10, 10)}, NoDoubt},
		{"most of no known site, nothing else", []Tally{tried("", 10, 6)}, InAll},
		{"half of no known site", []Tally{tried("", 10, 5)}, NoDoubt},
		{"fewer than three of no known site", []Tally{tried("", 2, 2)}, NoDoubt},
		{"all of no known site, one site is well", []Tally{tried("", 10, 10), tried("a", 10, 0)}, NoDoubt},
		{"all of no known site and of a site", []Tally{tried("", 10, 10), tried("a", 10, 10)}, InAll},

		{"all heartbeats", []Tally{beating("a", 10, 10), beating("b", 10, 10)}, InBeats},
		{"most heartbeats, all others well", []Tally{{"a", Count{10, 0}, Count{10, 6}}, {"b", Count{10, 0}, Count{10, 6}}}, InBeats},
		{"half of the heartbeats", []Tally{beating("a", 10, 5), beating("b", 10, 5)}, NoDoubt},
		{"heartbeats and the rest", []Tally{{"a", Count{10, 10}, Count{10, 10}}, {"b", Count{10, 10}, Count{10, 10}}}, InAll},
		{"most heartbeats, all of one site, however large", []Tally{beating("a", 1, 0), beating("b", 100000, 100000)}, NoDoubt},
		{"most heartbeats, all of one site, and one elsewhere", []Tally{beating("a", 10, 1), beating("b", 100000, 100000)}, NoDoubt},
		{"heartbeats of the only site", []Tally{beating("a", 10, 10)}, NoDoubt},
		{"heartbeats of no known site", []Tally{beating("", 10, 6)}, InBeats},
		{"two heartbeats of no known site", []Tally{beating("", 2, 2)}, NoDoubt},
		{"a lost site is no matter of its heartbeats", []Tally{{"a", Count{10, 0}, Count{10, 0}}, {"b", Count{10, 10}, Count{10, 10}}}, NoDoubt},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Doubts(c.sites, everybody); got != c.want {
				t.Errorf("doubt: %v, wanted: %v", got, c.want)
			}
		})
	}
	everywhere := []Tally{{"a", Count{10, 10}, Count{10, 10}}, {"b", Count{10, 10}, Count{10, 10}}}
	for _, c := range []struct {
		name   string
		owners Owners
		want   Doubt
	}{
		{"with most owners", Owners{Count{5, 3}, Count{5, 3}}, InAll},
		{"with half of the owners", Owners{Count{4, 2}, Count{4, 2}}, NoDoubt},
		{"with most of those who have heartbeats", Owners{Count{4, 2}, Count{3, 2}}, InBeats},
		{"with half of those who have heartbeats", Owners{Count{4, 2}, Count{2, 1}}, NoDoubt},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Doubts(everywhere, c.owners); got != c.want {
				t.Errorf("doubt: %v, wanted: %v", got, c.want)
			}
		})
	}
	seen := map[string]bool{}
	for d := range doubts {
		if d.String() == "" || seen[d.String()] {
			t.Errorf("doubt %d says %q", d, d)
		}
		seen[d.String()] = true
	}
}
