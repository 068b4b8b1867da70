package store

import "bytes"

// Basis is the keys that something was concluded from, as they were.
type Basis []read

// Basis is all that the Tx has read by key, so far. One that has listed names has none:
// what a list leaves out cannot be compared key by key.
func (tx *Tx) Basis() Basis {
	if len(tx.ranges) > 0 {
		return nil
	}
	b := make(Basis, 0, len(tx.reads.all))
	for _, r := range tx.reads.all {
		if r.exact {
			b = append(b, r)
		}
	}
	return b
}

// Holds reports whether what another Tx has read is the same here; what was concluded
// from it is then true here, too, and compared at commit. An empty Basis holds nothing.
func (tx *Tx) Holds(b Basis) (bool, error) {
	keys := make([]string, len(b))
	for i := range b {
		keys[i] = b[i].key
	}
	now, err := tx.get(keys...)
	if err != nil {
		return false, err
	}
	for i, h := range now {
		if was := b[i].held; h.mod != was.mod || !bytes.Equal(h.value, was.value) {
			return false, nil
		}
	}
	return len(b) > 0, nil
}
