// Command bench asks: how does Signpost compare with the name servers of others, on
// this machine, with the same zone and the same questions? `make bench` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"signpost/test/bench/account"
	"signpost/test/bench/report"
)

// options is the flags.
type options struct {
	names, rounds, rate       int
	sockets, window, workers  int
	seconds                   float64
	seed                      uint64
	peers, bin, json, docs    string
	conditions                string
	install, queries, spreads bool
	spreadRate                int
	updateSeconds             float64
	systems                   string
}

func (o *options) flags(f *flag.FlagSet) {
	f.IntVar(&o.names, "names", 100_000, "how many names the zone has")
	f.IntVar(&o.rounds, "rounds", 5, "how many turns each server takes")
	f.Float64Var(&o.seconds, "seconds", 2, "how long each load lasts")
	f.IntVar(&o.rate, "rate", 10_000, "questions a second for the latencies")
	f.IntVar(&o.sockets, "sockets", 16, "ports that the generator asks from")
	f.IntVar(&o.window, "window", 8, "questions open on each of them")
	f.IntVar(&o.workers, "workers", min(2, runtime.NumCPU()), "threads or processes of each server")
	f.Uint64Var(&o.seed, "seed", 1, "of the questions")
	f.StringVar(&o.peers, "peers", "", "which servers, by name with commas; ours stands for all of ours; empty: all")
	f.StringVar(&o.bin, "bin", "bin", "where make build has put the programs")
	f.StringVar(&o.json, "json", "", "write all figures to this file")
	f.StringVar(&o.docs, "write-docs", "", "measure nothing: write the figures of the files bench/*.json beside this page into it")
	f.StringVar(&o.conditions, "conditions", "", "a sentence to stand with the figures")
	f.BoolVar(&o.install, "install", true, "install what is missing, as root")
	f.BoolVar(&o.queries, "queries", true, "compare answering")
	f.BoolVar(&o.spreads, "propagation", true, "compare how soon updates are answered")
	f.IntVar(&o.spreadRate, "update-rate", 1000, "updates a second for -propagation")
	f.Float64Var(&o.updateSeconds, "update-seconds", 5, "for how long")
	f.StringVar(&o.systems, "systems", "", "which systems -propagation is about, by name with commas; empty: all")
}

func main() {
	var o options
	o.flags(flag.CommandLine)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) check() error {
	switch {
	case o.names < 1 || o.names > 1<<24:
		return errors.New("-names is from 1 to 16777216: each name has an address of 10.0.0.0/8")
	case o.rounds < 1 || o.rate < 1 || o.spreadRate < 1 || o.workers < 1 || o.seconds <= 0 || o.seconds > 600 ||
		o.updateSeconds <= 0 || float64(o.spreadRate)*o.updateSeconds > 60_000:
		return errors.New("-rounds, -rate, -update-rate, -workers and -seconds are positive, -seconds at most 600, updates at most 60,000")
	}
	bin, err := filepath.Abs(o.bin)
	o.bin = bin
	return err
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.docs != "" {
		return report.WriteDocs(o.docs)
	}
	if err := o.check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "signpost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &report.Document{
		Date: time.Now().UTC().Truncate(time.Second), Commit: commit(), Conditions: o.conditions, Machine: account.Here(),
		Names: o.names, Rounds: o.rounds, Seconds: o.seconds, Rate: o.rate, Sockets: o.sockets, Window: o.window, Workers: o.workers, Seed: o.seed,
	}
	if o.queries {
		if err := queries(ctx, o, dir, d, out); err != nil {
			return err
		}
	}
	if o.spreads {
		if err := propagation(ctx, o, dir, d, out); err != nil {
			return err
		}
	}
	d.Summarize()
	err = d.Text(out)
	if o.json != "" {
		err = errors.Join(err, d.Save(o.json))
	}
	return errors.Join(err, d.Failures())
}

// commit is what was measured, empty outside a checkout.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
