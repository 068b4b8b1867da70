// Package load answers one question: how fast, how soon and how rightly does the DNS
// server at this address answer? It asks over UDP on loopback from several sockets,
// in batches, so that its own cost hides little of the server's, and looks at every
// reply.
package load

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"signpost/test/bench/question"
)

// Options says how to ask. Bounds: Duration and a second.
type Options struct {
	Duration time.Duration
	// Sockets clients have up to Window questions open each.
	Sockets, Window int
	// Rate is how many questions are asked in a second whatever the server does (an
	// open loop): then latencies are kept. 0: each reply is followed by the next
	// question (a closed loop).
	Rate int
	// From is the question of the set to begin with.
	From int
}

// patience is how long a reply is waited for.
const patience = time.Second

// Result is what was seen.
type Result struct {
	Asked, Right, Wrong, Lost, Late uint64
	Octets                          uint64 // of right replies
	SentLate                        uint64 // open loop: sent a millisecond or more after they were due
	Elapsed                         time.Duration
	// Processor is what the generator itself has used.
	Processor time.Duration
	// Latencies are of right replies, sorted, from the time at which the question was
	// due: if the generator is late that counts against the server, equally for all.
	Latencies []time.Duration
	// FirstWrong shows the first wrong reply: the question and the reply in hex.
	FirstWrong string

	keep bool
}

func (r *Result) wrong(q, b []byte) {
	if r.Wrong++; r.FirstWrong == "" {
		r.FirstWrong = fmt.Sprintf("%x was answered with %x", q, b)
	}
}

// Percentile is the latency that p of 1 are not above; 0 when there are none.
func (r *Result) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(int(p*float64(len(r.Latencies))), len(r.Latencies)-1)]
}

// Run asks the questions of the set in turn until the time is over, and then waits
// for what is still open. Only loopback is asked.
func Run(ctx context.Context, addr netip.AddrPort, set *question.Set, o Options) (Result, error) {
	if !addr.Addr().IsLoopback() || !addr.Addr().Is4() {
		return Result{}, fmt.Errorf("ask %s: only IPv4 loopback is asked", addr)
	}
	if o.Sockets < 1 || o.Window < 1 || o.Window > maxWindow || set.Len() == 0 {
		return Result{}, fmt.Errorf("ask %s: %d sockets of %d questions each is not what can be done", addr, o.Sockets, o.Window)
	}
	g := &generator{o: o, set: set, next: o.From}
	defer g.close()
	for range o.Sockets {
		s, err := dial(addr, set, o.Window)
		if err != nil {
			return Result{}, err
		}
		g.sockets = append(g.sockets, s)
		g.fds = append(g.fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
	}
	runtime.LockOSThread() // its processor time is read, its timer is made exact
	defer runtime.UnlockOSThread()
	defer ExactTimer()()
	return g.run(ctx)
}

type generator struct {
	o       Options
	set     *question.Set
	sockets []*socket
	fds     []unix.PollFd
	next    int // question
	r       Result
}

func (g *generator) close() {
	for _, s := range g.sockets {
		s.close()
	}
}

func (g *generator) run(ctx context.Context) (Result, error) {
	if g.o.Rate > 0 {
		g.r.keep = true
		g.r.Latencies = make([]time.Duration, 0, int(float64(g.o.Rate)*g.o.Duration.Seconds())+g.o.Rate)
	}
	used, err := processorTime()
	if err != nil {
		return Result{}, err
	}
	start := time.Now()
	since := func() time.Duration { return time.Since(start) }
	if g.o.Rate > 0 {
		defer first()()
		err = g.open(ctx, since)
	} else {
		err = g.closed(ctx, since)
	}
	g.r.Elapsed = since()
	if err == nil {
		err = g.drain(ctx, since)
	}
	after, err2 := processorTime()
	if err == nil {
		err = err2
	}
	g.r.Processor = after - used
	slices.Sort(g.r.Latencies)
	return g.r, err
}

// question is the next one to ask.
func (g *generator) question() int {
	q := g.next % g.set.Len()
	g.next++
	g.r.Asked++
	return q
}

const (
	// fewReplies in one pass over all sockets are not worth a pass: it rests, so that
	// batches grow and the processor is the server's.
	fewReplies = 64
	rest       = 100 * time.Microsecond
	// giveUpEvery is how often it is looked for questions that nobody answers.
	giveUpEvery = 50 * time.Millisecond
	// burst is how many questions the open loop sends at once when it has been kept
	// from running: more could be lost at the server for no fault of its own.
	burst    = 64
	lateness = time.Millisecond
)

// closed keeps every socket's window full.
func (g *generator) closed(ctx context.Context, since func() time.Duration) error {
	looked := time.Duration(0)
	for now := since(); now < g.o.Duration && ctx.Err() == nil; now = since() {
		replies := 0
		for _, s := range g.sockets {
			n, err := s.receive(now, &g.r)
			if err != nil {
				return err
			}
			replies += n
			for len(s.free) > 0 {
				s.ask(g.question(), now)
			}
			if err := s.flush(); err != nil {
				return fmt.Errorf("send questions: %w", err)
			}
		}
		if now-looked > giveUpEvery {
			looked = now
			g.giveUp(now - patience)
		}
		switch {
		case replies == 0:
			if err := poll(g.fds, time.Millisecond); err != nil {
				return err
			}
		case replies < fewReplies:
			if err := poll(nil, rest); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// open asks at the rate. A question for which no socket has a free slot is lost.
func (g *generator) open(ctx context.Context, since func() time.Duration) error {
	looked, turn := time.Duration(0), 0
	gap := time.Second / time.Duration(g.o.Rate)
	due := time.Duration(0)
	for now := since(); now < g.o.Duration && ctx.Err() == nil; now = since() {
		for n := 0; due <= now && n < burst; n++ {
			if now-due > lateness {
				g.r.SentLate++
			}
			s := g.sockets[turn%len(g.sockets)]
			turn++
			if q := g.question(); len(s.free) > 0 {
				s.ask(q, due)
			} else {
				g.r.Lost++
			}
			due += gap
		}
		for _, s := range g.sockets {
			if err := s.flush(); err != nil {
				return fmt.Errorf("send questions: %w", err)
			}
		}
		if err := poll(g.fds, due-since()); err != nil {
			return err
		}
		if err := g.receive(since()); err != nil {
			return err
		}
		if now-looked > giveUpEvery {
			looked = now
			g.giveUp(now - patience)
		}
	}
	return ctx.Err()
}

// receive takes what has come on the sockets that poll named.
func (g *generator) receive(now time.Duration) error {
	for i, s := range g.sockets {
		if g.fds[i].Revents == 0 {
			continue
		}
		if _, err := s.receive(now, &g.r); err != nil {
			return err
		}
	}
	return nil
}

// drain waits for the replies that are still open.
func (g *generator) drain(ctx context.Context, since func() time.Duration) error {
	end := since() + patience
	for now := since(); ctx.Err() == nil; now = since() {
		if now >= end {
			g.giveUp(now + 1)
			return nil
		}
		if !slices.ContainsFunc(g.sockets, func(s *socket) bool { return !s.idle() }) {
			return nil
		}
		if err := poll(g.fds, 10*time.Millisecond); err != nil {
			return err
		}
		if err := g.receive(now); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (g *generator) giveUp(before time.Duration) {
	for _, s := range g.sockets {
		s.giveUp(before, &g.r)
	}
}
