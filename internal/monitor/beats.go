package monitor

import (
	"sync"
	"time"

	"signpost/internal/model"
)

// blind is how old the last proof may be that signs of life reach us; with an older one
// their ages stand still.
const blind = 5 * time.Second

// beats is when the last sign of life of each endpoint was seen to come. It is safe for
// concurrent use.
type beats struct {
	mu     sync.Mutex
	seen   map[Endpoint]beat
	proven time.Duration // when it was last known that none is missing
}

type beat struct {
	generation uint64
	rev        int64
	at         time.Duration
}

func newBeats() *beats { return &beats{seen: map[Endpoint]beat{}} }

// saw takes a sign of life of a revision.
func (b *beats) saw(e Endpoint, generation uint64, rev int64, now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seen[e].rev != rev {
		b.seen[e] = beat{generation, rev, now}
	}
	b.proven = now
}

// prove says that none is missing up to now.
func (b *beats) prove(now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.proven = now
}

// forget drops what no check can take for fine any more.
func (b *beats) forget(now time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for e, last := range b.seen {
		if now-last.at > model.MostInterval+model.MostTimeout+blind {
			delete(b.seen, e)
		}
	}
}

// age is how long ago the last sign of life of an endpoint in a generation came, at least
// as far as is known; without one, since when it is awaited.
func (b *beats) age(e Endpoint, generation uint64, since, now time.Duration) (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now-b.proven > blind {
		now = b.proven
	}
	if last, seen := b.seen[e]; seen && last.generation == generation {
		return now - last.at, true
	}
	return now - since, false
}
