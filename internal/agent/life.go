package agent

import (
	"context"
	"log/slog"
	"time"
)

const (
	// askAgain is how often the service is asked whether the host has a heartbeat check.
	askAgain = time.Minute
	// usualBeat is how often a machine tries to beat that was never told how often.
	usualBeat = 5 * time.Second
	// glance is how often a machine that is not well looks whether it may beat again.
	glance = 500 * time.Millisecond
)

// beat gives signs of life until ctx ends.
func (a *Agent) beat(ctx context.Context) {
	every := a.Heartbeat
	for tries := 0; ; {
		if !rest(ctx, a.beatOnce(ctx, &every, &tries)) {
			return
		}
	}
}

// beatOnce is one turn; it gives the wait until the next.
func (a *Agent) beatOnce(ctx context.Context, every *time.Duration, tries *int) time.Duration {
	switch a.health.now() {
	case unknown:
		return glance
	case unwell:
		a.news.say(beats, slog.LevelWarn, "no heartbeats: the machine is not well")
		return glance
	case well:
	}
	defer a.pulse.busy(beating)()
	begun := time.Now()
	wanted, err := a.Service.Beat(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0
	case err != nil && refused(err):
		a.news.say(beats, slog.LevelWarn, "heartbeats are refused; trying again", "error", err)
		*tries++
		return pause(*tries-1, true, a.Draw())
	case err != nil:
		a.news.say(beats, slog.LevelWarn, "heartbeat not told; trying again", "error", err)
		if *every == 0 {
			return jittered(usualBeat, 0.1, a.Draw())
		}
	case a.Heartbeat == 0 && wanted == 0:
		*every, *tries = 0, 0
		a.news.say(beats, slog.LevelInfo, "no heartbeats: the host has no heartbeat check")
		a.ready()
		return jittered(askAgain, 0.1, a.Draw())
	default:
		if *every, *tries = a.Heartbeat, 0; *every == 0 {
			*every = max(wanted, glance)
		}
		a.news.say(beats, slog.LevelInfo, "heartbeats", "every", *every)
		a.ready()
	}
	return max(0, jittered(*every, 0.1, a.Draw())-time.Since(begun))
}

// tellWord drains and undrains the machine as its health wants it, once the addresses are
// known: what is offered again is offered where it is now.
//
//	health                      word
//	not known yet               as the last run left it
//	well                        none of the machine's own
//	not well, drains itself     drain
//	not well, otherwise         as it is
func (a *Agent) tellWord(ctx context.Context) {
	select {
	case <-a.heard:
	case <-ctx.Done():
		return
	}
	said := unknown
	for tries := 0; ctx.Err() == nil; {
		wait := askAgain
		if want := a.health.now(); want != said && (want == well || want == unwell && a.DrainUnwell) {
			if err := a.say(ctx, want); err == nil {
				said, tries = want, 0
			} else {
				wait = pause(tries, refused(err), a.Draw())
				tries++
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-a.health.changed:
		}
		timer.Stop()
	}
}

func (a *Agent) say(ctx context.Context, want healthState) (err error) {
	defer a.pulse.busy(wording)()
	done, not := "not drained", "own drain not taken back; trying again"
	if want == unwell {
		done, not = "drained: the machine is not well", "not drained; trying again"
		err = a.Service.Drain(ctx, "the health command fails")
	} else {
		err = a.Service.Undrain(ctx)
	}
	switch {
	case err == nil:
		a.news.say(words, slog.LevelInfo, done)
		a.ready()
	case ctx.Err() == nil:
		a.news.say(words, slog.LevelWarn, not, "error", err)
	}
	return err
}
