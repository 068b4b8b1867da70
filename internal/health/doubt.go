package health

// Doubt is a checker's belief that trouble is its own.
type Doubt int

// The doubts, each of which contains the one before.
const (
	NoDoubt Doubt = iota
	InBeats       // heartbeats do not reach it; it believes what it tries itself
	InAll         // it believes no failure that it sees
	doubts
)

var doubtNames = [doubts]string{
	"none",
	"most heartbeats stopped together: they may not reach this checker",
	"most targets failed together on more than half of the sites: this checker may be cut off",
}

// String is what a checker says about itself.
func (d Doubt) String() string { return doubtNames[d] }

// Tally is how the targets of one site do, as far as they have been heard of and are not
// known to be down: what has been down for long is no news, nor is what never was up. One
// that answers, however, does not fail.
type Tally struct {
	Site    string // "": no site is known, which is wherever in the world
	Tried   Count  // by this checker itself
	Beating Count  // the heartbeats
}

// Count is how many of some targets fail.
type Count struct{ All, Failing int }

func (c Count) most() bool { return 2*c.Failing > c.All }

func (c *Count) add(more, less Count) {
	c.All += more.All - less.All
	c.Failing += more.Failing - less.Failing
}

// asOne is some targets taken for one, which fails when most of them do.
func (c Count) asOne() Count {
	switch {
	case c.All == 0:
		return Count{}
	case c.most():
		return Count{1, 1}
	}
	return Count{All: 1}
}

// Owners is how the owners of targets do, each taken for one. Sites are whatever owners
// call them: one who has a service fail at sixteen places has found out nothing about the
// checker.
type Owners struct {
	Tried   Count
	Beating Count
}

// leastStrewn is how many targets of no known site must fail to be taken for more than
// one place.
const leastStrewn = 3

// Doubts says whether a checker should doubt itself, from one Tally per site, the
// checker's own among them like any other. Trouble on one site alone is the site's, and
// what most owners do not have is that of those who have it.
//
//	what fails                                                      doubt
//	most tried targets on more than half of the sites that
//	have any, and on at least two                                   in all
//	most tried targets of no known site, at least three, and
//	that is more than half of the sites that have any               in all
//	most tried targets of one site, however many they are           none
//	most heartbeats of all, and most of each of two sites           in beats
//	most heartbeats of all, three or more of them of no known site  in beats
//	most heartbeats of all, but most of those of one site only      none
//	any of it, but not with more than half of the owners            none
//	less                                                            none
func Doubts(sites []Tally, owners Owners) Doubt {
	var places, failing int // sites with tried targets, and those of them where most fail
	var beats Count
	var beatless int // sites where most heartbeats stopped
	strewn, strewnBeats := false, false
	for _, s := range sites {
		if s.Tried.All > 0 {
			places++
		}
		if s.Tried.most() {
			failing++
			strewn = strewn || s.Site == "" && s.Tried.Failing >= leastStrewn
		}
		beats.All += s.Beating.All
		beats.Failing += s.Beating.Failing
		if s.Beating.most() {
			beatless++
			strewnBeats = strewnBeats || s.Site == "" && s.Beating.Failing >= leastStrewn
		}
	}
	switch {
	case owners.Tried.most() && 2*failing > places && (failing >= 2 || strewn):
		return InAll
	case owners.Beating.most() && beats.most() && (beatless >= 2 || strewnBeats):
		return InBeats
	}
	return NoDoubt
}
