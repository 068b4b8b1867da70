package store

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"signpost/internal/model"
)

// Uses are written MostUses in one transaction, and none of what is no more.
func TestUsesAreWrittenTogether(t *testing.T) {
	s := freshStore(t)
	now := time.Unix(1_800_000_000, 0).UTC()
	uses := map[Use]time.Time{}
	sums := make([][32]byte, MostUses)
	for i := range sums {
		sums[i] = sha256.Sum256(fmt.Append(nil, i))
		if _, err := s.Update(t.Context(), func(tx *Tx) error {
			uses[TokenUse(sums[i])] = now
			if i == 0 {
				return nil // it was revoked and swept meanwhile
			}
			if _, err := tx.Token(sums[i][:]); err != nil {
				return err
			}
			tx.PutToken(sums[i][:], &model.Token{ID: "x", Owner: "egi/alice"})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	revision := func() (rev int64) {
		if err := s.Read(t.Context(), func(tx *Tx) (err error) { rev, err = tx.Revision(); return err }); err != nil {
			t.Fatal(err)
		}
		return rev
	}
	before := revision()
	for range 2 { // the second time all is known
		if err := s.SaveUses(t.Context(), uses); err != nil {
			t.Fatal(err)
		}
		if got := revision(); got != before+1 {
			t.Errorf("%d revisions", got-before)
		}
	}
	if err := s.Read(t.Context(), func(tx *Tx) error {
		for i, sum := range sums {
			at, err := tx.LastUse(sum[:])
			if err != nil {
				return err
			}
			if at.IsZero() != (i == 0) || i > 0 && !at.Equal(now) {
				t.Errorf("%d: last used %s", i, at)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
