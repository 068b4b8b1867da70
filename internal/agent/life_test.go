package agent

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestItBeatsAsOftenAsTheCheckWantsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint = true
		m.run()
		m.after(10*time.Minute - time.Second)
		if n := m.count("beat"); n != 10 {
			t.Errorf("no heartbeat check: asked %d times in ten minutes", n)
		}
		m.wants(5 * time.Second)
		m.after(time.Minute)
		m.since()
		m.after(time.Minute)
		if n := m.count("beat"); n != 12 {
			t.Errorf("%d heartbeats in a minute", n)
		}
		m.answer("beat", errAway)
		m.after(time.Minute)
		if n := m.count("beat"); n != 12 {
			t.Errorf("it is away: %d heartbeats in a minute", n)
		}
		m.answer("beat", errDenied)
		m.after(time.Hour)
		if n := m.count("beat"); n > 25 {
			t.Errorf("refused: %d heartbeats in an hour", n)
		}
		m.answer("beat", nil)
		m.after(6 * time.Minute)
		m.since()
		m.after(time.Minute)
		if n := m.count("beat"); n != 12 {
			t.Errorf("%d heartbeats in a minute, after all", n)
		}
		m.ends()
	})
}

func TestAGivenIntervalIsKeptWhateverTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.Heartbeat = true, 2*time.Second
		m.wants(time.Minute)
		m.run()
		m.since()
		m.after(time.Minute)
		if n := m.count("beat"); n != 30 {
			t.Errorf("%d heartbeats in a minute", n)
		}
		m.ends()
	})
}

func TestAHostSecretNeitherBeatsNorDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Heartbeat = time.Second
		m.run()
		m.after(time.Minute)
		m.want("a minute", "+0s set 192.0.2.1 -6")
		m.ends()
	})
}

func TestItTakesItsDrainBackOnceItsAddressesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.NoHeartbeat = true, true
		m.answer("set", errAway)
		m.answer("undrain", errAway)
		m.run()
		m.after(2 * time.Second)
		m.answer("set", nil)
		m.after(time.Second)
		m.want("in this order", "+0s set 192.0.2.1 -6 (no)\n+1s set 192.0.2.1 -6 (no)\n+3s set 192.0.2.1 -6\n+3s undrain (no)")
		m.answer("undrain", nil)
		m.after(time.Hour - 5*time.Second)
		m.want("until it is taken back, once", "+4s undrain")
		m.ends()
	})
}

func TestItDrainsWaitsAndWithdrawsWhenItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.Heartbeat = true, 10*time.Second
		m.cfg.Drain, m.cfg.DrainTime, m.cfg.Withdraw = true, 25*time.Second, true
		m.run()
		m.after(time.Second)
		m.since()
		if took := m.ends(); took != 25*time.Second {
			t.Errorf("it took %s", took)
		}
		m.want("it goes on beating while others finish with it", "+1s drain\n+10s beat\n+20s beat\n+26s set -4 -6")
	})
}

func TestWhatIsUnderWayDoesNotOvertakeTheWithdrawal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Withdraw, m.far.slow = true, 3*time.Second
		m.run()
		m.after(time.Second)
		m.ends()
		m.want("the last word is the withdrawal", "+3s set 192.0.2.1 -6\n+3s set -4 -6")
	})
}

func TestARefusedDrainEndsAtOnceAndAServiceThatIsAwayHoldsNothingUpForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.NoHeartbeat, m.cfg.Drain, m.cfg.DrainTime = true, true, true, time.Hour
		m.answer("drain", errDenied)
		m.run()
		if took := m.ends(); took != 0 || m.logged("cannot drain") != 1 {
			t.Errorf("it took %s", took)
		}
		m.want("one try", "+0s set 192.0.2.1 -6\n+0s undrain\n+0s drain (no)")
	})
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.NoHeartbeat, m.cfg.Drain, m.cfg.DrainTime, m.cfg.Withdraw = true, true, true, time.Hour, true
		m.answer("drain", errAway)
		m.answer("set", errAway)
		m.run()
		if took := m.ends(); took != 2*farewellTime {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAMachineThatIsNotWellDoesNotBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.Heartbeat, m.cfg.Health = true, time.Second, m.try
		m.ail(errors.New("exit status 1"))
		m.run()
		m.after(5 * time.Minute)
		m.want("it was never well", "+0s set 192.0.2.1 -6")
		m.ail(nil)
		m.after(time.Minute)
		m.since()
		m.ail(errors.New("exit status 1"))
		m.after(time.Minute)
		if n := m.count("beat"); n < 20 || n > 31 {
			t.Errorf("%d heartbeats: a single failure is none, three in a row are", n)
		}
		m.after(time.Minute)
		m.want("not well", "")
		if n := m.logged("exit status 1"); n != 2 {
			t.Errorf("logged %d times", n)
		}
		m.ends()
	})
}

func TestAMachineThatIsNotWellDrainsItselfIfItIsToldTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.NoHeartbeat, m.cfg.Health, m.cfg.DrainUnwell = true, true, m.try, true
		m.run()
		m.want("well", "+0s set 192.0.2.1 -6\n+0s undrain")
		m.answer("drain", errAway)
		m.ail(errors.New("exit status 1"))
		m.after(30500 * time.Millisecond)
		m.answer("drain", nil)
		m.after(10 * time.Second)
		m.want("three failures", "+30s drain (no)\n+31s drain")
		m.ail(nil)
		m.after(time.Minute)
		m.want("three successes", "+1m10s undrain")
		m.ends()
	})
}

// A machine whose health comes and goes does not have its name come and go as often.
func TestAMachineThatFlapsIsHeldDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		m.cfg.Endpoint, m.cfg.NoHeartbeat, m.cfg.Health, m.cfg.DrainUnwell = true, true, m.try, true
		m.run()
		flap := func(minutes int) (drains int) {
			m.since()
			for range minutes {
				m.ail(errors.New("exit status 1"))
				m.after(30 * time.Second)
				m.ail(nil)
				m.after(30 * time.Second)
			}
			return strings.Count("\n"+m.since(), "s drain")
		}
		if n := flap(10); n < 4 || n > 8 {
			t.Errorf("in ten minutes it was drained %d times, want 4 to 8", n)
		}
		if flap(50); flap(60) > 7 {
			t.Error("in the hour after that it was drained more than 7 times")
		}
		m.after(time.Hour) // it is well
		if n := flap(2); n != 2 {
			t.Errorf("what is long ago counts: in two minutes it was drained %d times, want 2", n)
		}
		m.ends()
	})
}
