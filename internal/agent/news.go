package agent

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// topic is something that is one way or another.
type topic int

const (
	addresses topic = iota
	beats
	words
	self
	topics
)

// news logs what is new, and only that.
type news struct {
	log    *slog.Logger
	status func(string)
	mu     sync.Mutex
	last   map[topic]string
}

// say logs how a topic is, if it was another way before.
func (n *news) say(t topic, level slog.Level, message string, args ...any) {
	line := message
	for i := 1; i < len(args); i += 2 {
		line += fmt.Sprintf(" %v", args[i])
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last[t] == line {
		return
	}
	n.last[t] = line
	n.log.Log(context.Background(), level, message, args...)
	if n.status == nil {
		return
	}
	var all []string
	for t := range topics {
		if n.last[t] != "" {
			all = append(all, n.last[t])
		}
	}
	n.status(strings.Join(all, "; "))
}

// ready tells that the machine was heard: its addresses, if it tells them.
func (a *Agent) ready() {
	select {
	case <-a.heard:
		if a.Ready != nil {
			a.first.Do(a.Ready)
		}
	default:
	}
}

// activity is something that a machine does.
type activity int

const (
	addressing activity = iota
	wording
	beating
	trying
	activities
)

// pulse knows since when each activity is busy, as time since the start; 0: it rests.
type pulse struct {
	start time.Time
	since [activities]atomic.Int64
}

func (p *pulse) busy(a activity) (done func()) {
	p.since[a].Store(int64(time.Since(p.start)) + 1)
	return func() { p.since[a].Store(0) }
}

// Busy is for how long something has been under way without an end: less than a minute,
// unless the machine hangs.
func (a *Agent) Busy() time.Duration {
	var most time.Duration
	for i := range a.pulse.since {
		if at := a.pulse.since[i].Load(); at != 0 {
			most = max(most, time.Since(a.pulse.start)-time.Duration(at))
		}
	}
	return most
}
