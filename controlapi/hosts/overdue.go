package hosts

import (
	"sync"
	"time"

	"signpost/internal/access"
	"signpost/internal/model"
)

const (
	// longestWatch is for how long a host is watched at most before its lease is ended.
	longestWatch = 6 * time.Hour
	// mostWatched is how many hosts are watched at a time; others have to wait.
	mostWatched = 100_000
)

// overdue is the hosts whose lease is over as this service's clock has it, and since when
// it has seen them unrefreshed. Clocks may be wrong, or be set, by hours: without a second
// opinion one that is ahead would withdraw all hosts of a zone. The zero overdue is ready.
type overdue struct {
	mu    sync.Mutex
	round uint64
	hosts map[model.Name]watched
}

type watched struct {
	step  access.Action
	end   time.Time // of the lease: a refresh makes it another
	since time.Duration
	round uint64 // in which it was seen last
}

// watchOf is how long a host must be seen unrefreshed: one that refreshes within its lease
// is seen to do so, as far as that is written (ZonePolicy.Unwritten), if that is no more
// than six hours. A service that is restarted each night ends leases all the same.
func watchOf(p *model.ZonePolicy) time.Duration {
	return min(time.Duration(p.Lease)*time.Second+p.Unwritten(), longestWatch)
}

// long reports whether a host has been due for a step for as long as it must be, at a time
// on a clock that never goes back; the first time begins that.
func (o *overdue) long(name model.Name, step access.Action, end time.Time, watch, now time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	w, known := o.hosts[name]
	if !known || w.step != step || !w.end.Equal(end) {
		if w = (watched{step: step, end: end, since: now}); !known && len(o.hosts) >= mostWatched {
			return false
		}
	}
	if w.round = o.round; o.hosts == nil {
		o.hosts = map[model.Name]watched{}
	}
	o.hosts[name] = w
	return now-w.since >= watch
}

// begin begins to look at all hosts; end says that all were looked at: those that are not
// due any more are forgotten.
func (o *overdue) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.round++
}

func (o *overdue) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, w := range o.hosts {
		if w.round != o.round {
			delete(o.hosts, name)
		}
	}
}
