package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

// hookFor is how long the hold on a webhook outlives its holder.
const hookFor = 10 * time.Second

// Hook is the hold of a control service on a webhook: while its leased key is there no
// other one tells the receiver, and how far that was told is written only with it.
type Hook struct {
	// At is how far the receiver was told when the hold began; zero when it never was.
	At     NewsPosition
	name   string
	s      *Store
	lease  clientv3.LeaseID
	create int64 // of the leased key: no later one has it
	ctx    context.Context
	end    context.CancelCauseFunc
}

var errHookLost = model.E(model.Aborted, "hold webhook", "").Because("the hold has ended: etcd was away for too long, or another control service has taken over")

// TakeHook waits until no other control service holds the webhook of this name, then holds
// it until it is released or ctx ends. failed is told what keeps it from looking. It
// returns ctx's error only.
func (s *Store) TakeHook(ctx context.Context, name string, failed func(error)) (*Hook, error) {
	for {
		resp, err := s.get(ctx, callTimeout, s.keys.hookLife(name), clientv3.WithKeysOnly())
		var h *Hook
		if err == nil && len(resp.Kvs) == 0 {
			h, err = s.tryHook(ctx, name)
		}
		if h != nil {
			return h, nil
		}
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		if err := sleep(ctx, lookAgain/2+jitter(lookAgain)); err != nil {
			return nil, err
		}
	}
}

// tryHook gives nothing when another was faster.
func (s *Store) tryHook(ctx context.Context, name string) (*Hook, error) {
	h := &Hook{name: name, s: s}
	h.ctx, h.end = context.WithCancelCause(ctx)
	held, err := h.take()
	if !held {
		h.Release()
		return nil, err
	}
	return h, nil
}

func (h *Hook) take() (held bool, err error) {
	ctx, cancel := context.WithTimeout(h.ctx, callTimeout)
	defer cancel()
	grant, err := h.s.client.Grant(ctx, int64(hookFor/time.Second))
	if err != nil {
		return false, translate(err, "hold webhook", h.name)
	}
	h.lease = grant.ID
	key := h.s.keys.hookLife(h.name)
	resp, err := h.s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, "", clientv3.WithLease(h.lease)), clientv3.OpGet(h.s.keys.hook(h.name))).Commit()
	if err != nil || !resp.Succeeded {
		return false, translate(err, "hold webhook", h.name)
	}
	h.create = resp.Header.Revision
	for _, kv := range resp.Responses[1].GetResponseRange().GetKvs() {
		var p storepb.HookPosition
		if err := decode("position of a webhook", kv.Value, &p); err != nil {
			return false, err
		}
		h.At = NewsPosition{Revision: p.Revision, Cluster: p.Cluster}
	}
	alive, err := h.s.client.KeepAlive(h.ctx, h.lease)
	if err != nil {
		return false, translate(err, "hold webhook", h.name)
	}
	go func() {
		for range alive { // it ends with h.ctx, or when the lease does
		}
		h.end(errHookLost)
	}()
	return true, nil
}

// Context ends when the hold does.
func (h *Hook) Context() context.Context { return h.ctx }

// Told writes how far the receiver was told. It does so also when Context has ended, as
// long as the hold has not. Errors: Aborted when the hold is lost.
func (h *Hook) Told(ctx context.Context, at NewsPosition) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	value := encode(&storepb.HookPosition{Schema: 1, Revision: at.Revision, Cluster: at.Cluster})
	resp, err := h.s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(h.s.keys.hookLife(h.name)), "=", h.create)).
		Then(clientv3.OpPut(h.s.keys.hook(h.name), string(value))).Commit()
	if err != nil {
		return translate(err, "hold webhook", h.name)
	}
	if !resp.Succeeded {
		h.end(errHookLost)
		return errHookLost
	}
	return nil
}

// Release ends the hold now instead of soon.
func (h *Hook) Release() {
	h.end(nil)
	if h.lease == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), callTimeout)
	defer cancel()
	_, _ = h.s.client.Revoke(ctx, h.lease) // else it ends by itself
}
