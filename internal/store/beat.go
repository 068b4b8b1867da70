package store

import (
	"context"
	"math/bits"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

const (
	// leastBeatTTL is how long a sign of life is kept at least: those of all endpoints
	// that are kept as long share a lease, and it is made anew when half of that is over.
	leastBeatTTL = time.Minute
	// beatRest is between two transactions of signs of life: those that come meanwhile
	// share the next.
	beatRest = 10 * time.Millisecond
)

// Beat puts the sign of life of an endpoint, so that its monitors see it, and has it go
// when there is none for ttl, or up to four times that. Those of many endpoints share
// transactions and leases. Errors: Unavailable.
func (s *Store) Beat(ctx context.Context, z, name model.Name, id string, generation uint64, ttl time.Duration) error {
	done := s.beating.add(s, s.keys.beat(z, name, id), beat{generation, beatTTL(ttl)})
	select {
	case <-done.over:
		return done.err
	case <-ctx.Done():
		return translate(ctx.Err(), "put sign of life", name.Text())
	}
}

// beatTTL is one of few: leastBeatTTL or that doubled some times.
func beatTTL(ttl time.Duration) time.Duration {
	n := (max(ttl, leastBeatTTL) - 1) / leastBeatTTL
	return leastBeatTTL << bits.Len64(uint64(n))
}

// beat is what is to be put for an endpoint.
type beat struct {
	generation uint64
	ttl        time.Duration
}

// beating is the signs of life that wait for a transaction. The zero beating is ready.
type beating struct {
	mu      sync.Mutex
	waiting []*beats // each to be one transaction; the last takes more
	running bool
	leases  map[time.Duration]beatLease // of the goroutine that runs
}

// beats is those of one transaction.
type beats struct {
	puts map[string]beat
	over chan struct{}
	err  error // when over
}

// beatLease is kept by nobody: it is not used when half of its time is over.
type beatLease struct {
	id    clientv3.LeaseID
	until time.Time
}

func (b *beating) add(s *Store, key string, put beat) *beats {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.waiting); n == 0 || len(b.waiting[n-1].puts) == chunk {
		b.waiting = append(b.waiting, &beats{puts: map[string]beat{}, over: make(chan struct{})})
	}
	last := b.waiting[len(b.waiting)-1]
	last.puts[key] = put
	if !b.running {
		b.running = true
		go b.run(s)
	}
	return last
}

// run commits what waits until nothing does. It begins with a rest, or a beat that comes
// alone would take a transaction from those just behind it.
func (b *beating) run(s *Store) {
	for {
		time.Sleep(beatRest)
		b.mu.Lock()
		if len(b.waiting) == 0 {
			b.running = false
			b.mu.Unlock()
			return
		}
		some := b.waiting
		b.waiting = nil
		b.mu.Unlock()
		var err error
		for _, of := range some {
			if err == nil {
				err = b.commit(s, of.puts)
			}
			of.err = err // what waits while etcd is away would be no sign of life when it is back
			close(of.over)
		}
	}
}

func (b *beating) commit(s *Store, puts map[string]beat) error {
	ctx, cancel := context.WithTimeout(s.client.Ctx(), callTimeout)
	defer cancel()
	ops := make([]clientv3.Op, 0, len(puts))
	for key, p := range puts {
		lease, err := b.lease(ctx, s, p.ttl)
		if err != nil {
			return translate(err, "put sign of life", "")
		}
		ops = append(ops, clientv3.OpPut(key, string(encodeBeat(p.generation)), clientv3.WithLease(lease)))
	}
	_, err := s.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		b.leases = nil // perhaps one of them is gone, with a restore
	}
	return translate(err, "put sign of life", "")
}

func (b *beating) lease(ctx context.Context, s *Store, ttl time.Duration) (clientv3.LeaseID, error) {
	if l, ok := b.leases[ttl]; ok && time.Now().Before(l.until) {
		return l.id, nil
	}
	now := time.Now()
	grant, err := s.client.Grant(ctx, int64(2*ttl/time.Second))
	if err != nil {
		return 0, err
	}
	if b.leases == nil {
		b.leases = map[time.Duration]beatLease{}
	}
	b.leases[ttl] = beatLease{grant.ID, now.Add(ttl)}
	return grant.ID, nil
}
