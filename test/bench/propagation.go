package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"signpost/test/bench/peer"
	"signpost/test/bench/report"
	"signpost/test/bench/spread"
)

// watched is of how many updates the answers are looked for, about.
const watched = 1000

// propagation measures one system after the other.
func propagation(ctx context.Context, o options, dir string, d *report.Document, out io.Writer) error {
	systems, err := spread.Choose(o.systems)
	if err != nil {
		return err
	}
	for _, s := range systems {
		home := filepath.Join(dir, "spread", s.Name)
		if err := os.MkdirAll(home, 0o755); err != nil {
			return err
		}
		total := int(float64(o.spreadRate) * o.updateSeconds)
		site := &peer.Site{Dir: home, Bin: o.bin, Names: total, Workers: o.workers, Install: o.install}
		p := s.Measure(ctx, site, spread.Options{
			Rate: o.spreadRate, Duration: time.Duration(o.updateSeconds * float64(time.Second)), Watched: watched, Patience: 20 * time.Second,
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.Spread = append(d.Spread, p)
		fmt.Fprintf(out, "propagation  %-12s %6.0f updates/s  last replica p50 %8.2f ms  p99 %8.2f ms  within 5 ms %5.1f %%  %s%s\n",
			p.Name, p.PerSecond, p.Last.P50, p.Last.P99, 100*p.Within5, p.Skipped, p.Failure)
	}
	return nil
}
