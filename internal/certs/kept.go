package certs

import (
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long files may not fit each other before that is told: who renews them
// replaces one after the other.
const patience = 2 * time.Second

// Log is told of renewals; *slog.Logger is one.
type Log interface {
	Info(msg string, args ...any)
	Error(msg string, args ...any)
}

// kept is what was read from files that others may replace. It is safe for concurrent
// use, and needs nobody to run it: whoever asks for it looks at the files, which costs far
// less than the handshake that follows. New files that cannot be used are told once; what
// was before them then stays in use.
type kept[T any] struct {
	what     string // for the log
	files    []string
	read     func() (*T, error)
	more     func(*T) []any // to be told with it; nil: nothing
	log      Log
	patience time.Duration
	current  atomic.Pointer[T]

	mu          sync.Mutex
	taken, seen []os.FileInfo // the files that are in use, and those of the last look; nil: not there
	since       time.Time     // when those of the last look were first seen
	told        bool          // that they cannot be used
}

// open reads for the first time.
func (k *kept[T]) open(log Log) error {
	if k.log = log; log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	k.patience = patience
	at := k.look()
	if err := k.load(); err != nil {
		return err
	}
	k.taken, k.seen = at, at
	return nil
}

// get is what is to be used now. It is never nil.
func (k *kept[T]) get() *T {
	if k.mu.TryLock() { // one looks, the others go on
		k.renew()
		k.mu.Unlock()
	}
	return k.current.Load()
}

func (k *kept[T]) renew() {
	at := k.look()
	if slices.EqualFunc(at, k.taken, same) {
		return
	}
	if !slices.EqualFunc(at, k.seen, same) {
		k.seen, k.since, k.told = at, time.Now(), false
	}
	err := k.load()
	about := []any{"file", k.files[0]}
	if k.more != nil {
		about = append(about, k.more(k.current.Load())...)
	}
	switch {
	case err == nil:
		k.taken = at
		k.log.Info(k.what+" renewed", about...)
	case !k.told && time.Since(k.since) >= k.patience:
		k.told = true
		k.log.Error("the new "+k.what+" cannot be used; the one before stays in use", append(about, "error", err)...)
	}
}

func (k *kept[T]) load() error {
	v, err := k.read()
	if err == nil {
		k.current.Store(v)
	}
	return err
}

func (k *kept[T]) look() []os.FileInfo {
	at := make([]os.FileInfo, len(k.files))
	for i, f := range k.files {
		if info, err := os.Stat(f); err == nil { // what is not there is told by load
			at[i] = info
		}
	}
	return at
}

func same(x, y os.FileInfo) bool {
	if x == nil || y == nil {
		return x == y
	}
	return os.SameFile(x, y) && x.Size() == y.Size() && x.ModTime().Equal(y.ModTime())
}
