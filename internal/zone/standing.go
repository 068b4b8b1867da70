package zone

import "signpost/internal/model"

// State says whether an endpoint is up.
type State int

// The states of an endpoint.
const (
	Up      State = iota
	Suspect       // up; it may be down soon
	Down
	Drained // an operator has taken it out
	Bare    // it has no addresses
)

var stateNames = [...]string{"up", "suspect", "down", "drained", "no addresses"}

// String is the word for it.
func (s State) String() string { return stateNames[s] }

// Level says on what the word is that decided.
type Level int

// The levels of words, the nearest first.
const (
	NoWord Level = iota
	OnEndpoint
	OnHost
	OnSite
)

// Standing is what is to be said of one endpoint.
type Standing struct {
	ID    string
	State State
	// Word is the operator's word that counts and Level what it is on; nil and NoWord: the
	// check decides, or there is none.
	Word  *model.Word
	Level Level
	// Judges is how many registered checkers the check names, and SayDown and SaySuspect
	// how many of them say so of this endpoint. They are counted when a word decides, too.
	Judges, SayDown, SaySuspect int
	PassedOver                  bool // a mark that counts
	Answered                    bool // is or, with weights, may be drawn
}

// offered reports whether the endpoint is one that no operator took away.
func (s *Standing) offered() bool { return s.State <= Suspect || s.State == Down && s.Word == nil }

// stand says how an endpoint of a host stands. Of what is said only this counts: words
// on the endpoint or host of the zone's own incarnation, of the nearest level that has
// one; votes about the endpoint's generation, in the term of their site's registered
// checker, of sites that the check names; a mark on the endpoint's generation, where
// fail-back is manual. With n checkers that the check names, of which d say down and s
// suspect:
//
//	the word that counts   check   votes                             the endpoint is
//	drain                  any     any                               drained
//	down                   any     any                               down
//	up                     any     any                               up
//	none                   none    any                               up
//	none                   yes     2d > n                            down
//	none                   yes     else, d+s >= n/2 and at least 1   suspect
//	none                   yes     else; also n = 0                  up
//
// One without addresses that would be up, suspect or down is bare instead, unless the
// word says down. A mark of being passed over counts where the check decides and the
// endpoint is not down.
func stand(h *model.Host, e *model.Endpoint, said *Said) Standing {
	s := Standing{ID: e.ID}
	if h.Checked {
		s.count(h, e, said)
	}
	s.Word, s.Level = said.word(e)
	switch {
	case s.Word != nil && s.Word.Say == model.SayDrain:
		s.State = Drained
	case s.Word != nil && s.Word.Say == model.SayDown:
		s.State = Down
	case len(e.Addresses) == 0:
		s.State = Bare
	case s.Word != nil || !h.Checked:
		s.State = Up
	default:
		s.State = s.voted()
		over := said.Overs[e.ID]
		s.PassedOver = s.State != Down && over != nil && over.Generation == e.Generation &&
			h.Policy.Kind == model.PolicyFailover && h.Policy.ManualFailback
	}
	return s
}

func (s *Standing) voted() State {
	switch {
	case 2*s.SayDown > s.Judges:
		return Down
	case s.SayDown+s.SaySuspect >= max(1, s.Judges/2):
		return Suspect
	}
	return Up
}

func (s *Standing) count(h *model.Host, e *model.Endpoint, said *Said) {
	for _, c := range said.Checkers {
		if !judges(h, c.Site) {
			continue
		}
		s.Judges++
		switch said.verdict(e, c) {
		case model.Down:
			s.SayDown++
		case model.Suspect:
			s.SaySuspect++
		}
	}
}

// judges reports whether the check names the checker of a site.
func judges(h *model.Host, site string) bool {
	if len(h.CheckSites) == 0 {
		return true
	}
	for _, s := range h.CheckSites {
		if s == site {
			return true
		}
	}
	return false
}

// verdict is what a registered checker says of an endpoint.
func (s *Said) verdict(e *model.Endpoint, c model.Checker) model.Verdict {
	for i := range s.Votes {
		v := &s.Votes[i]
		if v.Site == c.Site && v.Endpoint == e.ID && v.Term == c.Term && v.Generation == e.Generation {
			return v.Verdict
		}
	}
	return model.NoVerdict
}

// word is the operator's word that counts for an endpoint.
func (s *Said) word(e *model.Endpoint) (*model.Word, Level) {
	if w := s.Endpoints[e.ID]; w != nil && w.Say != model.SayNothing && w.Incarnation == s.Incarnation {
		return w, OnEndpoint
	}
	if w := s.Host; w != nil && w.Say != model.SayNothing && w.Incarnation == s.Incarnation {
		return w, OnHost
	}
	if w := s.Sites[e.Site]; w != nil && w.Say != model.SayNothing && e.Site != "" {
		return w, OnSite
	}
	return nil, NoWord
}
