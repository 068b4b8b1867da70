package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// NewsPosition is how far somebody has followed the news.
type NewsPosition struct {
	Revision int64  // all news up to this were delivered
	Cluster  uint64 // whose revisions these are; 0: not known yet
}

// News is what one revision has of them; nothing, to say that there is none up to it.
type News struct {
	Revision int64
	Records  []*model.AuditRecord
	// Said is which votes and registrations of checkers are new or gone: what is said of
	// endpoints without a record.
	Said []model.Key
}

// FollowNews calls next for every revision after at that has news, once and in order, and
// at least every so often without any; at moves on with each call that returns nil. It
// follows until ctx ends, next returns an error, or it cannot go on; the same position may
// be followed again.
//
// Errors: those of ctx and next; Unavailable when etcd does not answer; Compacted
// when etcd no longer keeps what comes after at; Aborted when etcd holds another
// history than the one that at is of.
func (s *Store) FollowNews(ctx context.Context, at *NewsPosition, every time.Duration, next func(News) error) error {
	if err := s.sameHistory(ctx, at); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	w := clientv3.NewWatcher(s.client) // progress is asked for by stream: this one is ours alone
	defer w.Close()
	f := newsFollower{s: s, at: at, next: next}
	watch := func(prefix string, o ...clientv3.OpOption) clientv3.WatchChan {
		return w.Watch(ctx, prefix, append(o, clientv3.WithRange(prefixEnd(prefix)), clientv3.WithRev(at.Revision+1), clientv3.WithFragment())...)
	}
	for i := range f.upTo {
		f.upTo[i] = at.Revision
	}
	audits := watch(s.keys.audits(), clientv3.WithFilterDelete())
	votes, checkers := watch(s.keys.anyVote()), watch(s.keys.checkers())
	tick := time.NewTicker(every)
	defer tick.Stop()
	silent := time.NewTimer(watchSilence)
	defer silent.Stop()
	var soon <-chan time.Time
	heard := false // anything since the last tick
	for {
		if len(f.waiting) > 0 && soon == nil {
			soon = time.After(askEvery)
		}
		var r clientv3.WatchResponse
		var of int
		var open bool
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silent.C:
			return model.E(model.Unavailable, "follow changes", "").Because("etcd's watch has fallen silent").Hint("try again")
		case <-tick.C:
			if !heard {
				idle, err := f.idle(ctx)
				if err != nil {
					return err
				}
				if idle {
					silent.Reset(watchSilence)
				}
			}
			of, heard = -1, false
		case <-soon:
			of, soon = -1, nil
		case r, open = <-audits:
		case r, open = <-votes:
			of = 1
		case r, open = <-checkers:
			of = 2
		}
		if of < 0 {
			// etcd answers only when it has sent all that there is.
			if err := w.RequestProgress(ctx); err != nil {
				return translate(err, "follow changes", "")
			}
			continue
		}
		if !open {
			return model.E(model.Unavailable, "follow changes", "").Because("etcd closed the watch").Hint("try again")
		}
		heard = true
		silent.Reset(watchSilence)
		if err := f.take(of, r); err != nil {
			return err
		}
	}
}

// watchSilence is how long a watch that is asked for progress may say nothing.
const watchSilence = 10 * time.Second

// sameHistory compares at with what etcd says now: a backup that was restored does
// not know revisions that we have seen.
func (s *Store) sameHistory(ctx context.Context, at *NewsPosition) error {
	resp, err := s.get(ctx, callTimeout/4, s.keys.schema(), clientv3.WithKeysOnly())
	if err != nil {
		return translate(err, "follow changes", "")
	}
	return at.check(resp.Header.ClusterId, resp.Header.Revision)
}

func (at *NewsPosition) check(cluster uint64, rev int64) error {
	if at.Cluster == 0 {
		at.Cluster = cluster
	}
	if err := (history{at.Cluster, at.Revision}).restored(cluster, rev); err != nil {
		return model.E(model.Aborted, "follow changes", "").From(err).
			Because("etcd holds another history, that of a restored backup").Hint("read the state anew and follow from now on")
	}
	return nil
}

// newsFollower puts together what several watches bring, by revision.
type newsFollower struct {
	s       *Store
	at      *NewsPosition
	next    func(News) error
	upTo    [3]int64 // what each watch has brought all of
	waiting []*News  // by revision, until every watch has come to it
}

func (f *newsFollower) take(of int, r clientv3.WatchResponse) error {
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
	for _, e := range r.Events {
		f.add(e)
		f.upTo[of] = max(f.upTo[of], e.Kv.ModRevision)
	}
	if r.IsProgressNotify() {
		f.upTo[of] = max(f.upTo[of], r.Header.Revision)
	}
	return f.deliver(r.IsProgressNotify())
}

// idle asks etcd whether it is where the follower is, and says so if it is: a watch that
// begins at a revision that is to come tells no progress before that has come.
func (f *newsFollower) idle(ctx context.Context) (bool, error) {
	resp, err := f.s.get(ctx, callTimeout/4, f.s.keys.schema(), clientv3.WithKeysOnly())
	if err != nil {
		return false, nil // the silence of the watch will tell
	}
	if err := f.at.check(resp.Header.ClusterId, max(resp.Header.Revision, f.at.Revision)); err != nil {
		return false, err
	}
	if len(f.waiting) > 0 || resp.Header.Revision != f.at.Revision {
		return false, nil
	}
	return true, f.next(News{Revision: f.at.Revision})
}

// add notes what an event says.
func (f *newsFollower) add(e *clientv3.Event) {
	rev, key := e.Kv.ModRevision, string(e.Kv.Key)
	id, audit := strings.CutPrefix(key, f.s.keys.audits())
	if audit && e.Kv.Version > 1 {
		return // it lost some records, and has none that is new
	}
	i, ok := slices.BinarySearchFunc(f.waiting, rev, func(n *News, rev int64) int { return cmp.Compare(n.Revision, rev) })
	if !ok {
		f.waiting = slices.Insert(f.waiting, i, &News{Revision: rev})
	}
	n := f.waiting[i]
	if !audit {
		if k, ok, err := f.s.keys.parse(key); ok && err == nil {
			n.Said = append(n.Said, k)
		}
		return
	}
	records, err := decodeAudits(id, e.Kv)
	if err != nil {
		f.s.log.Warn("an audit record cannot be read", "id", id, "revision", rev, "error", err)
	}
	for _, r := range records {
		n.Records = append(n.Records, r.AuditRecord)
	}
}

// deliver gives all that every watch has come to, and if tell, how far that is.
func (f *newsFollower) deliver(tell bool) error {
	upTo := slices.Min(f.upTo[:])
	give := func(n News) error {
		if err := f.next(n); err != nil {
			return err
		}
		f.at.Revision = max(f.at.Revision, n.Revision)
		return nil
	}
	for len(f.waiting) > 0 && f.waiting[0].Revision <= upTo {
		if err := give(*f.waiting[0]); err != nil {
			return err
		}
		f.waiting = f.waiting[1:]
	}
	if tell && upTo >= f.at.Revision {
		return give(News{Revision: upTo})
	}
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

// ReadAt gives a look at the state as it was at a revision that there has been. Errors of
// looking: Compacted when etcd no longer keeps it.
func (s *Store) ReadAt(ctx context.Context, rev int64, look func(*Tx) error) error {
	err := look(s.readingAt(ctx, s.pastAt(ctx, rev), rev))
	if errors.Is(err, rpctypes.ErrCompacted) || errors.Is(rpctypes.Error(err), rpctypes.ErrCompacted) {
		return model.E(model.Compacted, "read state", "at revision "+strconv.FormatInt(rev, 10)).From(err).
			Because("etcd no longer keeps it").Hint("read the state anew and follow from now on")
	}
	return err
}
