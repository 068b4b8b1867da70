// Package webhook answers one question: how does what happens get to a receiver over
// HTTP? Messages wait in a bounded outbox, go out in order for each host, signed, and are
// tried again until the receiver has taken them or they are too old. Nobody who puts one
// in waits for a receiver.
package webhook

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"signpost/internal/model"
)

// Message is what a receiver is to be told.
type Message struct {
	ID       string // the same each time that it is sent, so that receivers know it again
	Order    string // messages of the same go out one after the other
	Revision int64  // of etcd, at which it came about
	Body     []byte // JSON
}

// Hook is a receiver, as the operator has set it up.
type Hook struct {
	config  Config
	client  *http.Client
	keys    keyFile
	log     *slog.Logger
	metrics *Metrics
}

// Open makes a hook ready. It connects to nothing. Errors are of kind Invalid.
func Open(c Config, log *slog.Logger, m *Metrics) (*Hook, error) {
	c = c.withDefaults()
	h := &Hook{config: c, keys: keyFile{path: c.KeyFile}, log: log.With("webhook", c.Name), metrics: m}
	if _, err := h.keys.read(); err != nil {
		return nil, bad(c.Name+".key-file", err.Error())
	}
	var err error
	if h.client, err = c.client(); err != nil {
		return nil, err
	}
	m.show(c.Name)
	return h, nil
}

// Name is the hook's in the configuration.
func (h *Hook) Name() string { return h.config.Name }

// Zones is the zones whose hosts it is told of; none: all.
func (h *Hook) Zones() []model.Name {
	zones, _ := h.config.zones() // was looked at
	return zones
}

// Carries shows in the metrics whether this process is the one that tells the receiver.
func (h *Hook) Carries(is bool) {
	h.metrics.duty.WithLabelValues(h.config.Name).Set(map[bool]float64{true: 1}[is])
}

// keyFile is the keys of a hook. The file is read again when it has changed, so that a
// new key needs no restart.
type keyFile struct {
	path string

	mu    sync.Mutex
	mod   time.Time
	size  int64
	known [][]byte
}

func (k *keyFile) read() ([][]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.path)
	if err != nil {
		return nil, err
	}
	if k.known != nil && info.ModTime().Equal(k.mod) && info.Size() == k.size {
		return k.known, nil
	}
	raw, err := os.ReadFile(k.path)
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(string(raw))
	if err != nil {
		return nil, err
	}
	k.known, k.mod, k.size = keys, info.ModTime(), info.Size()
	return keys, nil
}

// Outbox is what waits for a receiver, from the time on at which this process tells it.
type Outbox struct {
	post    func(context.Context, Message) error
	log     *slog.Logger
	counts  counts
	giveUp  time.Duration
	pause   func(tries int) time.Duration
	instead func(revision int64) Message

	mu    sync.Mutex
	queue queue
	busy  int
	sent  bool // since Sent was asked
	wake  chan struct{}
}

// Outbox is an empty one, to be Run. When messages had to go for newer ones, the receiver
// gets one in their place that instead makes: of the revision of the last of them.
func (h *Hook) Outbox(instead func(revision int64) Message) *Outbox {
	return &Outbox{
		post: h.post, log: h.log, counts: h.metrics.of(h.config.Name), giveUp: h.config.GiveUpAfter, pause: pause, instead: instead,
		wake: make(chan struct{}, 1),
	}
}

// Add puts a message in and returns at once.
func (o *Outbox) Add(m Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	dropped := o.queue.add(m, time.Now(), o.instead)
	o.counts.dropped.Add(float64(dropped))
	o.counts.waiting.Set(float64(o.queue.n))
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Through is up to which revision nothing waits any more: the one before the oldest that
// does, else upTo.
func (o *Outbox) Through(upTo int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if rev := o.queue.oldest(); rev > 0 {
		return min(upTo, rev-1)
	}
	return upTo
}

// Sent reports whether something was sent or given up since it was asked last.
func (o *Outbox) Sent() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.sent
	o.sent = false
	return was
}

// Run sends until ctx ends. What is being sent then has a little more time.
func (o *Outbox) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		var it *item
		wait := time.Minute
		o.mu.Lock()
		if o.busy < atOnce {
			if it, wait = o.queue.next(time.Now()); it != nil {
				o.busy++
			}
		}
		o.mu.Unlock()
		if it != nil && ctx.Err() == nil {
			running.Go(func() { o.send(ctx, it) })
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-o.wake:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// send makes one attempt.
func (o *Outbox) send(ctx context.Context, it *item) {
	attempt, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastWithin, cancel) })()
	err := o.post(attempt, it.Message)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy--
	now := time.Now()
	switch {
	case err == nil:
		o.counts.sent.Inc()
		o.sent = true
		o.queue.done(it)
	case ctx.Err() != nil:
		o.queue.again(it, now) // whoever tells the receiver next sends it
	case isFinal(err) || now.Sub(it.since) >= o.giveUp:
		o.counts.failed.Inc()
		o.sent = true
		o.queue.done(it)
		o.log.Warn("the receiver does not take a message, which is given up", "id", it.ID, "attempts", it.tries+1, "error", err)
	default:
		o.counts.retried.Inc()
		if it.tries == 0 {
			o.log.Info("the receiver does not take a message, which will be tried again", "id", it.ID, "error", err)
		}
		it.tries++
		o.queue.again(it, now.Add(o.pause(it.tries)))
	}
	o.counts.waiting.Set(float64(o.queue.n))
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
