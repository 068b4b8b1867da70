package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"signpost/internal/model"
)

// far is the far side: what it heard, and what it answers.
type far struct {
	mu    sync.Mutex
	heard []string // "+5s drain"
	start time.Time
	fail  map[string]error // by the first word of what is heard
	every time.Duration
	slow  time.Duration // that addresses take, whatever ends meanwhile
}

func (f *far) hear(text string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	word, _, _ := strings.Cut(text, " ")
	err := f.fail[word]
	if err != nil {
		text += " (no)"
	}
	f.heard = append(f.heard, fmt.Sprintf("+%s %s", time.Since(f.start).Round(time.Second), text))
	return err
}

func (f *far) SetAddresses(_ context.Context, addrs []netip.Addr, clear4, clear6 bool) error {
	if len(addrs) > 0 {
		time.Sleep(f.slow)
	}
	text := "set"
	for _, a := range addrs {
		text += " " + a.String()
	}
	if clear4 {
		text += " -4"
	}
	if clear6 {
		text += " -6"
	}
	return f.hear(text)
}
func (f *far) Beat(context.Context) (time.Duration, error) {
	f.mu.Lock()
	every := f.every
	f.mu.Unlock()
	return every, f.hear("beat")
}
func (f *far) Drain(_ context.Context, reason string) error { return f.hear("drain") }
func (f *far) Undrain(context.Context) error                { return f.hear("undrain") }

func (f *far) answer(word string, err error) { f.mu.Lock(); f.fail[word] = err; f.mu.Unlock() }

// wants says how often the check wants a heartbeat.
func (f *far) wants(every time.Duration) { f.mu.Lock(); f.every = every; f.mu.Unlock() }

// since is what was heard since it was last asked.
func (f *far) since() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := strings.Join(f.heard, "\n")
	f.heard = nil
	return out
}

func (f *far) count(word string) int { return strings.Count(f.since(), word) }

var (
	errAway   = model.E(model.Unavailable, "reach", "https://a").Because("connection refused")
	errDenied = model.E(model.Denied, "set", "it").Because("it is not yours")
)

// machine is an agent that runs on injected time.
type machine struct {
	*far
	t    *testing.T
	log  bytes.Buffer
	mu   sync.Mutex
	has  Seen
	sick error
	cfg  Config
	stop context.CancelFunc
	done chan struct{}
}

func (m *machine) see(whole bool, addrs ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.has = Seen{Whole: whole}
	for _, a := range addrs {
		m.has.Addresses = append(m.has.Addresses, netip.MustParseAddr(a))
	}
}

func (m *machine) ail(err error) { m.mu.Lock(); m.sick = err; m.mu.Unlock() }

func newMachine(t *testing.T) *machine {
	m := &machine{t: t, far: &far{start: time.Now(), fail: map[string]error{}}, done: make(chan struct{})}
	m.see(true, "192.0.2.1")
	m.cfg = Config{
		Service: m.far, Log: slog.New(slog.NewTextHandler(&m.log, nil)), Draw: func() float64 { return 0 },
		Look: func(context.Context) (Seen, error) { m.mu.Lock(); defer m.mu.Unlock(); return m.has, nil },
		Poll: 30 * time.Second, Reassert: time.Hour, HealthEvery: 10 * time.Second, HealthCount: 3,
	}
	return m
}

func (m *machine) try(context.Context) error { m.mu.Lock(); defer m.mu.Unlock(); return m.sick }

func (m *machine) run() {
	ctx, stop := context.WithCancel(m.t.Context())
	m.stop = stop
	go func() { New(m.cfg).Run(ctx); close(m.done) }()
	synctest.Wait()
}

func (m *machine) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (m *machine) want(what, want string) {
	m.t.Helper()
	if got := m.since(); got != want {
		m.t.Errorf("%s: heard\n%s\nwant\n%s", what, got, want)
	}
}

// ends stops the agent and says how long that took.
func (m *machine) ends() time.Duration {
	begun := time.Now()
	m.stop()
	<-m.done
	return time.Since(begun)
}

// logged is the lines that the agent has written with a word in them.
func (m *machine) logged(word string) int { return strings.Count(m.log.String(), word) }
