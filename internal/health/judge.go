package health

import (
	"time"

	"signpost/internal/model"
)

// Target is what a judge knows of a target.
type Target struct {
	Site  string // that it is on; "": nobody knows
	Owner string // whose it is
	Check model.Check
	// Stranger is one that never was up as far as is known, while others were: that it
	// fails tells nothing about this checker until it was up once.
	Stranger bool
}

// Change is a verdict that is to be told.
type Change[ID comparable] struct {
	Target  ID
	Verdict model.Verdict
	Reason  model.Reason // Fine when up
}

// Judge is what a checker thinks of all its targets and what it tells of that: while it
// doubts itself it tells nothing bad. It is not safe for concurrent use.
type Judge[ID comparable] struct {
	known   map[ID]*entry
	sites   map[string]*Tally
	owners  map[string]*Owners // how the targets of each do
	crowd   Owners             // how these do, each taken for one
	tallies []Tally            // scratch
	doubt   Doubt
	held    map[ID]struct{} // those whose verdict is withheld
	silent  int             // targets whose first round is not over
}

// entry is one target's mind and what was told of it.
type entry struct {
	Target
	mind *Mind
	told model.Verdict
	left int   // attempts of the first round, at most
	in   Count // how it is counted in its site's tally
	// doubted is whether it failed when a doubt ended, and has not been up since; failed is
	// how often in a row it has failed since then. What failed before then tells nothing.
	doubted bool
	failed  int
}

// NewJudge is one that knows no target.
func NewJudge[ID comparable]() *Judge[ID] {
	return &Judge[ID]{known: map[ID]*entry{}, sites: map[string]*Tally{}, owners: map[string]*Owners{}, held: map[ID]struct{}{}}
}

// Put adds a target, or replaces it by one of which nothing is known yet.
func (j *Judge[ID]) Put(id ID, t Target) {
	j.Remove(id)
	mind := NewMind(t.Check)
	j.known[id] = &entry{Target: t, mind: mind, left: max(mind.fall, mind.rise)}
	j.silent++
}

// Remove forgets a target.
func (j *Judge[ID]) Remove(id ID) {
	c := j.known[id]
	if c == nil {
		return
	}
	if c.left > 0 {
		j.silent--
	}
	j.count(c, Count{})
	delete(j.known, id)
	delete(j.held, id)
	j.reconsider()
}

// See takes one attempt and returns what is to be told now: nothing, its target's new
// verdict, or all that a doubt had withheld, in no order. An attempt at a target that is
// not known, or no longer, is nothing.
func (j *Judge[ID]) See(id ID, a model.Attempt, now time.Duration) []Change[ID] {
	c := j.known[id]
	if c == nil {
		return nil
	}
	changed := c.mind.See(a, now)
	if c.left > 0 {
		if c.left--; changed || c.left == 0 {
			c.left = 0
			j.silent--
		}
	}
	if c.doubted && a.Reason.Blames() {
		c.failed++
	} else if a.Reason == model.Fine {
		c.failed = 0
	}
	j.count(c, j.counted(c))
	j.reconsider()
	_, withheld := j.held[id]
	delete(j.held, id) // what was withheld of it has passed, or is looked at again
	if changed || withheld {
		return j.tell(id, c)
	}
	return nil
}

// Doubt is what the judge thinks of itself.
func (j *Judge[ID]) Doubt() Doubt { return j.doubt }

// Withheld is how many verdicts are not told because of it.
func (j *Judge[ID]) Withheld() int { return len(j.held) }

// Settled reports whether a target has had its full first round, or is not known.
func (j *Judge[ID]) Settled(id ID) bool {
	c := j.known[id]
	return c == nil || c.left == 0
}

// Silent is how many targets have had no full first round: with none left the checker may
// register. A target that cannot be tried from here has had its round too.
func (j *Judge[ID]) Silent() int { return j.silent }

// tell is a target's verdict to be told, nothing when it is as told before or is withheld.
func (j *Judge[ID]) tell(id ID, c *entry) []Change[ID] {
	verdict, why := c.mind.Verdict()
	if verdict == model.Up || verdict == model.Down && c.failed >= c.mind.fall {
		c.doubted = false
	}
	if verdict == c.told {
		return nil
	}
	if verdict != model.Up && (j.withholds(c) || c.doubted && (verdict == model.Down || c.failed == 0)) {
		j.held[id] = struct{}{}
		return nil
	}
	c.told = verdict
	c.Stranger = c.Stranger && verdict != model.Up
	j.count(c, j.counted(c))
	return []Change[ID]{{id, verdict, why}}
}

// counted is how a target counts: not before it was heard of, nor once it was said to be
// down, nor as a stranger. One that answers otherwise than it should is reached: that is no sign of this
// checker's trouble, and stand-bys that say so of themselves may be most of all targets.
func (j *Judge[ID]) counted(c *entry) Count {
	if !c.mind.Heard() || c.told == model.Down || c.Stranger {
		return Count{}
	}
	if c.mind.Failing() && !c.mind.why.Answers() {
		return Count{1, 1}
	}
	return Count{All: 1}
}

func (j *Judge[ID]) count(c *entry, as Count) {
	if c.in == as {
		return
	}
	s, o := j.sites[c.Site], j.owners[c.Owner]
	if s == nil {
		s = &Tally{Site: c.Site}
		j.sites[c.Site] = s
	}
	if o == nil {
		o = &Owners{}
		j.owners[c.Owner] = o
	}
	of, its, all := &s.Tried, &o.Tried, &j.crowd.Tried
	if c.Check.Kind == model.CheckHeartbeat {
		of, its, all = &s.Beating, &o.Beating, &j.crowd.Beating
	}
	was := its.asOne()
	of.add(as, c.in)
	its.add(as, c.in)
	all.add(its.asOne(), was)
	c.in = as
	if s.Tried.All == 0 && s.Beating.All == 0 {
		delete(j.sites, c.Site)
	}
	if *o == (Owners{}) {
		delete(j.owners, c.Owner)
	}
}

// reconsider asks again whether to doubt. When a doubt ends, what was seen in it is not told
// after all: a checker that was cut off gets its targets back one by one, and those that
// are not yet tried again would be said to be down.
func (j *Judge[ID]) reconsider() {
	was := j.doubt
	if j.ask(); j.doubt >= was {
		return
	}
	for id, c := range j.known {
		_, withheld := j.held[id] // also when it has been fine once since
		if (withheld || c.mind.Failing()) && !j.withholds(c) {
			c.doubted, c.failed = true, 0
		}
	}
}

// withholds reports whether nothing bad is told of a target now.
func (j *Judge[ID]) withholds(c *entry) bool {
	return j.doubt == InAll || j.doubt == InBeats && c.Check.Kind == model.CheckHeartbeat
}

func (j *Judge[ID]) ask() {
	j.tallies = j.tallies[:0]
	for _, s := range j.sites {
		j.tallies = append(j.tallies, *s)
	}
	j.doubt = Doubts(j.tallies, j.crowd)
}
