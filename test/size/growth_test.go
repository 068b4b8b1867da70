package size

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"signpost/internal/store"
	"signpost/internal/zone"
	"signpost/test/proctest"
)

var growth = flag.String("growth", "", "numbers of names to measure growth with, such as 1000,100000,1000000,3000000 (TestGrowth)")

// perName is what one name takes of this machine's memory while growth is measured, in octets:
// etcd and its page cache, a replica, and a view of our own.
const perName = 3 << 10

// atLeast is what no name takes.
const atLeast = 1 << 30

// TestGrowth measures what an answer, a change, a start and the first reading of etcd
// cost, and what etcd and a replica hold, by the number of names in one zone. It judges
// nothing: the figures are for docs/benchmarks.md. Sizes are done one after the other.
func TestGrowth(t *testing.T) {
	if *growth == "" {
		t.Skip("it takes minutes; run it with -args -growth 1000,100000")
	}
	var rows []grown
	for text := range strings.SplitSeq(*growth, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("-growth %s: %q is no number of names", *growth, text)
		}
		t.Run(text, func(t *testing.T) {
			fits(t, n)
			rows = append(rows, grow(t, n))
		})
	}
	t.Logf("one row for each line of the table, one column for each size:\n%s", growthTable(rows))
}

// fits skips a size for which this machine's memory is too small.
func fits(t *testing.T, n int) {
	t.Helper()
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Skipf("this system does not say how much memory is free: %v", err)
	}
	free := fieldOf(t, string(raw), "MemAvailable")
	if want := atLeast + int64(n)*perName; free < want {
		t.Skipf("%d names want %s of memory, %s are available; run it on a larger machine, or with nothing else running", n, mega(want), mega(free))
	}
}

// grown is what is measured with one number of names.
type grown struct {
	names         int
	load          string // of the machine
	answer, plain cost
	change        cost
	database      store.Status
	read          reading
	cold, warm    figures // of a replica, from etcd and from its snapshot
	following     following
	control       controlled
}

func grow(t *testing.T, n int) grown {
	w := newWorld(t, n)
	w.importNames()
	g := grown{names: n, load: loadOfMachine()}
	var err error
	if g.database, err = w.store.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.inMemory(&g)
	os.Remove(filepath.Join(w.dir, "snapshot"))
	g.cold = w.nameServer("coredns, nothing but etcd", true)
	g.warm = w.nameServer("coredns, snapshot and etcd", true)
	g.following = w.follow()
	g.control = w.update()
	return g
}

// inMemory has the view for as long only as it is measured: the replicas need the memory.
func (w *world) inMemory(g *grown) {
	w.t.Helper()
	var v *zone.View
	v, g.read = w.readWhole()
	g.answer, g.plain, g.change = answering(w.t, v, w.n), answeringPlain(w.t, v, w.n), changing(v, w.n)
}

func growthTable(rows []grown) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	line := func(what string, of func(grown) string) {
		fmt.Fprintf(w, "| %s\t|", what)
		for _, g := range rows {
			fmt.Fprintf(w, " %s\t|", of(g))
		}
		fmt.Fprintln(w)
	}
	line("names", func(g grown) string { return strconv.Itoa(g.names) })
	line("---", func(grown) string { return "---" })
	line("an answer (`Answer`), 10,000 names in turn", func(g grown) string { return g.answer.String() })
	line("an answer in wire form (`AppendPlain`)", func(g grown) string { return g.plain.String() })
	line("a change of the view (`Apply`)", func(g grown) string { return g.change.String() })
	line("a change in all, with snapshots", func(g grown) string { return g.following.String() })
	line("replica: memory from etcd, settled", func(g grown) string { return mega(g.cold.Settled.Resident) })
	line("replica: most ever", func(g grown) string { return mega(g.cold.Settled.Most) })
	line("replica: memory from its snapshot", func(g grown) string { return mega(g.warm.Settled.Resident) })
	line("replica: memory under changes", func(g grown) string { return mega(g.following.memory.Resident) })
	line("start from the snapshot, processor time", func(g grown) string { return seconds(g.warm.Ready) + ", " + seconds(g.warm.CPU) })
	line("start from etcd, processor time", func(g grown) string { return seconds(g.cold.Ready) + ", " + seconds(g.cold.CPU) })
	line("snapshot", func(g grown) string { return mega(g.cold.File) })
	line("etcd's database", func(g grown) string { return mega(g.database.Bytes) })
	line("a name in it", func(g grown) string { return fmt.Sprintf("%d B", g.database.InUse/int64(g.names)) })
	line("a change adds to it, an address update", func(g grown) string { return fmt.Sprintf("%d B, %d B", g.following.stored, g.control.update) })
	line("first full read", func(g grown) string { return seconds(g.read.took) })
	line("processor time of it: replica, etcd", func(g grown) string { return seconds(g.read.ours) + ", " + seconds(g.read.etcd) })
	line("etcd: memory after it", func(g grown) string { return mega(g.read.memory.Resident) })
	line("control service: memory", func(g grown) string { return mega(g.control.memory.Resident) })
	line("load of the machine before", func(g grown) string { return g.load })
	w.Flush()
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// loadOfMachine is what others and we had it do during the last minute.
func loadOfMachine() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	one, _, _ := strings.Cut(string(raw), " ")
	return one
}

// following is a replica under changes.
type following struct {
	changes int
	pace    float64 // changes a second
	cpu     time.Duration
	memory  memory
	stored  int64 // octets that one adds to etcd's database until it is compacted
}

func (f following) String() string {
	return fmt.Sprintf("%.0f µs at %.0f/s", float64(f.cpu.Microseconds())/float64(f.changes), f.pace)
}

// paceAsked is how many changes a second a replica is to follow.
const paceAsked = 1000

var changesFor = flag.Duration("changes", 30*time.Second, "with -growth: how long a replica is to follow 1,000 changes a second")

// follow starts a replica from its snapshot and has it follow changes.
func (w *world) follow() following {
	w.t.Helper()
	addr, pprof, p := w.startNameServer("coredns, following")
	defer p.Stop()
	w.until("coredns, following", func() error { return logged(p, "following etcd at revision") })
	before, inUse := w.processorTime(p), w.inUse()
	wait := w.keepCPU(pprof, p.Name, *changesFor)
	begin := time.Now()
	f := following{changes: w.change(*changesFor)}
	f.pace = float64(f.changes) / time.Since(begin).Seconds()
	w.until("the last change", func() error {
		return proctest.Answers(addr, string(hostName(lastChanged(f.changes, w.n))), aType, changedAddress(f.changes-1).String())
	})
	f.cpu, f.memory = w.processorTime(p)-before, w.memory(p)
	f.stored = (w.inUse() - inUse) / int64(f.changes)
	wait()
	if *profile != "" {
		w.keepHeap(pprof, filepath.Join(*profile, p.Name+".heap"))
	}
	return f
}
