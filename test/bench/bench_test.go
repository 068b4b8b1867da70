package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/test/bench/peer"
	"signpost/test/bench/question"
	"signpost/test/bench/report"
	"signpost/test/proctest"
)

// programs is a folder with all that is ours.
func programs(t *testing.T) string {
	t.Helper()
	bin := filepath.Dir(proctest.Bin(t, "coredns"))
	proctest.BinAs(t, "bench-coredns", "./test/bench/coredns")
	return bin
}

func defaults(t *testing.T, args ...string) options {
	t.Helper()
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	o.flags(f)
	if err := f.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

// TestComparison: each server that is installed answers every kind of question
// rightly, and what it has used is measured. The figures of so short a run say
// nothing.
func TestComparison(t *testing.T) {
	bin := programs(t)
	var out bytes.Buffer
	o := defaults(t, "-bin", bin, "-names", "1000", "-rounds", "1", "-seconds", "0.2", "-rate", "1000", "-install=false", "-propagation=false", "-json", filepath.Join(t.TempDir(), "out.json"))
	if err := run(t.Context(), o, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	d, err := report.Open(o.json)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Peers {
		if p.Skipped != "" {
			t.Logf("%s is skipped: %s", p.Name, p.Skipped)
			continue
		}
		r := p.Rounds[0]
		if r.StartSeconds <= 0 || r.ShareMiB <= 0 || r.PeakMiB < r.ShareMiB || p.Version == "" {
			t.Errorf("%s %s: %+v", p.Name, p.Version, r)
		}
		if p.Name != "bind-raw" && (r.Closed.Right == 0 || r.Open.Right == 0 || r.Open.P99 < r.Open.P50 || r.Closed.ServerMicros <= 0) {
			t.Errorf("%s: %+v", p.Name, r)
		}
	}
}

// A server with a zone that is not the right one is not taken for a fast one.
func TestWrongServerIsNoticed(t *testing.T) {
	site := &peer.Site{Dir: t.TempDir(), Bin: programs(t), Names: 100, Workers: 1}
	all, err := choose("coredns-file")
	if err != nil {
		t.Fatal(err)
	}
	p := all[0]
	if err := p.Prepare(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	zone := filepath.Join(site.Dir, "zone")
	text, err := os.ReadFile(zone)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.ReplaceAll(string(text), "h7 A "+question.A(7).String(), "h7 A 192.0.2.7")
	if err := os.WriteFile(zone, []byte(wrong), 0o644); err != nil {
		t.Fatal(err)
	}
	c := &comparison{o: options{seconds: 0.2, rate: 1000, sockets: 2, window: 8}, site: site}
	if c.set, err = question.New(site.Names, 10_000, 1); err != nil {
		t.Fatal(err)
	}
	if c.first, err = question.One(50); err != nil {
		t.Fatal(err)
	}
	r, err := c.turn(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	d := report.Document{Peers: []report.Peer{{Name: p.Name, Rounds: []report.Round{r}}}}
	if r.Closed.Wrong == 0 || d.Failures() == nil {
		t.Errorf("one of %d names is wrong, and nobody says so: %+v", site.Names, r)
	}
	if c.first, err = question.One(7); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if r, err := c.turn(ctx, p); err == nil {
		t.Errorf("it never answers rightly, and has started: %+v", r)
	}
}

// What a server uses for an answer is the same when it is measured twice: the account
// is of the work and not of the weather. Bounds are wide, as other tests run beside.
func TestProcessorTimeIsStable(t *testing.T) {
	site := &peer.Site{Dir: t.TempDir(), Bin: programs(t), Names: 1000, Workers: 1}
	all, err := choose("constant")
	if err != nil {
		t.Fatal(err)
	}
	p := all[0]
	if err := p.Prepare(t.Context(), site); err != nil {
		t.Fatal(err)
	}
	s, err := p.Start(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	c := &comparison{o: options{sockets: 4, window: 8, seconds: 0.5, rate: 1000}, site: site}
	if c.set, err = question.New(site.Names, 10_000, 1); err != nil {
		t.Fatal(err)
	}
	c.set.Loose = true
	if _, err := c.start(t.Context(), s, c.set); err != nil {
		t.Fatal(err)
	}
	var r report.Round
	var micros []float64
	for range 3 {
		if err := c.loads(t.Context(), s, c.set, &r); err != nil {
			t.Fatal(err)
		}
		micros = append(micros, r.Closed.ServerMicros)
	}
	t.Logf("%.1f us", micros)
	for _, m := range micros {
		if m < 2 || m > 3*micros[0] || m < micros[0]/3 {
			t.Errorf("processor time of one server per answer: %.1f us", micros)
		}
	}
}

// TestPropagation: the updates that are acknowledged come to every replica, of ours
// and of a system of others; how soon is not judged here.
func TestPropagation(t *testing.T) {
	var out bytes.Buffer
	o := defaults(t, "-bin", programs(t), "-install=false", "-queries=false", "-systems", "signpost,bind-tuned", "-update-rate", "50", "-update-seconds", "1", "-json", filepath.Join(t.TempDir(), "out.json"))
	if err := run(t.Context(), o, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	d, err := report.Open(o.json)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Spread {
		switch {
		case p.Skipped != "":
			t.Logf("%s is skipped: %s", p.Name, p.Skipped)
		case p.Updates == 0 || p.Watched != p.Updates || p.Missed != 0 || len(p.Replicas) != 2 || p.Last.Max <= 0 || p.Last.P50 > p.Last.Max:
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
}
