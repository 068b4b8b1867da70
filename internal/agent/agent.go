// Package agent answers one question: what does a machine tell of itself, and when? It
// tells a control service the machine's addresses, that it is alive, and that it wants no
// more work. It reads time and chance through the door and knows no protocol.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Service is the control service, or several of them, as the machine sees it. Each call
// returns within seconds. An error's kind (model.KindOf) says what came of it:
// Unavailable passes, all others are refusals.
type Service interface {
	// SetAddresses replaces the addresses of the families that are given or cleared.
	SetAddresses(ctx context.Context, addrs []netip.Addr, clear4, clear6 bool) error
	// Beat gives a sign of life, and says how often the host's check wants one; 0: it has
	// no such check.
	Beat(ctx context.Context) (every time.Duration, err error)
	// Drain asks for no more work, Undrain takes that back.
	Drain(ctx context.Context, reason string) error
	Undrain(ctx context.Context) error
}

// Seen is what a look at the machine's addresses gave.
type Seen struct {
	Addresses []netip.Addr // sorted, without duplicates
	// Whole is whether these are all: a family of which there is none is then cleared.
	Whole bool
}

// Config says what is told.
type Config struct {
	Service Service
	Log     *slog.Logger
	// Draw is random, from 0 to less than 1.
	Draw func() float64

	// Look finds the machine's addresses out; nil: they are not told.
	Look func(ctx context.Context) (Seen, error)
	// Poll is between two looks; Changed, if it is not nil, hastens the next.
	Poll    time.Duration
	Changed <-chan struct{}
	// Reassert is after how long the same addresses are told again.
	Reassert time.Duration

	// Endpoint is whether the machine may beat and drain: a host's secret may not.
	Endpoint bool
	// Heartbeat is how often it beats; 0: as often as the host's check wants it. NoHeartbeat:
	// never.
	Heartbeat   time.Duration
	NoHeartbeat bool

	// Drain is whether the machine drains itself before it stops, and DrainTime how long
	// it then goes on.
	Drain     bool
	DrainTime time.Duration
	// Withdraw is whether it takes its addresses back when it stops.
	Withdraw bool

	// Health tries the machine itself every HealthEvery; nil: it is well. So many
	// failures or successes in a row as HealthCount change what the machine thinks. It does
	// not beat while it is not well, and is drained if DrainUnwell.
	Health      func(ctx context.Context) error
	HealthEvery time.Duration
	HealthCount int
	DrainUnwell bool

	// Ready is told when the machine has first been heard, Status what it does, in a line,
	// when that changes. Both may be nil.
	Ready  func()
	Status func(line string)
}

// Agent is a machine that tells.
type Agent struct {
	Config
	health health
	news   news
	pulse  pulse
	heard  chan struct{} // closed when the addresses were first acknowledged
	first  sync.Once     // to be heard at all
}

// New makes an agent.
func New(c Config) *Agent {
	return &Agent{
		Config: c,
		health: health{count: c.HealthCount, changed: make(chan struct{}, 1)},
		news:   news{log: c.Log, status: c.Status, last: map[topic]string{}},
		pulse:  pulse{start: time.Now()},
		heard:  make(chan struct{}),
	}
}

// Run tells until ctx ends, then says good-bye as it was told to. That takes DrainTime and
// not much more.
func (a *Agent) Run(ctx context.Context) {
	still, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if a.Health == nil {
		a.health.state.Store(int32(well))
	}
	var telling, living sync.WaitGroup
	telling.Go(func() { a.tellAddresses(ctx) })
	if a.Endpoint {
		telling.Go(func() { a.tellWord(ctx) })
		if !a.NoHeartbeat {
			living.Go(func() { a.beat(still) })
		}
	}
	if a.Health != nil {
		living.Go(func() { a.tryHealth(still) })
	}
	telling.Wait() // nothing that was under way overtakes the good-bye
	<-ctx.Done()
	if a.Drain && a.farewell(still, "cannot drain this machine", func(ctx context.Context) error { return a.Service.Drain(ctx, "the machine stops") }) {
		a.news.say(words, slog.LevelInfo, "drained, stopping", "after", a.DrainTime)
		rest(still, a.DrainTime)
	}
	end()
	living.Wait()
	if a.Withdraw && a.farewell(context.WithoutCancel(ctx), "cannot withdraw the addresses", a.withdraw) {
		a.news.say(addresses, slog.LevelInfo, "addresses withdrawn")
	}
}

// farewellTime is how long the machine tries to say one last thing.
const farewellTime = 15 * time.Second

func (a *Agent) farewell(ctx context.Context, not string, say func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	for tries := 0; ; tries++ {
		err := say(ctx)
		if err == nil {
			return true
		}
		if refused(err) || !rest(ctx, pause(tries, false, a.Draw())) {
			a.Log.Warn(not, "error", err)
			return false
		}
	}
}

func (a *Agent) withdraw(ctx context.Context) error {
	return a.Service.SetAddresses(ctx, nil, true, true)
}

// Once tells the addresses and gives a sign of life, once; the machine must be well for
// that.
func (a *Agent) Once(ctx context.Context) error {
	var problems []error
	if a.Look != nil {
		seen, err := a.Look(ctx)
		switch {
		case err == nil && len(seen.Addresses) == 0:
			err = errNoAddress
		case err == nil:
			err = a.set(ctx, seen)
		}
		if problems = append(problems, err); err == nil {
			a.news.say(addresses, slog.LevelInfo, "addresses told", "addresses", seen.text())
		}
	}
	if !a.Endpoint || a.NoHeartbeat {
		return errors.Join(problems...)
	}
	if a.Health != nil {
		if err := a.Health(ctx); err != nil {
			return errors.Join(append(problems, fmt.Errorf("no heartbeat: not well: %w", err))...)
		}
	}
	_, err := a.Service.Beat(ctx)
	return errors.Join(append(problems, err)...)
}

// rest waits; it reports whether ctx still stands.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
