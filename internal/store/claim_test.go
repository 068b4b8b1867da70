package store

import (
	"context"
	"iter"
	"maps"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

func loading(names map[model.Name]*model.NameData) iter.Seq2[model.Name, *model.NameData] {
	return maps.All(names)
}

// A chunk that was given up and written again, and comes to etcd late all the same, is
// not put over what has changed since in the generation.
func TestALateChunkIsNotPutOverALaterOne(t *testing.T) {
	e, s := etcdAndStore(t)
	line := newProxy(t, e.Addr())
	slow := openOn(t, line.endpoint())
	const changed, removed = model.Name("a.example.org."), model.Name("b.example.org.")
	older, newer := addressed("192.0.2.1", 1), addressed("192.0.2.2", 2)
	for _, what := range []struct {
		name string
		then func(*Claim) error
		want map[model.Name]*model.NameData // of the generation in the end
	}{
		{"a later Load", func(c *Claim) error {
			return c.Load(loading(map[model.Name]*model.NameData{changed: newer, removed: nil}), func(int) {})
		}, map[model.Name]*model.NameData{changed: newer}},
		{"the zone is closed, then a later Load", func(c *Claim) error {
			if err := c.CloseZone(); err != nil {
				return err
			}
			return c.Load(loading(map[model.Name]*model.NameData{changed: newer, removed: nil}), func(int) {})
		}, map[model.Name]*model.NameData{changed: newer}},
		{"the claim is released", func(c *Claim) error {
			_, err := c.Release(context.WithoutCancel(c.Context()))
			return err
		}, nil},
	} {
		t.Run(what.name, func(t *testing.T) {
			c, err := s.ClaimImport(t.Context(), exampleOrg, "somebody", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			key := func(n model.Name) string { return s.keys.name(exampleOrg, c.Generation, n) }
			if _, err := slow.client.Get(t.Context(), "x"); err != nil { // there is a connection
				t.Fatal(err)
			}
			late := *c
			late.s, late.ctx = slow, t.Context() // the network knows nothing of the end of ours
			line.set(true, false)
			written := make(chan error)
			go func() {
				written <- late.writeChunk(t.Context(), []clientv3.Op{
					clientv3.OpPut(key(changed), string(encodeName(older))), clientv3.OpPut(key(removed), string(encodeName(older))),
				})
			}()
			if err := c.Load(loading(map[model.Name]*model.NameData{changed: older, removed: older}), func(int) {}); err != nil {
				t.Fatal(err)
			}
			if err := what.then(c); err != nil {
				t.Fatal(err)
			}
			line.set(false, false)
			if err := <-written; model.KindOf(err) != model.Aborted {
				t.Errorf("the late chunk: %v, want Aborted", err)
			}
			got, err := s.client.Get(t.Context(), s.keys.gen(exampleOrg, c.Generation), clientv3.WithPrefix())
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Kvs) != len(what.want) {
				t.Errorf("the generation has %d names, want %d", len(got.Kvs), len(what.want))
			}
			for name, data := range what.want {
				if kv, err := s.client.Get(t.Context(), key(name)); err != nil || string(kv.Kvs[0].Value) != string(encodeName(data)) {
					t.Errorf("%s: %v, %v", name, kv, err)
				}
			}
			if c.Context().Err() == nil {
				if _, err := c.Release(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A renewal of which nothing was heard, though it was made, is not taken for the loss
// of the claim; what another has put there is.
func TestAClaimKnowsItsOwnRenewal(t *testing.T) {
	_, s := etcdAndStore(t)
	c, err := s.ClaimImport(t.Context(), exampleOrg, "somebody", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	unheard := *c
	if err := unheard.renew(); err != nil {
		t.Fatal(err)
	}
	if err := c.renew(); err != nil || c.mod != unheard.mod {
		t.Errorf("%v, at %d, want %d", err, c.mod, unheard.mod)
	}
	if _, err := s.client.Delete(t.Context(), c.key); err != nil {
		t.Fatal(err)
	}
	if err := c.renew(); model.KindOf(err) != model.Aborted {
		t.Errorf("without a claim: %v", err)
	}
	if _, err := s.ClaimImport(t.Context(), exampleOrg, "another", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := c.renew(); model.KindOf(err) != model.Aborted {
		t.Errorf("with another's claim: %v", err)
	}
}
