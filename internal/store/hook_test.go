package store

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

func takeHook(t *testing.T, s *Store, name string) *Hook {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	h, err := s.TakeHook(ctx, name, func(err error) { t.Log(err) })
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestOneHoldsAWebhookAndTheNextGoesOnWhereItWas(t *testing.T) {
	etcd, a := etcdAndStore(t)
	b := openOn(t, etcd.Endpoint())
	first := takeHook(t, a, "ops")
	if first.At != (NewsPosition{}) {
		t.Errorf("a new webhook was told up to %v", first.At)
	}
	other := takeHook(t, b, "chat") // another one is no matter
	defer other.Release()
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := b.TakeHook(short, "ops", func(error) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second holds it: %v", err)
	}
	at := NewsPosition{Revision: 7, Cluster: 9}
	if err := first.Told(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	first.Release()
	second := takeHook(t, b, "ops")
	if second.At != at {
		t.Errorf("told up to %v, want %v", second.At, at)
	}
	// Who has lost it writes nothing more.
	if err := first.Told(t.Context(), NewsPosition{Revision: 1}); model.KindOf(err) != model.Aborted {
		t.Errorf("%v, want Aborted", err)
	}
	if _, err := b.client.Delete(t.Context(), b.keys.hookLife("ops")); err != nil {
		t.Fatal(err)
	}
	if err := second.Told(t.Context(), NewsPosition{Revision: 8}); model.KindOf(err) != model.Aborted {
		t.Errorf("%v, want Aborted", err)
	}
	<-second.Context().Done()
	third := takeHook(t, a, "ops")
	defer third.Release()
	if third.At != at {
		t.Errorf("told up to %v, want %v", third.At, at)
	}
}

func TestAWebhookIsLeftWhenItsHolderDies(t *testing.T) {
	_, s := etcdAndStore(t)
	h := takeHook(t, s, "ops")
	if _, err := s.client.Revoke(t.Context(), h.lease); err != nil { // as when it expires
		t.Fatal(err)
	}
	select {
	case <-h.Context().Done():
	case <-time.After(time.Minute):
		t.Fatal("who holds it does not notice that the hold has ended")
	}
	resp, err := s.client.Get(t.Context(), s.keys.hookLife("ops"), clientv3.WithCountOnly())
	if err != nil || resp.Count != 0 {
		t.Errorf("%v %v", resp, err)
	}
	takeHook(t, s, "ops").Release()
}
