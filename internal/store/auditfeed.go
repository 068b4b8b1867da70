package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// AuditPosition is how far somebody has followed the audit records.
type AuditPosition struct {
	Revision int64  // all records up to this were delivered
	Cluster  uint64 // whose revisions these are; 0: not known yet
}

// FollowAudit calls next for every revision after at that wrote audit records, once
// and in order, and at least every so often without records, to say that there is
// nothing up to that revision; at moves on with each call that returns nil. It
// follows until ctx ends, next returns an error, or it cannot go on; the same
// position may be followed again.
//
// Errors: those of ctx and next; Unavailable when etcd does not answer; Compacted
// when etcd no longer keeps what comes after at; Aborted when etcd holds another
// history than the one that at is of.
func (s *Store) FollowAudit(ctx context.Context, at *AuditPosition, every time.Duration, next func(rev int64, records []*model.AuditRecord) error) error {
	if err := s.sameHistory(ctx, at); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	w := clientv3.NewWatcher(s.client) // progress is asked for by stream: this one is ours alone
	defer w.Close()
	f := auditFollower{s: s, at: at, next: next}
	responses := w.Watch(ctx, s.keys.audits(), clientv3.WithRange(prefixEnd(s.keys.audits())),
		clientv3.WithRev(at.Revision+1), clientv3.WithFragment(), clientv3.WithFilterDelete())
	tick := time.NewTicker(every)
	defer tick.Stop()
	silent := time.NewTimer(watchSilence)
	defer silent.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silent.C:
			return model.E(model.Unavailable, "follow changes", "").Because("etcd's watch has fallen silent").Hint("try again")
		case <-tick.C:
			// etcd answers only when it has sent all that there is.
			if err := w.RequestProgress(ctx); err != nil {
				return translate(err, "follow changes", "")
			}
		case r, open := <-responses:
			if !open {
				return model.E(model.Unavailable, "follow changes", "").Because("etcd closed the watch").Hint("try again")
			}
			silent.Reset(watchSilence)
			if err := f.take(r); err != nil {
				return err
			}
		}
	}
}

// watchSilence is how long a watch that is asked for progress may say nothing.
const watchSilence = 10 * time.Second

// sameHistory compares at with what etcd says now: a backup that was restored does
// not know revisions that we have seen.
func (s *Store) sameHistory(ctx context.Context, at *AuditPosition) error {
	resp, err := s.get(ctx, callTimeout/4, s.keys.schema(), clientv3.WithKeysOnly())
	if err != nil {
		return translate(err, "follow changes", "")
	}
	return at.check(resp.Header.ClusterId, resp.Header.Revision)
}

func (at *AuditPosition) check(cluster uint64, rev int64) error {
	if at.Cluster == 0 {
		at.Cluster = cluster
	}
	if err := (history{at.Cluster, at.Revision}).restored(cluster, rev); err != nil {
		return model.E(model.Aborted, "follow changes", "").From(err).
			Because("etcd holds another history, that of a restored backup").Hint("read the state anew and follow from now on")
	}
	return nil
}

type auditFollower struct {
	s    *Store
	at   *AuditPosition
	next func(rev int64, records []*model.AuditRecord) error
}

func (f *auditFollower) take(r clientv3.WatchResponse) error {
	switch err := r.Err(); {
	case r.CompactRevision != 0:
		return compacted(f.at.Revision, r.CompactRevision)
	case err != nil:
		return translate(err, "follow changes", "")
	case r.Header.Revision < f.at.Revision && len(r.Events) == 0:
		return nil // an answer from before what was delivered
	}
	if err := f.at.check(r.Header.ClusterId, max(r.Header.Revision, f.at.Revision)); err != nil {
		return err
	}
	for events := r.Events; len(events) > 0; {
		rev, n := events[0].Kv.ModRevision, 1
		for n < len(events) && events[n].Kv.ModRevision == rev {
			n++
		}
		if err := f.deliver(rev, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	if r.IsProgressNotify() {
		return f.deliver(r.Header.Revision, nil)
	}
	return nil
}

func (f *auditFollower) deliver(rev int64, events []*clientv3.Event) error {
	var records []*model.AuditRecord
	for _, e := range events {
		id := string(e.Kv.Key[len(f.s.keys.audits()):])
		rec, err := decodeAudit(id, e.Kv.Value, rev)
		if err != nil {
			f.s.log.Warn("an audit record cannot be read", "id", id, "revision", rev, "error", err)
			continue
		}
		records = append(records, rec)
	}
	if err := f.next(rev, records); err != nil {
		return err
	}
	f.at.Revision = max(f.at.Revision, rev)
	return nil
}

func compacted(after, oldest int64) error {
	return model.E(model.Compacted, "follow changes", "after revision "+strconv.FormatInt(after, 10)).
		Because(fmt.Sprintf("etcd no longer keeps them; the oldest revision that can be followed from is %d", oldest)).
		Hint("read the state anew and follow from now on")
}

// Revision is etcd's now.
func (s *Store) Revision(ctx context.Context) (int64, error) {
	resp, err := s.get(ctx, callTimeout, s.keys.schema(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, translate(err, "read state", "")
	}
	return resp.Header.Revision, nil
}

// ReadAt gives a look at the state as it was at a revision. Errors of looking:
// Compacted when etcd no longer keeps it.
func (s *Store) ReadAt(ctx context.Context, rev int64, look func(*Tx) error) error {
	tx := s.newTx(ctx, nil) // a copy holds one revision only
	tx.writes, tx.rev = nil, rev
	err := look(tx)
	if errors.Is(err, rpctypes.ErrCompacted) || errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted) {
		return model.E(model.Compacted, "read state", "at revision "+strconv.FormatInt(rev, 10)).From(err).
			Because("etcd no longer keeps it").Hint("read the state anew and follow from now on")
	}
	return err
}
