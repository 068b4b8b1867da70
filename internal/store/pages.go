package store

import (
	"cmp"
	"context"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"signpost/internal/model"
)

// pageKeys is how many keys a page has of an etcd that cannot stream a range.
const pageKeys = 10_000

// pages reads a span of keys at one revision, in order, some at a time. It has etcd
// (3.7 or newer) send them in one stream: for every page that is asked for by itself
// etcd counts all keys that are left, which for a million names takes many times as
// long as sending them. When the stream breaks or falls silent it goes on with another, from
// where it was, at the next member.
type pages struct {
	s        *Store
	from, to string // from: what is not read yet
	rev      int64
	limit    int64 // keys of a page; 0: as many as etcd likes to send at once
	keysOnly bool
	within   time.Duration // the first wait for a page; 0: readTimeout
	stream   clientv3.GetStreamChan
	cancel   context.CancelFunc
}

// page is a number of keys in order, and what they say when they were read with it.
type page struct {
	kvs   []*mvccpb.KeyValue
	found []found
	last  bool // there are no keys after these
	// beside is whether they are not under v1/dns/, of those who follow more.
	beside bool
	err    error
}

func (p *pages) opts() []clientv3.OpOption {
	opts := []clientv3.OpOption{clientv3.WithRange(p.to), clientv3.WithRev(p.rev)}
	if p.keysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	return opts
}

// next reads on. After the last page, or an error, it must not be called again.
func (p *pages) next(ctx context.Context) page {
	limit := cmp.Or(p.within, readTimeout)
	for n := 1; p.limit == 0; n, limit = n+1, 2*limit {
		got, err := p.receive(ctx, limit)
		switch {
		case err == nil:
			return p.after(got.Kvs, got.Header == nil)
		case status.Code(err) == codes.Unimplemented:
			p.limit = pageKeys
		case n == tries || ctx.Err() != nil || model.KindOf(translate(err, "read state", "")) != model.Unavailable:
			return page{err: translate(err, "read state", "")}
		}
	}
	resp, err := p.s.get(ctx, readTimeout, p.from, append(p.opts(), clientv3.WithLimit(p.limit))...)
	if err != nil {
		return page{err: err}
	}
	return p.after(resp.Kvs, resp.More)
}

func (p *pages) after(kvs []*mvccpb.KeyValue, more bool) page {
	if len(kvs) > 0 {
		p.from = string(kvs[len(kvs)-1].Key) + "\x00"
	}
	if !more {
		p.close()
	}
	return page{kvs: kvs, last: !more}
}

var errSilentStream = model.E(model.Unavailable, "read state", "").Because("etcd sends no more of it")

// receive gives what the stream brings next; of its responses only the last has a
// header.
func (p *pages) receive(ctx context.Context, within time.Duration) (clientv3.RangeStreamResponse, error) {
	none := clientv3.RangeStreamResponse{}
	if p.stream == nil {
		var err error
		streaming, cancel := context.WithCancel(ctx)
		if p.stream, err = p.s.client.GetStream(streaming, p.from, p.opts()...); err != nil {
			cancel()
			return none, err
		}
		p.cancel = cancel
	}
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case r, open := <-p.stream:
		switch {
		case !open:
			p.close()
			return none, errSilentStream
		case r.Err() != nil:
			p.close()
			return none, r.Err()
		}
		return r, nil
	case <-patience.C:
		p.close()
		return none, errSilentStream
	case <-ctx.Done():
		p.close()
		return none, ctx.Err()
	}
}

// close ends the stream, if there is one.
func (p *pages) close() {
	if p.stream == nil {
		return
	}
	p.cancel()
	for range p.stream { // the client waits for somebody to take what it has
	}
	p.stream = nil
}
