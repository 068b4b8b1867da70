package store

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// probe asks etcd whether what was seen is still its history, and whether there is
// more of it than was delivered. It reads linearizably: only that is answered by
// nobody who is cut off from the others.
type probe struct {
	store *Store
	limit time.Duration // of the first try at a read
	at    position      // when the probe began, as are the others
	seen  history
	opens bool // the watch is new: whether it may be believed
}

// probed is the answer.
type probed struct {
	begin  time.Time
	opens  bool
	newest int64 // the newest mod revision under v1/dns/rev/
	rev    int64
	end    *ending // the history is another
	err    error   // there is no answer
}

func (p probe) run(ctx context.Context) probed {
	out := probed{begin: time.Now(), opens: p.opens}
	resp, err := p.store.newestMark(ctx, p.limit)
	if err != nil {
		out.err = err
		return out
	}
	out.rev = resp.Header.Revision
	for _, kv := range resp.Kvs {
		out.newest = kv.ModRevision
	}
	err = p.seen.restored(resp.Header.ClusterId, resp.Header.Revision)
	if err == nil && out.newest < p.at.newest {
		err = fmt.Errorf("follow: the newest change in etcd is of revision %d, it was of %d", out.newest, p.at.newest)
	}
	if err != nil {
		out.end = &ending{TroubleRestored, true, err}
		return out
	}
	out.end, out.err = p.hear(ctx, resp.Kvs)
	return out
}

// newestMark reads the key under v1/dns/rev/ that was put last.
func (s *Store) newestMark(ctx context.Context, limit time.Duration) (*clientv3.GetResponse, error) {
	return s.get(ctx, limit, s.keys.revs(), clientv3.WithRange(prefixEnd(s.keys.revs())),
		clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend), clientv3.WithLimit(1))
}

// awaited is a change that a probe saw before the watch brought it.
type awaited struct {
	newest int64
	seenAt time.Time
	moved  bool // something came since
}

// judge acts on a probe's answer.
func (f *follower) judge(p probed) *ending {
	switch {
	case p.err != nil:
		f.trouble(TroubleProbe, p.err)
		return nil
	case p.end != nil:
		return p.end
	}
	f.seen.rev = max(f.seen.rev, p.rev)
	switch {
	case p.newest <= f.at.newest:
		f.awaited = awaited{}
		f.confirm(p.begin)
	case f.awaited.newest == 0:
		f.awaited = awaited{newest: p.newest, seenAt: p.begin}
	case f.awaited.moved:
		f.awaited.moved = false // it is slow, not silent
	default:
		f.silences++
		return &ending{TroubleWatch, f.silences > 1, fmt.Errorf("follow: the watch at revision %d is silent, etcd has changes up to %d", f.at.rev, p.newest)}
	}
	return nil
}

// arrived is called after every revision that was delivered.
func (f *follower) arrived() {
	f.fails, f.silences, f.awaited.moved = 0, 0, true
	if f.awaited.newest != 0 && f.at.newest >= f.awaited.newest {
		f.confirm(f.awaited.seenAt)
		f.awaited = awaited{}
	}
}
