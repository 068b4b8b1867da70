package automation

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
)

func openStore(t *testing.T, endpoint string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Endpoints: []string{endpoint}, Prefix: "/signpost"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The drain of a site ends by itself also when etcd was away when its time was over, once
// although two control services end it.
func TestATimedDrainOfASiteEndsAfterAnOutage(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	etcd := localetcd.New(t)
	s := openStore(t, etcd.Endpoint())
	marker, err := s.Marker(ctx, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.SiteWord("north"); err != nil {
			return err
		}
		tx.PutSiteWord("north", &model.Word{Say: model.SayDrain, By: "admin/x", Time: time.Now(), ExpireTime: time.Now().Add(time.Second), Marker: marker})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	etcd.Stop()
	reg := prometheus.NewRegistry()
	a, err := New(Config{Store: s, Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Store: openStore(t, etcd.Endpoint())})
	if err != nil {
		t.Fatal(err)
	}
	short, end := context.WithTimeout(ctx, 100*time.Millisecond)
	defer end()
	if err := a.Step(short); err == nil {
		t.Fatal("nothing is wrong without etcd")
	}
	if err := etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	other := make(chan struct{})
	both, stop := context.WithCancel(ctx)
	go func() { b.Run(both); close(other) }()
	go untilGone(both, t, s, stop)
	a.Run(both)
	<-other
	var audited []string
	err = s.Read(ctx, func(tx *store.Tx) error {
		records, _, err := tx.AuditRecords("", time.Time{}, 10, func(*model.AuditRecord) bool { return true })
		for _, r := range records {
			audited = append(audited, r.Principal+" "+r.Action+" "+r.Detail)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(audited) != 1 || audited[0] != "system/words site.word north" {
		t.Errorf("%q", audited)
	}
}

// untilGone ends a context when the word on the site is gone.
func untilGone(ctx context.Context, t *testing.T, s *store.Store, stop func()) {
	defer stop()
	for ctx.Err() == nil {
		gone := false
		err := s.Read(ctx, func(tx *store.Tx) error {
			words, err := tx.SiteWords()
			gone = words["north"] == nil
			return err
		})
		if err == nil && gone {
			return
		}
		time.Sleep(20 * time.Millisecond) // between looks
	}
	t.Error("the word stands")
}
