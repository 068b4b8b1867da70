package control

import (
	"log/slog"
	"testing"
	"time"

	"signpost/internal/model"
	"signpost/internal/store"
)

// What the settings say of the audit in etcd is what the sweeper leaves there.
func TestTheSettingsBoundTheAudit(t *testing.T) {
	s, _ := started(t)
	now := time.Now()
	for _, days := range []int{40, 5, 0} {
		if _, err := s.store.Update(t.Context(), func(tx *store.Tx) error {
			sum := []byte{byte(days)}
			if _, err := tx.Token(sum); err != nil {
				return err
			}
			tx.PutToken(sum, &model.Token{ID: "x"})
			tx.Audit(model.AuditRecord{Time: now.AddDate(0, 0, -days), Action: "test"})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ days, left int }{{3660, 3}, {7, 2}, {1, 1}} {
		config := s.config
		config.AuditKeepDays, config.AuditKeepMiB = c.days, 1
		st, _, err := config.openStore(slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if _, err := st.Sweep(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if err := st.Read(t.Context(), func(tx *store.Tx) error {
			left, _, err := tx.AuditRecords("", time.Time{}, 100, func(r *model.AuditRecord) bool { return r.Action == "test" })
			if len(left) != c.left {
				t.Errorf("%d days: %d records are left, want %d", c.days, len(left), c.left)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}
