package store

import "context"

// FollowChecks is Follow for a monitor: it also gives checks, the signs of life of
// checkers, and those of endpoints. The whole is of one revision. Then each revision is
// given up to four times, once for each of the ranges v1/dns/, v1/check/,
// v1/live/checker/ and v1/beat/ in which it changes something; those of one range come in
// order, those of two may pass each other. Whoever puts two of them together must
// therefore be told at commit when they do not fit, as Vote does.
//
// What Follow promises of etcd's history it promises by the keys under v1/dns/. The sink
// is given the whole again once an hour, whether it is a Comparer or not.
func (s *Store) FollowChecks(ctx context.Context, sink Sink, o FollowOptions) error {
	return s.follow(ctx, sink, o, under(s.keys.checks()), under(s.keys.checkerLives()), under(s.keys.beats()))
}

func under(prefix string) span { return span{prefix, prefixEnd(prefix)} }

// upTo is the revision up to which all changes of a span were delivered.
func (f *follower) upTo(of int) int64 {
	if of == 0 {
		return f.at.rev
	}
	return f.came[of]
}

// passed says that there is nothing more of a span up to a revision.
func (f *follower) passed(of int, rev int64) {
	if of == 0 {
		f.advance(rev)
		return
	}
	f.came[of] = max(f.came[of], rev)
	f.seen.rev = max(f.seen.rev, rev)
}
