package monitor

import (
	"time"

	"signpost/internal/health"
	"signpost/internal/model"
	"signpost/internal/store"
)

// due is votes that etcd has otherwise, at most so many.
//
//	etcd has of this endpoint                    we think         written
//	anything                                     nothing yet      no
//	our vote in this term on this generation     the same         no
//	our vote in this term on this generation     otherwise        yes
//	our vote in this term on this generation     cannot be tried  only when that is not allowed
//	nothing, or of another term or generation    anything         yes
//
// That an endpoint cannot be tried from here, though it may, is this checker's trouble:
// it takes no vote back.
func (b *book) due(most int, now time.Time) (out []store.Ballot) {
	if b.frozen || b.term == 0 {
		return nil
	}
	for e := range b.unsaid {
		if len(out) == most {
			return out
		}
		s := b.byName[e]
		if s == nil || !s.formed || !b.otherwise(s) {
			delete(b.unsaid, e)
			continue
		}
		out = append(out, store.Ballot{
			Zone: e.Zone, Name: e.Name, Endpoint: e.ID, Incarnation: s.incarnation, Check: s.revision,
			Vote: model.Vote{Site: b.site, Generation: s.generation, Term: b.term, Verdict: s.verdict, Reason: s.reason, Time: now},
		})
	}
	return out
}

func (b *book) otherwise(s *subject) bool {
	has, voted := b.votes[s.Endpoint]
	if !voted || has.Generation != s.generation || has.Term != b.term {
		return true
	}
	if s.verdict == model.NoVerdict && s.reason != model.AddressNotAllowed {
		return false
	}
	return has.Verdict != s.verdict
}

// said notes that votes were written, at the revisions that they have or later.
func (b *book) said(votes []store.Ballot) {
	for _, v := range votes {
		if e := about(v); b.votes[e].ModRevision < v.Vote.ModRevision {
			b.votes[e] = v.Vote
		}
	}
}

// about is the endpoint that a vote is about.
func about(v store.Ballot) Endpoint { return Endpoint{Host{v.Zone, v.Name}, v.Endpoint} }

// mayRegister reports whether all is said that has to be said before, by a checker that
// does not doubt itself: others' votes weigh less from then on.
func (b *book) mayRegister() bool {
	return b.active && b.term != 0 && b.checker == nil && !b.removed && !b.frozen && len(b.awaited) == 0 && len(b.unsaid) == 0 &&
		b.judge.Doubt() == health.NoDoubt
}
