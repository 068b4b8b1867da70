// Package report answers one question: what do the figures of a comparison say, as
// text, as JSON, as a picture and in docs/benchmarks.md?
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"signpost/test/bench/account"
)

// Document is a comparison: all its figures, and under which conditions they came.
type Document struct {
	Date       time.Time
	Commit     string `json:",omitempty"`
	Conditions string `json:",omitempty"` // a word of whoever ran it
	Machine    account.Machine
	Names      int
	Rounds     int
	Seconds    float64 // of each load
	Rate       int     // of the open loop, questions a second
	Sockets    int     // of the generator
	Window     int     // questions open on each of them, in the closed loop
	Workers    int     // threads or processes of each server
	Seed       uint64
	Peers      []Peer        `json:",omitempty"`
	Spread     []Propagation `json:",omitempty"`
	SpreadRate int           `json:",omitempty"` // updates a second that were asked for
}

// Peer is what one server showed.
type Peer struct {
	Name, Version, Note string
	Skipped             string             `json:",omitempty"` // why it was not measured
	Loose               bool               `json:",omitempty"` // its answers are not the right ones
	Reference           bool               `json:",omitempty"`
	Rounds              []Round            `json:",omitempty"`
	Summary             map[string]Summary `json:",omitempty"` // by the key of the metric
}

// Round is what one server showed in one turn.
type Round struct {
	StartSeconds float64 // from exec to the first right answer
	Closed       Load
	Open         Load
	ResidentMiB  float64
	ShareMiB     float64
	PeakMiB      float64
	Failure      string `json:",omitempty"` // then nothing else of this round counts
}

// Load is what was seen under one load. Times are in microseconds.
type Load struct {
	Asked, Right, Wrong, Lost, Late uint64
	SentLate                        uint64  `json:",omitempty"` // asked a millisecond or more after they were due: the generator was kept waiting
	PerSecond                       float64 // right answers
	ServerMicros                    float64 // processor time of the server for each right answer
	ClientMicros                    float64 // of the generator
	ReplyOctets                     float64
	P50, P90, P99, P999             float64 `json:",omitempty"` // open loop only
}

// Summary is the least, the middle and the greatest of the rounds, and the same of
// the ratio to the best reference of the same round.
type Summary struct {
	Min, Median, Max float64
	RatioMin         float64 `json:",omitempty"`
	RatioMedian      float64 `json:",omitempty"`
	RatioMax         float64 `json:",omitempty"`
}

type metric struct {
	key, title, unit string
	of               func(Round) float64
	more             bool // is better
}

var metrics = []metric{
	{"cpu", "Processor time per answer", "µs", func(r Round) float64 { return r.Closed.ServerMicros }, false},
	{"qps", "Right answers a second", "1/s", func(r Round) float64 { return r.Closed.PerSecond }, true},
	{"p50", "Latency, half are below", "µs", func(r Round) float64 { return r.Open.P50 }, false},
	{"p99", "Latency, 99 of 100 are below", "µs", func(r Round) float64 { return r.Open.P99 }, false},
	{"p999", "Latency, 999 of 1,000 are below", "µs", func(r Round) float64 { return r.Open.P999 }, false},
	{"opencpu", "Processor time per answer at the fixed rate", "µs", func(r Round) float64 { return r.Open.ServerMicros }, false},
	{"memory", "Memory (PSS)", "MiB", func(r Round) float64 { return r.ShareMiB }, false},
	{"peak", "Peak memory (VmHWM)", "MiB", func(r Round) float64 { return r.PeakMiB }, false},
	{"start", "Start to first right answer", "s", func(r Round) float64 { return r.StartSeconds }, false},
	{"client", "The generator's own processor time per answer", "µs", func(r Round) float64 { return r.Closed.ClientMicros }, false},
	{"octets", "Octets of a reply", "", func(r Round) float64 { return r.Closed.ReplyOctets }, false},
}

// Summarize fills in the summaries.
func (d *Document) Summarize() {
	for i := range d.Peers {
		p := &d.Peers[i]
		p.Summary = map[string]Summary{}
		for _, m := range metrics {
			var values, ratios []float64
			for n, r := range p.Rounds {
				if r.Failure != "" {
					continue
				}
				v := m.of(r)
				if v == 0 { // not measured
					continue
				}
				values = append(values, v)
				if best, ok := d.best(m, n); ok {
					ratios = append(ratios, v/best)
				}
			}
			if len(values) > 0 {
				p.Summary[m.key] = summary(values, ratios)
			}
		}
	}
}

// best is the best that a reference has done in a round.
func (d *Document) best(m metric, round int) (float64, bool) {
	best, found := math.Inf(1), false
	if m.more {
		best = 0
	}
	for _, p := range d.Peers {
		if !p.Reference || round >= len(p.Rounds) || p.Rounds[round].Failure != "" {
			continue
		}
		if v := m.of(p.Rounds[round]); v > 0 && (v > best) == m.more {
			best, found = v, true
		}
	}
	return best, found
}

func summary(values, ratios []float64) Summary {
	var s Summary
	s.Min, s.Median, s.Max = spread(values)
	if len(ratios) > 0 {
		s.RatioMin, s.RatioMedian, s.RatioMax = spread(ratios)
	}
	return s
}

func spread(v []float64) (least, middle, greatest float64) {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return v[0], (v[(n-1)/2] + v[n/2]) / 2, v[n-1]
}

// Failures is all that went wrong, an error each.
func (d *Document) Failures() error {
	var errs []error
	for _, p := range d.Peers {
		for i, r := range p.Rounds {
			switch {
			case r.Failure != "":
				errs = append(errs, fmt.Errorf("%s, round %d: %s", p.Name, i+1, r.Failure))
			case r.Closed.Wrong > 0 || r.Open.Wrong > 0:
				errs = append(errs, fmt.Errorf("%s, round %d: %d and %d wrong answers", p.Name, i+1, r.Closed.Wrong, r.Open.Wrong))
			}
		}
	}
	for _, s := range d.Spread {
		if s.Failure != "" {
			errs = append(errs, fmt.Errorf("propagation, %s: %s", s.Name, s.Failure))
		}
	}
	return errors.Join(errs...)
}

// Save writes the document as JSON.
func (d *Document) Save(path string) error {
	raw, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}

// Open reads a document that Save has written.
func Open(path string) (*Document, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := &Document{}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return d, nil
}
