package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store/storepb"
)

const (
	// orderFor is how long an order outlives who places it, and its failure is known.
	orderFor = 15 * time.Second
	// lookForOrder is how often who waits for another's order looks, about.
	lookForOrder = 200 * time.Millisecond
)

// Order is a control service's hold on the ordering of a host's certificate: while it
// lasts nobody else orders one for the host. It is a leased key, so that it ends with its
// holder, and all that the order writes compares it.
type Order struct {
	s     *Store
	key   string
	lease clientv3.LeaseID
	value *storepb.CertificateOrder
	ctx   context.Context
	end   context.CancelCauseFunc
}

// OrderUnderWay is an order that somebody else places.
type OrderUnderWay struct {
	KeyID [32]byte // of the key that is to be signed
	id    string
	key   string
}

var errOrderLost = model.E(model.Aborted, "order certificate", "").Because("this control service lost its hold on the order: etcd was away for too long").Hint("ask again")

// ClaimOrder holds the ordering of a host's certificate, or says who does, or who did for the
// same key and has failed after revision since. Errors: Unavailable.
func (s *Store) ClaimOrder(ctx context.Context, z *model.Zone, host model.Name, keyID [32]byte, since int64, principal string, now time.Time) (*Order, *OrderUnderWay, error) {
	key := s.keys.order(*z, host)
	for {
		p, mod, err := s.orderAt(ctx, key)
		if err != nil {
			return nil, nil, err
		}
		if p != nil && (!p.Done || mod > since && bytes.Equal(p.KeySha256, keyID[:])) {
			return nil, &OrderUnderWay{KeyID: [32]byte(p.KeySha256), id: p.Id, key: key}, nil
		}
		o, err := s.takeOrder(ctx, key, mod, &storepb.CertificateOrder{
			Schema: 1, Id: newOrderID(), KeySha256: keyID[:], Principal: principal, StartTime: seconds(now),
		})
		if o != nil || err != nil {
			return o, nil, err
		}
	}
}

func newOrderID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// orderAt is the order under a key; nil: none.
func (s *Store) orderAt(ctx context.Context, key string) (*storepb.CertificateOrder, int64, error) {
	resp, err := s.get(ctx, callTimeout, key)
	if err != nil || len(resp.Kvs) == 0 {
		return nil, 0, err
	}
	p, err := decodeOrder(resp.Kvs[0].Value)
	return p, resp.Kvs[0].ModRevision, err
}

// takeOrder gives nothing when another was faster.
func (s *Store) takeOrder(ctx context.Context, key string, mod int64, value *storepb.CertificateOrder) (*Order, error) {
	cctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	grant, err := s.client.Grant(cctx, int64(orderFor/time.Second))
	if err != nil {
		return nil, translate(err, "order certificate", "")
	}
	o := &Order{s: s, key: key, lease: grant.ID, value: value}
	o.ctx, o.end = context.WithCancelCause(ctx)
	resp, err := s.client.Txn(cctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", mod)).Then(o.put()).Commit()
	if err != nil || !resp.Succeeded {
		o.Release()
		return nil, translate(err, "order certificate", "")
	}
	alive, err := s.client.KeepAlive(o.ctx, o.lease)
	if err != nil {
		o.Release()
		return nil, translate(err, "order certificate", "")
	}
	go func() {
		for range alive { // it ends with o.ctx, or when the lease does
		}
		o.end(errOrderLost)
	}()
	return o, nil
}

func (o *Order) put() clientv3.Op {
	return clientv3.OpPut(o.key, string(encode(o.value)), clientv3.WithLease(o.lease))
}

// Context ends when the hold does; the cause says why.
func (o *Order) Context() context.Context { return o.ctx }

// ID says which order it is: no two have the same.
func (o *Order) ID() string { return o.value.Id }

// Release ends the hold now instead of soon, if the order is not ended otherwise.
func (o *Order) Release() {
	o.end(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), callTimeout)
	defer cancel()
	_, _ = o.s.client.Revoke(ctx, o.lease) // else it ends by itself
}

// Fail ends the hold and tells those who wait for the order why there is no certificate.
func (o *Order) Fail(why *model.Error) {
	o.end(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), callTimeout)
	defer cancel()
	mine := o.value.Id
	o.value.Done, o.value.Kind, o.value.Reason, o.value.Advice, o.value.RetryMs = true, uint32(why.Kind), why.Reason, why.Advice, why.Retry.Milliseconds()
	p, mod, err := o.s.orderAt(ctx, o.key)
	if err != nil || p == nil || p.Id != mine {
		return // it is over for the others, too, in a moment
	}
	_, _ = o.s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(o.key), "=", mod)).Then(o.put()).Commit()
}

// AwaitOrder waits until another's order has ended. failed is how, if it has failed and
// says so; nil: it has not, or its holder is gone. Errors: those of ctx; Unavailable.
func (s *Store) AwaitOrder(ctx context.Context, u *OrderUnderWay) (failed *model.Error, err error) {
	for {
		p, _, err := s.orderAt(ctx, u.key)
		switch {
		case err != nil:
			return nil, err
		case p == nil || p.Id != u.id:
			return nil, nil
		case p.Done:
			return model.E(model.Kind(p.Kind), "order certificate", "").Because(p.Reason).Hint(p.Advice).
				After(time.Duration(p.RetryMs) * time.Millisecond), nil
		}
		if err := sleep(ctx, lookForOrder/2+jitter(lookForOrder)); err != nil {
			return nil, translate(err, "wait for the order of a certificate", "")
		}
	}
}

// HoldOrder has the transaction rest on the order. Errors: Aborted when it is lost.
func (tx *Tx) HoldOrder(o *Order) error {
	h, err := tx.one(o.key)
	if err != nil {
		return err
	}
	if !h.there() {
		return errOrderLost
	}
	if p, err := decodeOrder(h.value); err != nil || p.Id != o.value.Id {
		return errOrderLost
	}
	return nil
}

// EndOrder ends an order with the transaction, which keeps the certificate. Errors:
// Aborted when it is lost.
func (tx *Tx) EndOrder(o *Order) error {
	if err := tx.HoldOrder(o); err != nil {
		return err
	}
	tx.put(o.key, nil)
	return nil
}

// OrderOf says which order of a host's certificate is under way; "": none.
func (tx *Tx) OrderOf(z *model.Zone, host model.Name) (id string, err error) {
	h, err := tx.one(tx.s.keys.order(*z, host))
	if err != nil || !h.there() {
		return "", err
	}
	p, err := decodeOrder(h.value)
	if err != nil || p.Done {
		return "", err
	}
	return p.Id, nil
}

func decodeOrder(raw []byte) (*storepb.CertificateOrder, error) {
	var p storepb.CertificateOrder
	if err := decode("order of a certificate", raw, &p); err != nil {
		return nil, err
	}
	if len(p.KeySha256) != 32 {
		return nil, model.E(model.Internal, "read stored order", "").Because("its key is not named by 32 octets")
	}
	return &p, nil
}
