package monitor

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"signpost/internal/model"
)

// subject is an endpoint that is checked from here.
type subject struct {
	Endpoint
	rests             // on what a vote about it does
	owner      string // whose new addresses are counted with this one's
	generation uint64
	site       string
	check      model.Check
	addrs      []netip.Addr // to be tried, each for itself; of a heartbeat one that is invalid
	targets    []*target
	opinion
}

// rests is which check a vote rests on.
type rests struct {
	incarnation uint64 // of the zone
	revision    int64  // the check's
}

// longestAwaited is how long a first round may take that the registration waits for.
const longestAwaited = 5 * time.Minute

// slow reports whether a first round takes so long that the checker registers without it,
// or an owner of a name could keep it from that for most of an hour. Until then it has
// not said that the endpoint is down.
func (s *subject) slow() bool {
	c := s.check.WithDefaults()
	return time.Duration(max(c.Fall, c.Rise))*c.Interval > longestAwaited
}

// target is one thing to be tried.
type target struct {
	id   uint64 // never given twice, so that nothing old is taken for something new
	of   *subject
	addr netip.Addr
	seen
}

// seen is what the checker has found out about one address.
type seen struct {
	verdict model.Verdict
	reason  model.Reason // of the verdict; with none: of the last attempt
	round   bool         // it has had its full first round
}

// untold reports whether a verdict is to be awaited: the first round is not over, or the
// judge withholds what came of it.
func (s seen) untold() bool {
	return s.verdict == model.NoVerdict && (!s.round || s.reason == model.Fine || s.reason.Blames())
}

// opinion is what a checker says of an endpoint. The zero opinion is none.
type opinion struct {
	verdict model.Verdict
	reason  model.Reason
	formed  bool
}

// subjects is what there is to check at a host from a site.
func (s *scene) subjects(h Host) []*subject {
	host, check, incarnation := s.find(h)
	if host == nil || len(check.Sites) > 0 && !slices.Contains(check.Sites, s.site) {
		return nil
	}
	c := *check
	c.ModRevision, c.Owner = 0, "" // put again as it was it is the same check
	owner := check.Owner
	if owner == "" {
		owner = h.Zone.Text() + "/" + h.Name.Text() // no owner is written so
	}
	var out []*subject
	for _, e := range host.Endpoints {
		addrs := e.Addresses
		if check.Kind == model.CheckHeartbeat {
			addrs = []netip.Addr{{}}
		}
		if len(addrs) > 0 {
			out = append(out, &subject{Endpoint: Endpoint{h, e.ID}, rests: rests{incarnation, check.ModRevision}, owner: owner, generation: e.Generation, site: e.Site, check: c, addrs: addrs})
		}
	}
	return out
}

// same reports whether what is known of one subject holds for the other.
func (s *subject) same(o *subject) bool {
	return s.ID == o.ID && s.generation == o.generation && s.site == o.site && slices.Equal(s.addrs, o.addrs) && reflect.DeepEqual(s.check, o.check)
}

// judge forms an opinion of an endpoint from what was found out about its addresses:
// people reach it when they reach one address of each family that it has.
//
//	addresses of one family                                   the family is
//	any up                                                    up
//	none up, some whose verdict is to be awaited              not known yet
//	none up, any suspect                                      suspect
//	all down, but for those that cannot be tried from here    down
//	none can be tried from here                               left out
//
//	families                the endpoint is
//	any not known yet       not known yet
//	all left out            without a verdict, with the reason why
//	otherwise               as its worst family
func judge(addrs []netip.Addr, found []seen) (is opinion) {
	for _, four := range []bool{true, false} {
		best, known := family(addrs, found, four)
		switch {
		case !known:
			return opinion{}
		case best.verdict > is.verdict || !is.formed:
			is = best
		}
	}
	return is
}

// family is what is thought of the addresses of one family; not formed: there are none.
func family(addrs []netip.Addr, found []seen, four bool) (best opinion, known bool) {
	waiting := false
	for i, f := range found {
		switch {
		case addrs[i].Is4() != four:
		case f.untold():
			waiting = true
		case best.verdict == model.NoVerdict && (f.verdict != model.NoVerdict || !best.formed),
			f.verdict != model.NoVerdict && f.verdict < best.verdict:
			best = opinion{f.verdict, f.reason, true}
		}
	}
	return best, !waiting || best.verdict == model.Up
}
