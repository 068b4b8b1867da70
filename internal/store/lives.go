package store

import (
	"strings"

	"signpost/internal/model"
)

// CheckerLives reads the signs of life of checkers, by site.
func (tx *Tx) CheckerLives() (map[string]*model.CheckerLife, error) {
	out := map[string]*model.CheckerLife{}
	for kv, err := range tx.walk(tx.s.keys.checkerLives()) {
		if err != nil {
			return nil, err
		}
		site, err := parsePart(strings.TrimPrefix(string(kv.Key), tx.s.keys.checkerLives()))
		if err != nil {
			continue // not ours; etcdctl shows it
		}
		if life, err := decodeLife(kv.Value, kv.ModRevision); err == nil {
			out[site] = life
		}
	}
	return out, nil
}
