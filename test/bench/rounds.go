package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"signpost/test/bench/account"
	"signpost/test/bench/load"
	"signpost/test/bench/peer"
	"signpost/test/bench/question"
	"signpost/test/bench/report"
)

// asked is how many questions are made; they are asked again from the first on.
const asked = 1 << 18

// queries lets every peer take its turn, round after round.
func queries(ctx context.Context, o options, dir string, d *report.Document, out io.Writer) error {
	site := &peer.Site{Dir: dir, Bin: o.bin, Names: o.names, Workers: o.workers, Install: o.install}
	chosen, err := choose(o.peers)
	if err != nil {
		return err
	}
	c := &comparison{o: o, site: site}
	if c.set, err = question.New(o.names, asked, o.seed); err != nil {
		return err
	}
	if c.first, err = question.One(o.names / 2); err != nil {
		return err
	}
	var run []int
	for i, p := range chosen {
		e := report.Peer{Name: p.Name, Note: strings.ReplaceAll(p.Note, "{workers}", strconv.Itoa(o.workers)), Loose: p.Loose, Reference: p.Reference}
		if e.Skipped = p.Missing(site); e.Skipped == "" {
			fmt.Fprintf(out, "prepare %s\n", p.Name)
			if err := p.Prepare(ctx, site); err != nil {
				return err
			}
			if e.Version, err = p.Version(ctx, site); err != nil {
				return err
			}
			run = append(run, i)
		} else {
			fmt.Fprintf(out, "skip %s: %s\n", p.Name, e.Skipped)
		}
		d.Peers = append(d.Peers, e)
	}
	for n := range o.rounds {
		for _, i := range run {
			r, err := c.turn(ctx, chosen[i])
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				r.Failure = err.Error()
			}
			d.Peers[i].Rounds = append(d.Peers[i].Rounds, r)
			fmt.Fprintf(out, "round %d  %-18s %7.0f/s  %5.1f us  p99 %6.0f us  %6.1f MiB  start %6.3f s  %d wrong, %d lost  %s\n", n+1, chosen[i].Name,
				r.Closed.PerSecond, r.Closed.ServerMicros, r.Open.P99, r.ShareMiB, r.StartSeconds,
				r.Closed.Wrong+r.Open.Wrong, r.Closed.Lost+r.Open.Lost, r.Failure)
		}
	}
	return nil
}

// choose is the peers with these names.
func choose(names string) ([]peer.Peer, error) {
	all := peer.All()
	if names == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for n := range strings.SplitSeq(names, ",") {
		wanted[n] = true
	}
	var out []peer.Peer
	var known []string
	for _, p := range all {
		known = append(known, p.Name)
		if wanted[p.Name] || wanted["ours"] && strings.HasPrefix(p.Name, "signpost") {
			out = append(out, p)
		}
		delete(wanted, p.Name)
	}
	delete(wanted, "ours")
	for n := range wanted {
		return nil, fmt.Errorf("there is no server %q; there are ours and %s", n, strings.Join(known, ", "))
	}
	return out, nil
}

type comparison struct {
	o     options
	site  *peer.Site
	set   *question.Set
	first *question.Set // what tells that a server is there
	next  int           // question
}

const (
	startPatience  = 5 * time.Minute
	settlePatience = 2 * time.Minute
)

// turn measures one server from a stop to a stop.
func (c *comparison) turn(ctx context.Context, p peer.Peer) (r report.Round, err error) {
	s, err := p.Start(ctx, c.site)
	if err != nil {
		return r, err
	}
	defer func() {
		if stopped := s.Stop(); err == nil {
			err = stopped
		}
	}()
	set, first := *c.set, *c.first
	set.Loose, first.Loose = p.Loose, p.Loose
	if r.StartSeconds, err = c.start(ctx, s, &first); err != nil {
		return r, err
	}
	if err := settle(ctx, s); err != nil {
		return r, err
	}
	if !p.StartOnly {
		if err := c.loads(ctx, s, &set, &r); err != nil {
			return r, err
		}
	}
	m, err := account.Now(s.Pids()...)
	const mib = 1 << 20
	r.ResidentMiB, r.ShareMiB, r.PeakMiB = float64(m.Resident)/mib, float64(m.Share)/mib, float64(m.Peak)/mib
	return r, err
}

// loads is one closed and one open loop on a warm server.
func (c *comparison) loads(ctx context.Context, s *peer.Server, set *question.Set, r *report.Round) (err error) {
	if _, err := c.load(ctx, s, set, load.Options{Duration: c.seconds() / 2}); err != nil { // warm
		return err
	}
	if r.Closed, err = c.load(ctx, s, set, load.Options{Duration: c.seconds()}); err != nil {
		return err
	}
	r.Open, err = c.load(ctx, s, set, load.Options{Duration: c.seconds(), Rate: c.o.rate})
	return err
}

func (c *comparison) seconds() time.Duration {
	return time.Duration(c.o.seconds * float64(time.Second))
}

func (c *comparison) start(ctx context.Context, s *peer.Server, first *question.Set) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	at, err := load.First(ctx, s.Addr, first, s.Ended)
	return at.Sub(s.Began).Seconds(), err
}

// settle waits until the server has no more to do by itself: one that answers may
// still be reading.
func settle(ctx context.Context, s *peer.Server) error {
	const look, quiet = 100 * time.Millisecond, 10 * time.Millisecond
	was, err := account.Processor(s.Pids()...)
	for end, still := time.Now().Add(settlePatience), 0; err == nil && still < 2; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look):
		}
		var now time.Duration
		if now, err = account.Processor(s.Pids()...); now-was <= quiet {
			still++
		} else if still = 0; time.Now().After(end) {
			return fmt.Errorf("it is still at work %s after its first answer", settlePatience)
		}
		was = now
	}
	return err
}

// load asks, and gives what was seen and what the server used for it.
func (c *comparison) load(ctx context.Context, s *peer.Server, set *question.Set, o load.Options) (report.Load, error) {
	o.Sockets, o.Window, o.From = c.o.sockets, c.o.window, c.next
	if o.Rate > 0 {
		o.Window = openWindow
	}
	before, err := account.Processor(s.Pids()...)
	if err != nil {
		return report.Load{}, err
	}
	r, err := load.Run(ctx, s.Addr, set, o)
	if err != nil {
		return report.Load{}, err
	}
	after, err := account.Processor(s.Pids()...)
	if err != nil {
		return report.Load{}, err
	}
	c.next = (c.next + int(r.Asked)) % set.Len()
	if r.Right == 0 {
		return report.Load{}, fmt.Errorf("none of %d answers was right; %s", r.Asked, r.FirstWrong)
	}
	micros := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	each := func(d time.Duration) float64 { return micros(d) / float64(r.Right) }
	return report.Load{
		Asked: r.Asked, Right: r.Right, Wrong: r.Wrong, Lost: r.Lost, Late: r.Late, SentLate: r.SentLate,
		PerSecond: float64(r.Right) / r.Elapsed.Seconds(), ServerMicros: each(after - before), ClientMicros: each(r.Processor),
		ReplyOctets: float64(r.Octets) / float64(r.Right),
		P50:         micros(r.Percentile(0.5)), P90: micros(r.Percentile(0.9)), P99: micros(r.Percentile(0.99)), P999: micros(r.Percentile(0.999)),
	}, nil
}

// openWindow is how many questions may be open on a port at the fixed rate: a second
// of a server that stands still.
const openWindow = 256
