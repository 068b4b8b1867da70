package test

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"signpost/test/proctest"
)

var large = flag.Int("large", 0, "import a zone of this many names and print what it takes (TestALargeImport)")

// TestALargeImport prints what an import costs: every name has an A, every fourth an
// AAAA too. etcd and the control service are processes of their own.
func TestALargeImport(t *testing.T) {
	if *large == 0 {
		t.Skip("it takes minutes; run it with -args -large 1000000")
	}
	m := startMeasured(t)
	file := filepath.Join(m.dir, "big.zone")
	writeLarge(t, file, *large)
	m.must(t, "import", "big.example.org", file, "--progress")
	m.must(t, "export", "big.example.org", filepath.Join(m.dir, "out.zone"))
	m.must(t, "import", "big.example.org", file, "--replace", "--progress")
	m.must(t, "diff", "big.example.org", file, "--replace")
}

// measured is an etcd and a control service, each a process of its own.
type measured struct {
	dir, url      string
	etcd, control *proctest.Proc
}

func startMeasured(t *testing.T) *measured {
	t.Helper()
	m := &measured{dir: t.TempDir()}
	client, peer := "http://"+proctest.Addr(proctest.Port(t)), "http://"+proctest.Addr(proctest.Port(t))
	m.etcd = proctest.Start(t, m.dir, "etcd", "etcd", "--name", "e0", "--data-dir", "e0", "--log-level", "error", "--quota-backend-bytes", "8589934592",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "e0="+peer)
	listen := proctest.Addr(proctest.Port(t))
	m.url = "http://" + listen
	m.control = proctest.Start(t, m.dir, "control", "signpostd", "serve", "--etcd-endpoints", client,
		"--http-listen", listen, "--admin-listen", proctest.Addr(proctest.Port(t)))
	m.untilReady(t)
	return m
}

func (m *measured) untilReady(t *testing.T) {
	t.Helper()
	proctest.Until(t, "control service ready", func() error {
		status, body, err := proctest.Get(t.Context(), m.url+"/readyz", "", "")
		if err == nil && status != 200 {
			err = fmt.Errorf("%d %s", status, body)
		}
		return err
	})
}

// run runs the command line on a zone and prints what it took.
func (m *measured) run(t *testing.T, args ...string) error {
	t.Helper()
	begin, usedControl, usedEtcd := time.Now(), processor(t, m.control), processor(t, m.etcd)
	phases, out, err := timed(t, m.dir, m.url, append([]string{"zone"}, args...)...)
	t.Logf("zone %s: %.1f s%s", strings.Join(args, " "), time.Since(begin).Seconds(), phases)
	for line := range strings.Lines(out) {
		t.Log("    " + strings.TrimSpace(line))
	}
	t.Logf("    processor: control service %.1f s, etcd %.1f s", processor(t, m.control)-usedControl, processor(t, m.etcd)-usedEtcd)
	t.Logf("    peak memory so far: control service %s, etcd %s; etcd's database %d MiB",
		peak(t, m.control), peak(t, m.etcd), size(t, filepath.Join(m.dir, "e0", "member", "snap", "db"))>>20)
	return err
}

// must is run of what succeeds.
func (m *measured) must(t *testing.T, args ...string) {
	t.Helper()
	if err := m.run(t, args...); err != nil {
		t.Fatal(err)
	}
}

func writeLarge(t *testing.T, name string, names int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprint(w, "$TTL 300\n@ SOA ns.example.net. hostmaster 1 7200 900 1209600 60\n@ NS ns.example.net.\n")
	for i := range names {
		fmt.Fprintf(w, "node%07d A 10.%d.%d.%d\n", i, i>>16&255, i>>8&255, i&255)
		if i%4 == 0 {
			fmt.Fprintf(w, "node%07d AAAA 2001:db8::%x:%x\n", i, i>>16, i&0xffff)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("a file of %d names, %d MiB", names, size(t, name)>>20)
}

var phaseOf = regexp.MustCompile(`^(receiving|comparing|loading|switching): `)

// timed runs the command line and says how long each phase of its progress took, to
// the second.
func timed(t *testing.T, dir, server string, args ...string) (phases, out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), proctest.Bin(t, "signpost"), args...)
	cmd.Env = append(os.Environ(), "SIGNPOST_SERVER="+server, "SIGNPOST_TOKEN_FILE="+filepath.Join(dir, "admin.token"))
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	cmd.Stdout = &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last, since := "", time.Now()
	end := func(next string) {
		if last != "" && next != last {
			phases += fmt.Sprintf("; %s %.0f s", last, time.Since(since).Seconds())
		}
		if next != last {
			last, since = next, time.Now()
		}
	}
	var told []string
	for lines := bufio.NewScanner(errs); lines.Scan(); {
		if m := phaseOf.FindStringSubmatch(lines.Text()); m != nil {
			end(m[1])
		} else {
			told = append(told, lines.Text())
		}
	}
	if err = cmd.Wait(); err != nil {
		err = fmt.Errorf("signpost %v: %w: %v", args, err, told)
	}
	end("")
	return phases, text.String(), err
}

// peak is the most memory that a process has had.
func peak(t *testing.T, p *proctest.Proc) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return "unknown"
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(raw)
	if m == nil {
		return "unknown"
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d MiB", kib>>10)
}

// processor is how many seconds of processor time a process has used.
func processor(t *testing.T, p *proctest.Proc) float64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), ") ")
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.Atoi(fields[12])
	if err != nil {
		t.Fatal(err)
	}
	return float64(user+system) / 100 // Linux counts hundredths
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
