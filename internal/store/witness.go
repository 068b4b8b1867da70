package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// newMark is the value of a key under v1/dns/rev/: never the same twice, so that two
// histories that parted at a backup can be told apart when they have the same cluster
// id, the same revisions, and even changed the same keys in them.
func newMark() string {
	return string(binary.BigEndian.AppendUint64(nil, rand.Uint64()))
}

// witness is a key as it was at some revision. When etcd says otherwise, what we
// follow is no longer the history that we have seen, though the revisions fit.
type witness struct {
	key   string
	mod   int64
	value []byte
}

// witnesses are those of a position: the newest mark, which is in every change that
// the control service makes, and the newest key of all, for changes made around it.
type witnesses struct{ mark, last witness }

// note takes account of a key that the sink was given.
func (p *position) note(revs []byte, kv *mvccpb.KeyValue) {
	w := &p.witnesses
	this := witness{string(kv.Key), kv.ModRevision, kv.Value}
	if kv.ModRevision > w.last.mod || kv.ModRevision == w.last.mod && len(kv.Value) > 0 {
		w.last = this
	}
	if !bytes.HasPrefix(kv.Key, revs) {
		return
	}
	if kv.ModRevision > w.mark.mod && len(kv.Value) > 0 {
		w.mark = this
	}
	p.newest = max(p.newest, kv.ModRevision)
}

func (p *position) forget(kv *mvccpb.KeyValue) {
	for _, w := range []*witness{&p.witnesses.mark, &p.witnesses.last} {
		if w.key == string(kv.Key) {
			*w = witness{}
		}
	}
}

// hear asks the witnesses. It finds a backup that was restored and has since grown
// past the revision that was last seen. What was just read of etcd saves asking.
func (p probe) hear(ctx context.Context, read []*mvccpb.KeyValue) (*ending, error) {
	w := p.at.witnesses
	ask := []witness{w.mark}
	if w.last.mod > w.mark.mod {
		ask = append(ask, w.last)
	}
	for _, w := range ask {
		if w.key == "" || len(read) == 1 && w.is(read[0]) {
			continue
		}
		if end, err := p.ask(ctx, w); end != nil || err != nil {
			return end, err
		}
	}
	return nil, nil
}

func (p probe) ask(ctx context.Context, w witness) (*ending, error) {
	resp, err := p.store.get(ctx, p.limit, w.key, clientv3.WithRev(p.at.rev))
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return &ending{TroubleCompacted, true, err}, nil
	case errors.Is(err, rpctypes.ErrFutureRev):
		return &ending{TroubleRestored, true, err}, nil
	case err != nil:
		return nil, err
	}
	if len(resp.Kvs) != 1 || !w.is(resp.Kvs[0]) {
		return &ending{TroubleRestored, true, fmt.Errorf("follow: key %q of revision %d is not what it was", w.key, w.mod)}, nil
	}
	return nil, nil
}

func (w witness) is(kv *mvccpb.KeyValue) bool {
	return string(kv.Key) == w.key && kv.ModRevision == w.mod && bytes.Equal(kv.Value, w.value)
}
