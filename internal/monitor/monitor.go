package monitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/health"
	"signpost/internal/health/probe"
	"signpost/internal/health/rounds"
	"signpost/internal/model"
	"signpost/internal/store"
)

// Config says what a monitor checks for, and where it may.
type Config struct {
	Site    string // whose checker it is
	Rules   Rules
	Store   *store.Store
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Monitor is the checker of a site, or one that stands by to be it.
type Monitor struct {
	Config
	metrics *metrics
	begun   time.Time
	beats   *beats
	kick    chan struct{} // something may have to be written
	doubts  chan struct{} // the sign of life has to say another thing
	loaded  chan struct{} // closed when all was seen

	mu     sync.Mutex
	book   *book
	duty   *store.Duty // nil: we have no sign of life, and write nothing
	holder string      // who we are in the last that we had
	other  string      // for whom we stand by
	rounds *rounds.Rounds[uint64]
	end    func() // ends rounds and waits for them
	doubt  health.Doubt
	fresh  time.Time // when what we hold was last known to be etcd's
}

// New makes a monitor.
func New(c Config) *Monitor {
	m := &Monitor{
		Config: c, begun: time.Now(), beats: newBeats(), book: newBook(c.Site),
		kick: make(chan struct{}, 1), doubts: make(chan struct{}, 1), loaded: make(chan struct{}),
	}
	m.metrics = newMetrics(m, c.Metrics)
	m.book.turned = m.turned
	return m
}

// now is a time on a clock that never goes back.
func (m *Monitor) now() time.Duration { return time.Since(m.begun) }

// Run checks, or stands by, until ctx ends. It returns when all that it began has ended.
func (m *Monitor) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { _ = m.Store.FollowChecks(ctx, sink{m}, store.FollowOptions{}) }) // it ends with ctx, and only then
	running.Go(func() { m.speak(ctx) })
	running.Go(func() { m.tidy(ctx) })
	m.live(ctx)
	running.Wait()
	m.mu.Lock()
	end := m.rest()
	m.mu.Unlock()
	end()
}

// tidyEvery is how often it is looked at what time alone brings.
const tidyEvery = 10 * time.Second

func (m *Monitor) tidy(ctx context.Context) {
	ticker := time.NewTicker(tidyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.doubts:
			m.show(ctx)
			continue
		case <-ticker.C:
		}
		m.beats.forget(m.now())
		m.mu.Lock()
		m.book.retry()
		m.arrange()
		m.mu.Unlock()
		m.show(ctx)
	}
}

// begin starts to check what there is. The caller holds mu.
func (m *Monitor) begin(ctx context.Context) {
	r := &rounds.Rounds[uint64]{Report: m.report}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	m.rounds, m.end = r, func() { cancel(); running.Wait() }
	running.Go(func() { r.Run(ctx) })
	m.book.begin()
	m.arrange()
}

// rest stops to check and forgets what was found out. The caller holds mu, and calls what
// it gives when it does not any more.
func (m *Monitor) rest() (end func()) {
	if end = m.end; end == nil {
		return func() {}
	}
	m.book.rest()
	m.rounds, m.end, m.doubt = nil, nil, health.NoDoubt
	return end
}

// arrange has tried from now on what is to be tried. The caller holds mu.
func (m *Monitor) arrange() {
	put, drop := m.book.arrange(m.now())
	if m.rounds != nil && len(put)+len(drop) > 0 {
		targets := make([]rounds.Target[uint64], len(put))
		for i, t := range put {
			targets[i] = m.target(t)
		}
		m.rounds.Set(targets, drop)
	}
	m.wake()
}

// wake has it looked at what is to be written.
func (m *Monitor) wake() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// target is how a target is tried.
func (m *Monitor) target(t *target) rounds.Target[uint64] {
	s, since := t.of, m.now()
	kind := s.check.Kind
	p, err := probe.Make(s.check, probe.Target{Name: s.Name, Addr: t.addr, Rules: m.Rules.of(s.Zone),
		Beat: func() (time.Duration, bool) { return m.beats.age(s.Endpoint, s.generation, since, m.now()) }})
	if err != nil { // of a later version, perhaps
		m.Log.Warn("check cannot be made", "host", s.Name.Text(), "error", err)
		return rounds.Target[uint64]{ID: t.id, Every: s.check.WithDefaults().Interval, Try: func(context.Context) model.Attempt {
			return model.Attempt{Reason: model.CheckerInDifficulty}
		}}
	}
	return rounds.Target[uint64]{ID: t.id, Owner: s.owner, Key: p.Key(), Every: p.Every(),
		Try: func(ctx context.Context) model.Attempt {
			a := p.Try(ctx)
			m.metrics.attempt(kind, a)
			return a
		}}
}

// report takes an attempt.
func (m *Monitor) report(id uint64, a model.Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.book.see(id, a, m.now())
	if is := m.book.judge.Doubt(); is != m.doubt {
		m.doubt = is
		if is == health.NoDoubt {
			m.Log.Info("no longer doubting ourselves")
		} else {
			m.Log.Warn("doubting ourselves: bad verdicts are withheld", "why", is.String(), "withheld", m.book.judge.Withheld())
		}
		select {
		case m.doubts <- struct{}{}:
		default:
		}
	}
	if len(m.book.unsaid) > 0 || len(m.book.awaited) == 0 && m.book.checker == nil {
		m.wake()
	}
}

// turned tells of an opinion that has changed.
func (m *Monitor) turned(s *subject) {
	m.metrics.verdicts.WithLabelValues(s.verdict.String()).Inc()
	m.Log.Info("verdict", "host", s.Name.Text(), "endpoint", s.ID, "verdict", s.verdict.String(), "reason", s.reason.String())
}
