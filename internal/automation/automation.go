// Package automation answers one question: what is to be done of itself, now? It ends
// timed words whose time is over and keeps what took over where fail-back is manual. Any
// number of control services do this at once, without a leader: each step is a
// transaction that compares all that it rests on, and that the freeze switch is off.
package automation

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/model"
	"signpost/internal/store"
)

const (
	every       = 500 * time.Millisecond // between two looks, about
	countsEvery = 20                     // looks, between two counts of checkers and words
)

// Config is what an Automation works with.
type Config struct {
	Store   *store.Store
	Log     *slog.Logger          // nil: none
	Metrics prometheus.Registerer // nil: none
	Now     func() time.Time      // for what records say; nil: time.Now
}

// Automation does what is to be done. Its methods are called one at a time.
type Automation struct {
	store   *store.Store
	log     *slog.Logger
	now     func() time.Time
	steps   *prometheus.CounterVec
	counted *prometheus.GaugeVec
	frozen  prometheus.Gauge
	tally   *tally
	manual  map[store.HostAt]bool // hosts with manual fail-back
	again   map[store.HostAt]bool // that could not be looked at
	all     bool                  // all are to be looked for again
	looked  int                   // how many hosts were looked at
	recount bool                  // checkers, sites' words or the freeze switch have changed
}

// New makes an Automation.
func New(c Config) (*Automation, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Automation{
		store: c.Store, log: c.Log, now: c.Now, manual: map[store.HostAt]bool{}, again: map[store.HostAt]bool{}, all: true, tally: newTally(),
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "signpost_automation_steps_total", Help: "What was done of itself: word-ended, passed-over, passed-over-no-more.",
		}, []string{"step"}),
		counted: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signpost_checkers", Help: "Checkers that are registered, and those of them that give signs of life. With fewer than 3 the loss of a site cannot be voted.",
		}, []string{"state"}),
		frozen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "signpost_frozen", Help: "1 while the freeze switch keeps automation from changing answers.",
		}),
	}
	if c.Metrics == nil {
		return a, nil
	}
	errs := []error{}
	for _, m := range append(a.tally.collectors(), a.steps, a.counted, a.frozen) {
		errs = append(errs, c.Metrics.Register(m))
	}
	return a, errors.Join(errs...)
}

// Run does what is to be done until ctx ends. What fails is tried again.
func (a *Automation) Run(ctx context.Context) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every/2 + rand.N(every)):
		}
		err := a.Step(ctx)
		if n%countsEvery == 0 || a.recount {
			counts := a.count(ctx)
			a.recount = counts != nil
			err = errors.Join(err, counts)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("automation", "error", err)
		}
	}
}

// Step looks once and does what is to be done. Errors: what could not be done, of which
// all is tried again the next time.
func (a *Automation) Step(ctx context.Context) error {
	return errors.Join(a.endWords(ctx), a.failBack(ctx))
}

func (a *Automation) count(ctx context.Context) error {
	return a.store.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.Checkers()
		if err != nil {
			return err
		}
		lives, err := tx.CheckerLives()
		if err != nil {
			return err
		}
		alive := 0
		for _, k := range all {
			if lives[k.Site] != nil {
				alive++
			}
		}
		a.counted.WithLabelValues("registered").Set(float64(len(all)))
		a.counted.WithLabelValues("alive").Set(float64(alive))
		a.tally.checkers(all, lives, time.Now())
		if err := a.tally.said(tx); err != nil {
			return err
		}
		f, err := tx.Freeze()
		a.frozen.Set(map[bool]float64{true: 1}[f != nil])
		return err
	})
}

// isFrozen reads the freeze switch, which is compared at commit.
func isFrozen(tx *store.Tx) (bool, error) {
	f, err := tx.Freeze()
	return f != nil, err
}

// ownerOf is whose host it is, for audit records; "" for nobody's.
func ownerOf(tx *store.Tx, at store.HostAt) (string, error) {
	z, err := tx.Zone(at.Zone)
	if model.KindOf(err) == model.NotFound && err != nil {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	path, err := tx.Path(z, at.Name)
	if err != nil || len(path) == 0 || path[0].Host == nil {
		return "", err
	}
	return path[0].Host.Owner, nil
}
