package store

import (
	"iter"

	"signpost/internal/model"
)

// EachSaid walks all that is said of endpoints: operators' words, then votes, and in the end
// the registered checkers. It keeps nothing: what a change rests on it must be compared
// otherwise, by OfZonesBelow. What cannot be read is left out. The walk ends with an error.
func (tx *Tx) EachSaid() iter.Seq2[model.Change, error] {
	return func(yield func(model.Change, error) bool) {
		for _, prefix := range []string{tx.s.keys.words(), tx.s.keys.anyVote(), tx.s.keys.checkers()} {
			for kv, err := range tx.walk(prefix) {
				if err != nil {
					yield(model.Change{}, err)
					return
				}
				key, ok, err := tx.s.keys.parse(string(kv.Key))
				if err != nil || !ok {
					continue // not ours; etcdctl shows it
				}
				c := model.Change{Key: key, ModRevision: kv.ModRevision, Raw: kv.Value}
				if decodeJudged(&c); c.Bad == nil && !yield(c, nil) {
					return
				}
			}
		}
	}
}
