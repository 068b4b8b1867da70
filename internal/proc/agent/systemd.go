package agent

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"signpost/internal/agent"
)

// hung is for how long an agent that works is never busy.
const hung = time.Minute

// notify tells systemd, if it has started us; nobody else is there to hear of an error.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// stopping says how long the good-bye may take, whatever the unit says.
func stopping(drain time.Duration) string {
	return fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", (drain + hung).Microseconds())
}

// keepWatchdog tells systemd that the agent does not hang, until ended.
func keepWatchdog(a *agent.Agent, ended <-chan struct{}) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every <= 0 {
		return
	}
	for ticker := time.NewTicker(every / 2); ; {
		if a.Busy() < hung {
			notify("WATCHDOG=1")
		}
		select {
		case <-ended:
			ticker.Stop()
			return
		case <-ticker.C:
		}
	}
}
