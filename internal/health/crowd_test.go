package health

import (
	"fmt"
	"testing"

	"signpost/internal/model"
)

// crowd is three sites with ten owners, of whom each has a target on each, called
// "a-owner3", and what the owner mallory has, called "mallory...".
func crowd(mallory ...string) *court {
	c := &court{Judge: NewJudge[string](), told: map[string]model.Verdict{}}
	tcp := model.Check{Kind: model.CheckTCP, Port: 1}
	for _, site := range []string{"a", "b", "c"} {
		for i := range 10 {
			c.Put(fmt.Sprintf("%s-owner%d", site, i), Target{Site: site, Owner: fmt.Sprint("owner", i), Check: tcp})
		}
	}
	for i, site := range mallory {
		c.Put(fmt.Sprint("mallory", i), Target{Site: site, Owner: "mallory", Check: tcp})
	}
	c.rounds(5)
	return c
}

// Nobody talks all checkers into doubting themselves, by which no name would be switched,
// with sites that they have made up or with many endpoints on those there are; not even
// while a site is really lost.
func TestNoOwnerMakesCheckersDoubtThemselves(t *testing.T) {
	many := func(n int, sites ...string) (all []string) {
		for i := range n {
			all = append(all, sites[i%len(sites)])
		}
		return all
	}
	var made []string
	for i := range 200 {
		made = append(made, fmt.Sprint("made-up-", i))
	}
	for what, mallory := range map[string][]string{
		"made-up sites": made, "many on each site": many(300, "a", "b", "c"), "many of no site": many(300, ""), "all of it": append(many(400, "a", "b", "c", ""), made...),
	} {
		c := crowd(mallory...)
		c.rounds(2, "mallory")
		if c.Doubt() != NoDoubt {
			t.Errorf("%s: %v", what, c.Doubt())
		}
		c.rounds(1)
		c.rounds(2, "mallory")
		c.rounds(1, "mallory", "c-")
		if c.Doubt() != NoDoubt {
			t.Errorf("%s, while a site is lost: %v", what, c.Doubt())
		}
		c.rounds(2, "c-")
		for i := range 10 {
			if id := fmt.Sprint("c-owner", i); c.told[id] != model.Down {
				t.Fatalf("%s: told %v of %s", what, c.told[id], id)
			}
		}
	}
	c := crowd(made...)
	c.rounds(1, "mallory", "b-", "c-") // cut off it is all the same
	if c.Doubt() != InAll {
		t.Errorf("cut off: %v", c.Doubt())
	}
}
