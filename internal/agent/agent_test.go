package agent

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The rows of the table above due, by name.
func TestWhenAddressesAreDue(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	one, two := Seen{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, Seen{Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}
	whole := one
	whole.Whole = true
	for _, tt := range []struct {
		name string
		told told
		seen Seen
		want bool
	}{
		{"none, nothing told", told{}, Seen{}, false},
		{"none, some told", told{one, now.Add(-1)}, Seen{Whole: true}, false},
		{"some, nothing told", told{}, one, true},
		{"others", told{one, now.Add(1)}, two, true},
		{"the same, but now they are all", told{one, now.Add(1)}, whole, true},
		{"the same, long ago", told{one, now}, one, true},
		{"the same, lately", told{one, now.Add(1)}, one, false},
	} {
		if got := due(tt.told, tt.seen, now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestAddressesAreToldWhenTheyChangeAndHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.run()
		m.want("at the start", "+0s set 192.0.2.1 -6")
		m.after(29*time.Minute - time.Second)
		m.want("nothing changed", "")
		m.see(true, "192.0.2.1", "2001:db8::1")
		m.after(time.Minute)
		m.want("one more", "+29m0s set 192.0.2.1 2001:db8::1")
		m.see(true)
		m.after(10 * time.Minute)
		m.want("none: those told stay", "")
		m.see(true, "192.0.2.1", "2001:db8::1")
		m.after(50 * time.Minute)
		m.want("an hour later", "+1h29m0s set 192.0.2.1 2001:db8::1")
		m.see(false, "192.0.2.9")
		m.after(30 * time.Second)
		m.want("a source of one family leaves the other alone", "+1h30m0s set 192.0.2.9")
		m.ends()
		m.want("at the end", "")
	})
}

func TestAChangeHastensTheNextLookAndNeverMoreThanOneASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		changed := make(chan struct{}, 1)
		m.cfg.Changed = changed
		looks := 0
		look := m.cfg.Look
		m.cfg.Look = func(ctx context.Context) (Seen, error) { looks++; return look(ctx) }
		m.run()
		m.since()
		m.see(true, "192.0.2.2")
		changed <- struct{}{}
		m.after(time.Second)
		m.want("a second later", "+1s set 192.0.2.2 -6")
		looks = 0
		for range 100 {
			select {
			case changed <- struct{}{}:
			default:
			}
			m.after(100 * time.Millisecond)
		}
		if looks > 11 {
			t.Errorf("%d looks in 10 s", looks)
		}
		m.ends()
	})
}

// The waits double from a second to a minute, to five when the service has refused; what
// failed is logged once, not at each try.
func TestTriesBackOffAndAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.answer("set", errAway)
		m.run()
		m.after(2 * time.Minute)
		m.want("it is away", strings.Join([]string{"+0s set 192.0.2.1 -6 (no)", "+1s set 192.0.2.1 -6 (no)", "+3s set 192.0.2.1 -6 (no)", "+7s set 192.0.2.1 -6 (no)",
			"+15s set 192.0.2.1 -6 (no)", "+31s set 192.0.2.1 -6 (no)", "+1m3s set 192.0.2.1 -6 (no)"}, "\n"))
		m.after(time.Hour)
		if n := m.count("set"); n != 60 {
			t.Errorf("%d tries in an hour", n)
		}
		if n := m.logged("connection refused"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		m.answer("set", errDenied)
		m.after(time.Hour)
		m.since()
		m.after(time.Hour)
		if n := m.count("set"); n != 12 {
			t.Errorf("refused: %d tries in an hour", n)
		}
		m.answer("set", nil)
		m.after(5 * time.Minute)
		if n := m.count("set"); n != 1 || m.logged("addresses told") != 1 {
			t.Errorf("told %d times\n%s", n, m.log.String())
		}
		m.ends()
	})
}

func TestPausesAreNeverZeroAndSpread(t *testing.T) {
	for tries := range 70 {
		for _, refused := range []bool{false, true} {
			least, most := pause(tries, refused, 0.999), pause(tries, refused, 0)
			if least < 500*time.Millisecond || most > mostRefused || !refused && most > mostPause || most < least*19/10 {
				t.Errorf("after %d tries: %s to %s", tries, least, most)
			}
		}
	}
}

func TestOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setUp func(*machine)
		want  string
		err   string
	}{
		{"all is well", func(*machine) {}, "+0s set 192.0.2.1 -6\n+0s beat", ""},
		{"a host's secret", func(m *machine) { m.cfg.Endpoint = false }, "+0s set 192.0.2.1 -6", ""},
		{"no heartbeats", func(m *machine) { m.cfg.NoHeartbeat = true }, "+0s set 192.0.2.1 -6", ""},
		{"no addresses told", func(m *machine) { m.cfg.Look = nil }, "+0s beat", ""},
		{"no address", func(m *machine) { m.see(true) }, "+0s beat", "it has none that others reach"},
		{"refused", func(m *machine) { m.answer("set", errDenied) }, "+0s set 192.0.2.1 -6 (no)\n+0s beat", "not yours"},
		{"not well", func(m *machine) { m.cfg.Health = m.try; m.ail(errors.New("exit status 1")) }, "+0s set 192.0.2.1 -6", "exit status 1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMachine(t)
			m.cfg.Endpoint = true
			tt.setUp(m)
			err := New(m.cfg).Once(t.Context())
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v", tt.name, err)
			}
			m.want(tt.name, tt.want)
		})
	}
}

func TestReadyAndStatusAreToldAndAHangShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		var ready int
		var status []string
		m.cfg.Ready, m.cfg.Status = func() { ready++ }, func(line string) { status = append(status, line) }
		m.cfg.Endpoint, m.cfg.Heartbeat = true, time.Second
		m.answer("set", errAway)
		hang := make(chan struct{})
		m.cfg.Health = func(ctx context.Context) error { <-hang; return nil }
		a := New(m.cfg)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.Run(ctx); close(done) }()
		m.after(2 * time.Minute)
		if busy := a.Busy(); ready != 0 || busy < 119*time.Second {
			t.Errorf("ready %d, busy for %s", ready, busy)
		}
		close(hang)
		m.answer("set", nil)
		m.after(2 * time.Minute)
		if busy := a.Busy(); ready != 1 || busy != 0 {
			t.Errorf("ready %d, busy for %s", ready, busy)
		}
		if last := status[len(status)-1]; last != "addresses told 192.0.2.1; heartbeats 1s; not drained; well" {
			t.Errorf("status %q", last)
		}
		stop()
		<-done
	})
}
