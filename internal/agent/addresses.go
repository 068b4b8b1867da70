package agent

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// settle is between two looks at least, however often something changes.
const settle = time.Second

var errNoAddress = errors.New("find the machine's addresses: it has none that others reach; see the options --interface, --private and --addresses")

func (s Seen) text() string {
	var words []string
	for _, a := range s.Addresses {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

// told is what the service has acknowledged, and until when that will do.
type told struct {
	seen  Seen
	until time.Time
}

// due reports whether what is seen is to be told. The first row that matches:
//
//	seen               told before        due
//	no address         any                no: better an old address than none
//	some               nothing            yes
//	others             some               yes
//	the same           long ago           yes: a lease wants it, and somebody else may have set others
//	the same           lately             no
func due(t told, seen Seen, now time.Time) bool {
	switch {
	case len(seen.Addresses) == 0:
		return false
	case len(t.seen.Addresses) == 0:
		return true
	case seen.Whole != t.seen.Whole || !slices.Equal(seen.Addresses, t.seen.Addresses):
		return true
	}
	return !now.Before(t.until)
}

func (a *Agent) tellAddresses(ctx context.Context) {
	if a.Look == nil {
		close(a.heard)
		return
	}
	var t told
	for tries := 0; ctx.Err() == nil; {
		wait := a.lookAndTell(ctx, &t, &tries)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-a.Changed:
			rest(ctx, settle)
			select {
			case <-a.Changed: // of the same change
			default:
			}
		}
		timer.Stop()
	}
}

// lookAndTell is one turn; it gives the wait until the next.
func (a *Agent) lookAndTell(ctx context.Context, t *told, tries *int) time.Duration {
	defer a.pulse.busy(addressing)()
	failed := func(message string, err error) time.Duration {
		if ctx.Err() == nil {
			a.news.say(addresses, slog.LevelWarn, message, "error", err)
		}
		*tries++
		return pause(*tries-1, refused(err), a.Draw())
	}
	seen, err := a.Look(ctx)
	if err != nil {
		return min(failed("addresses not found; trying again", err), a.Poll)
	}
	if len(seen.Addresses) == 0 {
		a.news.say(addresses, slog.LevelWarn, "addresses not found; those told before stay", "error", errNoAddress)
		return a.Poll
	}
	if due(*t, seen, time.Now()) {
		if err := a.set(ctx, seen); err != nil {
			return failed("addresses not told; trying again", err)
		}
		first := t.until.IsZero()
		*t = told{seen: seen, until: time.Now().Add(jittered(a.Reassert, 0.1, a.Draw()))}
		if first {
			close(a.heard)
			a.ready()
		}
	}
	*tries = 0
	a.news.say(addresses, slog.LevelInfo, "addresses told", "addresses", seen.text())
	return a.Poll
}

func (a *Agent) set(ctx context.Context, seen Seen) error {
	has := func(is func(netip.Addr) bool) bool { return slices.ContainsFunc(seen.Addresses, is) }
	return a.Service.SetAddresses(ctx, seen.Addresses, seen.Whole && !has(netip.Addr.Is4), seen.Whole && !has(netip.Addr.Is6))
}
