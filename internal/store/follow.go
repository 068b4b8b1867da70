package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// Sink takes what Follow finds. Its methods are called one at a time.
type Sink interface {
	// Load takes the whole state at a revision: every key of a kind known here, in no
	// promised order. It must read all to its end. When all yields an error the state
	// could not be read to its end: Load returns that error and keeps what it had.
	// Trouble may be called while all is being read.
	Load(rev int64, cluster uint64, all iter.Seq2[model.Change, error]) error
	// Next takes every change of one revision. Revisions that change no key of a kind
	// known here are left out.
	Next(rev int64, changes []model.Change)
	// Confirm says that what the sink holds was etcd's state at that moment.
	Confirm(at time.Time)
	// Trouble tells of what went wrong, for logs and counters. what is one of Troubles.
	Trouble(what string, err error)
}

// Comparer is a Sink that knows what it holds. Only who is one is spared the periodic
// reading of the whole where nothing differs.
type Comparer interface {
	Sink
	// Held takes what the sink holds now and gives what compares it with the same
	// revision of etcd: all yields every key of a kind known here once, with its mod
	// revision and nothing else. It is called while the sink takes further revisions.
	Held() (compare func(all iter.Seq2[model.Change, error]) (differences int, err error))
}

// The words for Sink.Trouble.
const (
	TroubleRead      = "read"      // the whole state could not be read
	TroubleWatch     = "watch"     // a watch was closed or has fallen silent
	TroubleCompacted = "compacted" // etcd has forgotten revisions that were not yet seen
	TroubleProbe     = "probe"     // etcd cannot be asked whether the state is fresh
	TroubleRestored  = "restored"  // etcd holds another history than the one followed
	TroubleValue     = "value"     // a key or value cannot be read
	TroubleDiffers   = "differs"   // a periodic look found that the sink has something else than etcd
	TroubleSchema    = "schema"    // the state is of a schema that this binary does not know
)

// Troubles is all the words for Sink.Trouble.
var Troubles = []string{TroubleRead, TroubleWatch, TroubleCompacted, TroubleProbe, TroubleRestored, TroubleValue, TroubleDiffers, TroubleSchema}

// FollowOptions are for tests; the zero value is what production uses.
type FollowOptions struct {
	ProbeEvery             time.Duration // 0: 2 s
	RereadEvery            time.Duration // 0: 1 h; the actual time is up to a quarter off
	BackoffMin, BackoffMax time.Duration // 0: 1 s, 30 s
	PageSize               int64         // keys that are asked for at a time; 0: all, in a stream
	Backlog                int64         // 0: 64 MiB; of changes that wait for a slow sink
}

func (o FollowOptions) withDefaults() FollowOptions {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.ProbeEvery, 2*time.Second)
	def(&o.RereadEvery, time.Hour)
	def(&o.BackoffMin, time.Second)
	def(&o.BackoffMax, 30*time.Second)
	if o.Backlog == 0 {
		o.Backlog = 64 << 20
	}
	return o
}

// readTimeout bounds the first try at reading a page.
const readTimeout = 3 * time.Second

// Follow gives sink the whole state and then every revision, once and in order,
// until ctx is done; it returns ctx's error only. After any gap and on any doubt -
// compaction, a restored backup, a watch that stays silent though etcd has news - it
// gives the whole again. A revision of a restored etcd is never given on top of what
// was before the restore, unless that lost only what was changed without a mark. Once an hour it compares the keys and their mod revisions
// with what a Comparer holds; any other sink is given the whole again.
//
// It reads the whole instead of repairing: a wrong name served for an hour costs
// more than one large read. Only keys under v1/dns/ are read.
func (s *Store) Follow(ctx context.Context, sink Sink, o FollowOptions) error {
	return s.follow(ctx, sink, o)
}

// follow also follows the keys of further spans.
func (s *Store) follow(ctx context.Context, sink Sink, o FollowOptions, beside ...span) error {
	f := &follower{s: s, sink: sink, o: o.withDefaults(), revs: []byte(s.keys.revs()), spans: append([]span{under(s.keys.dns())}, beside...)}
	f.came = make([]int64, len(f.spans))
	for {
		end := f.once(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if end.whole {
			f.at = position{}
		}
		if end.what == TroubleRestored {
			f.seen = history{}
		}
		if end.what == "" {
			continue
		}
		f.trouble(end.what, end.err)
		if end.what == TroubleWatch && !end.whole && time.Since(f.believed) >= f.o.BackoffMin {
			f.believed = time.Time{}
			continue // it was well for longer than we would wait
		}
		f.pause(ctx, f.backoff())
	}
}

// follower is one run of Follow; all but probes happens in one goroutine.
type follower struct {
	s        *Store
	sink     Sink
	o        FollowOptions
	revs     []byte  // the prefix of v1/dns/rev/
	spans    []span  // of keys; the first is v1/dns/, which position and history are about
	came     []int64 // for each of the others, up to which revision changes were delivered
	at       position
	seen     history
	believed time.Time // when a watch was last found to go on from where the sink is

	fails    int // in a row, without proof since that all is well
	silences int // in a row, of watches
	awaited  awaited
	doubt    time.Time // when all is to be compared
}

// position is how far the sink has come; the zero position is nowhere.
type position struct {
	rev    int64 // all changes up to this revision were delivered
	newest int64 // the newest mod revision under v1/dns/rev/ among them
	// witnesses are of the history that led here.
	witnesses witnesses
}

// history is what was last seen of etcd's.
type history struct {
	cluster uint64
	rev     int64
}

// ending is why following has to start again: with the whole state, or with a watch
// from where it was. An empty what is no trouble.
type ending struct {
	what  string
	whole bool
	err   error
}

func (f *follower) once(ctx context.Context) *ending {
	if f.at.rev == 0 {
		if end := f.load(ctx); end != nil {
			return end
		}
	}
	return f.watch(ctx)
}

func (f *follower) trouble(what string, err error) {
	f.s.log.Debug("following etcd", "trouble", what, "revision", f.at.rev, "err", err)
	f.sink.Trouble(what, err)
}

// backoff grows until a probe or a change shows that all is well. Jitter keeps
// replicas from coming back all at once.
func (f *follower) backoff() time.Duration {
	d := f.o.BackoffMax
	if f.fails < 16 {
		d = min(d, f.o.BackoffMin<<f.fails)
	}
	f.fails++
	return d/2 + jitter(d/2)
}

// pause waits for d, or until etcd answers again after it did not: an outage must not
// be followed by as long a silence of ours.
func (f *follower) pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for away := false; sleep(ctx, f.o.ProbeEvery) == nil; {
		_, err := f.s.get(ctx, f.o.ProbeEvery/2, f.s.keys.revAll(), clientv3.WithKeysOnly())
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			away = true
			f.trouble(TroubleProbe, err)
		case away:
			return
		}
	}
}

func (f *follower) confirm(at time.Time) {
	f.fails = 0
	f.sink.Confirm(at)
}

// restored says why etcd's answer cannot be from the history that was seen, or nil.
func (h history) restored(cluster uint64, rev int64) error {
	switch {
	case h.cluster != 0 && cluster != h.cluster:
		return fmt.Errorf("follow: the cluster's id is %x, it was %x", cluster, h.cluster)
	case rev < h.rev:
		return fmt.Errorf("follow: etcd is at revision %d, it was at %d", rev, h.rev)
	}
	return nil
}

var errClosed = errors.New("follow: the watch was closed without a reason")
