package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// putAudit writes audit records of given times as they are stored, many at once.
func putAudit(t *testing.T, s *Store, records ...model.AuditRecord) {
	t.Helper()
	for some := range slices.Chunk(records, maxOps) {
		var ops []clientv3.Op
		for i := range some {
			ops = append(ops, clientv3.OpPut(s.keys.audit(newAuditID(some[i].Time, int64(i))), string(encodeAudit(&some[i]))))
		}
		if _, err := s.client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// putAuditTogether writes audit records as changes do that share a transaction: up to eight
// in a key, which is that of the newest.
func putAuditTogether(t *testing.T, s *Store, random *rand.Rand, records ...model.AuditRecord) {
	t.Helper()
	var ops []clientv3.Op
	for i := int64(0); len(records) > 0; i++ {
		some := records[:min(1+random.IntN(8), len(records))]
		records = records[len(some):]
		newest := slices.MaxFunc(some, func(a, b model.AuditRecord) int { return a.Time.Compare(b.Time) })
		var value []byte
		for i := range some {
			value = append(value, encodeAudit(&some[i])...)
		}
		ops = append(ops, clientv3.OpPut(s.keys.audit(newAuditID(newest.Time, i)), string(value)))
		if len(ops) == maxOps || len(records) == 0 {
			if _, err := s.client.Txn(t.Context()).Then(ops...).Commit(); err != nil {
				t.Fatal(err)
			}
			ops = nil
		}
	}
}

// However records lie in time, those of a list come once and in order, with as many
// pages as it takes.
func TestAuditIsReadWhereverItLiesInTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	now := time.Now().Truncate(time.Millisecond)
	var records []model.AuditRecord
	add := func(n int, at func() time.Time) {
		for range n {
			records = append(records, model.AuditRecord{Time: at(), Action: "host.create", Detail: fmt.Sprint(len(records))})
		}
	}
	add(3, func() time.Time { return now.Add(time.Hour) }) // of somebody whose clock is ahead
	add(2500, func() time.Time { return now.Add(-time.Minute) })
	add(1500, func() time.Time { return now.Add(-time.Hour - time.Duration(random.IntN(5000))*time.Millisecond) })
	add(500, func() time.Time { return now.Add(-time.Duration(random.Int64N(int64(30 * 24 * time.Hour)))) })
	add(auditLook, func() time.Time {
		return now.Add(-40*24*time.Hour - time.Duration(random.Int64N(int64(time.Hour))))
	})
	add(1, func() time.Time { return time.UnixMilli(1) })
	s := freshStore(t)
	putAuditTogether(t, s, random, records[:3000]...)
	putAudit(t, s, records[3000:4000]...)
	putAuditTogether(t, s, random, records[4000:]...)

	list := func(since time.Time, limit int, match func(*model.AuditRecord) bool) (ids []string, pages int) {
		t.Helper()
		for before := ""; ; {
			err := s.Read(t.Context(), func(tx *Tx) error {
				recs, more, err := tx.AuditRecords(before, since, limit, match)
				for _, r := range recs {
					ids = append(ids, r.ID)
				}
				if len(recs) > limit || more != "" && !IsAuditID(more) {
					t.Fatalf("%d records, more %q", len(recs), more)
				}
				before = more
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if pages++; before == "" {
				return ids, pages
			}
		}
	}
	all := func(*model.AuditRecord) bool { return true }
	for _, since := range []time.Time{{}, now.Add(-time.Hour), now.Add(-time.Minute), now.Add(-40 * 24 * time.Hour), now.Add(2 * time.Hour), now.AddDate(1000, 0, 0)} {
		want := 0
		for _, r := range records {
			if !r.Time.Before(since) {
				want++
			}
		}
		for _, limit := range []int{1000, 777, 100_000} {
			ids, _ := list(since, limit, all)
			if len(ids) != want || !slices.IsSortedFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) || len(slices.Compact(slices.Clone(ids))) != want {
				t.Errorf("since %s by %d: %d records, want %d, each once, the newest first", since, limit, len(ids), want)
			}
		}
	}
	// What does not match costs no more than its share of a page.
	ids, pages := list(time.Time{}, 10, func(r *model.AuditRecord) bool { return r.Time.Year() == 1970 })
	if len(ids) != 1 || pages < 2 {
		t.Errorf("%d records in %d pages", len(ids), pages)
	}
}

func TestTheAuditKeepsWhatItIsToldTo(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name   string
		config Config
		left   int
	}{
		{"by itself", Config{}, 3},
		{"for a day", Config{AuditKept: 24 * time.Hour}, 1},
		{"for a year", Config{AuditKept: 365 * 24 * time.Hour}, 4},
		{"one octet", Config{AuditBytes: 1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := freshStore(t)
			s.kept = c.config.auditBounds()
			for _, days := range []int{40, 29, 2, 0} {
				putAudit(t, s, model.AuditRecord{Time: now.AddDate(0, 0, -days), Action: "zone.update"})
			}
			if _, err := s.Sweep(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			if left, _ := leftOver(t, s); len(left) != c.left {
				t.Errorf("%d are left, want %d: %q", len(left), c.left, left)
			}
		})
	}
}
