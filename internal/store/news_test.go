package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"signpost/internal/model"
)

// audited makes a change with audit records at a time, and is its revision.
func audited(t *testing.T, s *Store, at time.Time, action string, names ...model.Name) int64 {
	t.Helper()
	res, err := s.Update(t.Context(), func(tx *Tx) error {
		n, err := tx.NewNumber()
		if err != nil {
			return err
		}
		sum := fmt.Appendf(nil, "%d", n)
		if _, err := tx.Token(sum); err != nil {
			return err
		}
		tx.PutToken(sum, &model.Token{ID: "x"})
		for _, name := range names {
			tx.Audit(model.AuditRecord{Time: at, Action: action, Zone: exampleOrg, Name: name})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return res.Revision
}

var errEnough = errors.New("enough")

// In an etcd in which nothing happens it is said, too, how far the news are.
func TestNewsOfAnEtcdInWhichNothingHappens(t *testing.T) {
	_, s := etcdAndStore(t)
	rev := audited(t, s, time.Unix(1e9, 0), "host.create", "a.example.org.")
	at := NewsPosition{Revision: rev}
	for range 3 {
		err := s.FollowNews(t.Context(), &at, 10*time.Millisecond, func(n News) error {
			if n.Revision != rev || len(n.Records) > 0 {
				t.Errorf("%v", n)
			}
			return errEnough
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	}
}

func TestAuditIsFollowedInOrderAndGoesOnAfterARestart(t *testing.T) {
	etcd, s := etcdAndStore(t)
	now := time.Unix(1e9, 0)
	first := audited(t, s, now, "host.create", "a.example.org.", "b.example.org.")
	at := NewsPosition{Revision: first - 1}
	var got []string
	until := func(want int) {
		t.Helper()
		err := s.FollowNews(t.Context(), &at, 10*time.Millisecond, func(n News) error {
			for _, r := range n.Records {
				got = append(got, fmt.Sprint(n.Revision, " ", r.Name))
			}
			if n.Revision >= int64(want) {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		at.Revision = int64(want)
	}
	until(int(first))
	etcd.Stop()
	if err := s.FollowNews(t.Context(), &at, 10*time.Millisecond, nil); model.KindOf(err) != model.Unavailable {
		t.Errorf("without etcd: %v", err)
	}
	if err := etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	createZone(t, s, exampleOrg) // a revision without records is passed by
	second := audited(t, s, now, "host.create", "c.example.org.")
	until(int(second))
	want := []string{fmt.Sprint(first, " a.example.org."), fmt.Sprint(first, " b.example.org."), fmt.Sprint(second, " c.example.org.")}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFollowingTheAuditSaysWhenItCannotGoOn(t *testing.T) {
	s := freshStore(t)
	for range 5 {
		audited(t, s, time.Unix(1e9, 0), "host.create", "a.example.org.")
	}
	h, err := s.History(t.Context())
	if err != nil || h.Compacted != 0 || h.Revision < 5 {
		t.Fatal(h, err)
	}
	if _, err := s.client.Compact(t.Context(), h.Revision-1); err != nil {
		t.Fatal(err)
	}
	if h2, err := s.History(t.Context()); err != nil || h2.Compacted != h.Revision-1 || h2.Revision != h.Revision {
		t.Errorf("%+v, %v", h2, err)
	}
	follow := func(at NewsPosition) error {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		return s.FollowNews(ctx, &at, 10*time.Millisecond, func(News) error { return errEnough })
	}
	if err := follow(NewsPosition{Revision: 1}); model.KindOf(err) != model.Compacted {
		t.Errorf("from a compacted revision: %v", err)
	}
	if err := follow(NewsPosition{Revision: h.Revision - 1}); !errors.Is(err, errEnough) {
		t.Errorf("from the oldest there is: %v", err)
	}
	if err := follow(NewsPosition{Revision: h.Revision + 100}); model.KindOf(err) != model.Aborted {
		t.Errorf("from a revision that is not there: %v", err)
	}
	if err := follow(NewsPosition{Revision: h.Revision, Cluster: 42}); model.KindOf(err) != model.Aborted {
		t.Errorf("of another cluster: %v", err)
	}
	look := func(tx *Tx) error { _, err := tx.ZonesBelow(exampleOrg); return err }
	if err := s.ReadAt(t.Context(), 1, look); model.KindOf(err) != model.Compacted {
		t.Errorf("read at a compacted revision: %v", err)
	}
	if err := s.ReadAt(t.Context(), h.Revision, look); err != nil {
		t.Error(err)
	}
}
