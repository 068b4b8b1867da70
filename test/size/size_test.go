// Package size asks: how much memory do our processes hold, and how long do they take
// to start, by the number of names?
package size

import (
	"encoding/json"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

var (
	sizes   = flag.String("size", "", "numbers of names to measure with, such as 1000,100000 (TestSize)")
	rounds  = flag.Int("rounds", 1, "with -size: how often each start is measured")
	idle    = flag.Duration("idle", 30*time.Second, "with -size: how long a process is left alone before its memory is taken as settled")
	profile = flag.String("profile", "", "with -size: a folder for heap profiles of each process, and a CPU profile of its start")
)

// TestSize measures real processes on one machine, by what the operating system says
// of them. It judges nothing: the figures are for docs/benchmarks.md.
func TestSize(t *testing.T) {
	if *sizes == "" {
		t.Skip("it takes minutes; run it with -args -size 1000,100000")
	}
	var all []figures
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("-size %s: %q is no number of names", *sizes, text)
		}
		all = append(all, measure(t, n)...)
	}
	t.Logf("idle for %s before memory is settled:\n%s", *idle, table(all))
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("as JSON: %s", raw)
}

// measure starts each kind of process on n names, an import's first, then hosts.
func measure(t *testing.T, n int) (all []figures) {
	w := newWorld(t, n)
	w.importNames()
	for range *rounds {
		all = append(all, w.nameServers()...)
		all = append(all, w.control("signpostd, an import"))
	}
	w = newWorld(t, n)
	w.makeHosts()
	for range *rounds {
		all = append(all, w.control("signpostd, hosts with secrets"))
	}
	return all
}

// figures is what is measured of one start of one process.
type figures struct {
	What    string        `json:"what"`
	Names   int           `json:"names"`
	Ready   time.Duration `json:"ready_ns"`   // from exec to the first correct answer
	CPU     time.Duration `json:"cpu_ns"`     // that it took until then
	Whole   time.Duration `json:"whole_ns"`   // from exec until it has etcd's state whole; 0: it has not
	Then    memory        `json:"then"`       // at the first correct answer
	Settled memory        `json:"settled"`    // after doing nothing for a while
	All     time.Duration `json:"all_cpu_ns"` // that it took until it was settled
	File    int64         `json:"file"`       // size of the snapshot
}

func table(all []figures) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "names\tprocess\tfirst answer\tCPU\tstate whole\tRSS then\tsettled\tanonymous\tmost ever\tCPU in all\tsnapshot\t")
	for _, f := range all {
		fmt.Fprintf(w, "%d\t%s\t%.2f s\t%.2f s\t%s\t%s\t%s\t%s\t%s\t%.2f s\t%s\t\n", f.Names, f.What, f.Ready.Seconds(), f.CPU.Seconds(),
			orNone(f.Whole), mega(f.Then.Resident), mega(f.Settled.Resident), mega(f.Settled.Anonymous), mega(f.Settled.Most), f.All.Seconds(), mega(f.File))
	}
	w.Flush()
	return b.String()
}

func orNone(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func mega(octets int64) string { return fmt.Sprintf("%.1f MB", float64(octets)/1e6) }
