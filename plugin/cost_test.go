package signpost_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/miekg/dns"

	"signpost/internal/model"
	procdns "signpost/internal/proc/dns"
	"signpost/internal/proc/ports"
	"signpost/internal/store"
	"signpost/test/constant"
)

var (
	cost        = flag.Bool("cost", false, "measure the processor time per query (TestCostPerQuery)")
	costNames   = flag.Int("names", 100_000, "with -cost: how many names the zone has")
	costQueries = flag.Int("queries", 100_000, "with -cost: how many queries each server gets in a round")
	costRounds  = flag.Int("rounds", 7, "with -cost: how many rounds")
)

// costServer is the variable that makes the test binary a server: what it holds is
// the Corefile.
const costServer = "SIGNPOST_TEST_COREFILE"

func TestMain(m *testing.M) {
	if corefile := os.Getenv(costServer); corefile != "" {
		serveForCost(corefile)
		return
	}
	os.Exit(m.Run())
}

// serveForCost serves until standard input ends.
func serveForCost(corefile string) {
	constant.Register()
	err := dnsserver.SetDirectives(append(procdns.Directives(), constant.Name))
	if err == nil {
		_, err = procdns.Start(corefile)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that matters
}

// TestCostPerQuery measures the processor time of the whole server process per
// answered query, beside that of CoreDNS with a plugin that answers a constant, in
// turns on the same machine. It judges nothing: the figures are for docs/benchmarks.md.
func TestCostPerQuery(t *testing.T) {
	if !*cost {
		t.Skip("it takes a minute; run it with -args -cost")
	}
	w := newWorld(t)
	w.zone("example.org")
	w.fill("example.org", *costNames)
	const watched = "prometheus {http}\nerrors\n"
	ours := func(more string) string { return "signpost {\nendpoint " + w.etcd.Endpoint() + more + "\n}" }
	bare, seen := &subject{name: "constant", lines: "constant"}, &subject{name: "constant, prometheus, errors", lines: watched + "constant"}
	subjects := []*subject{
		bare,
		{name: "signpost", lines: ours(""), beside: bare},
		{name: "signpost, batch", lines: ours("\nlisten batch"), beside: bare},
		seen,
		{name: "signpost, prometheus, errors", lines: watched + ours(""), beside: seen},
		{name: "signpost, batch, prometheus, errors", lines: watched + ours("\nlisten batch"), beside: seen},
	}
	for _, s := range subjects {
		s.start(t)
		s.load(t, *costQueries/10) // warm
	}
	for range *costRounds {
		for _, s := range subjects {
			before := s.processorTime(t)
			n := s.load(t, *costQueries)
			s.rounds = append(s.rounds, float64((s.processorTime(t)-before).Microseconds())/float64(n))
		}
	}
	t.Logf("%d names, %d rounds of %d queries each; processor time of the server process per answered query, median (least to most):", *costNames, *costRounds, *costQueries)
	for _, s := range subjects {
		slices.Sort(s.rounds)
		if s.beside == nil {
			s.beside = s
		}
		t.Logf("%-36s %5.1f us (%.1f to %.1f)   %.2f x the constant", s.name, s.median(), s.rounds[0], s.rounds[len(s.rounds)-1], s.median()/s.beside.median())
	}
}

// fill gives a zone the names h0, h1, ... with an address each.
func (w *world) fill(zone string, n int) {
	w.t.Helper()
	z := name1(w.t, zone)
	data := &model.NameData{RRsets: []model.RRset{rrset(w.t, "A", "192.0.2.1")}}
	claim, err := w.store.ClaimImport(context.Background(), z, "cost", time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	err = claim.Load(func(yield func(model.Name, *model.NameData) bool) {
		for i := range n {
			if !yield(model.Name(fmt.Sprintf("h%d.%s", i, z)), data) {
				return
			}
		}
	}, func(int) {})
	if err != nil {
		w.t.Fatal(err)
	}
	w.update(func(tx *store.Tx) error {
		was, err := tx.Zone(z)
		if err != nil {
			return err
		}
		was.Generation = claim.Generation
		tx.PutZone(was)
		return tx.EndImport(claim)
	})
	if _, err := claim.Release(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// subject is a server that is measured.
type subject struct {
	name, lines string
	beside      *subject // the constant in the same chain; nil: it is that
	addr        string
	pid         int
	rounds      []float64 // microseconds
}

func (s *subject) median() float64 { return s.rounds[len(s.rounds)/2] }

func (s *subject) start(t *testing.T) {
	t.Helper()
	port, err := ports.Pairs("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	lines := strings.ReplaceAll(s.lines, "{http}", httpAddr(t))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=.:%d {\nbind 127.0.0.1\n%s\n}\n", costServer, port, lines))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	s.pid = cmd.Process.Pid
	lineReader := bufio.NewScanner(out)
	for lineReader.Scan() && lineReader.Text() != "ready" {
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // its log must not fill the pipe; ends with it
	probe := &server{addr: s.addr}
	probe.says(t, "h1.example.org", "A", "NOERROR 192.0.2.1")
}

// processorTime is what the process has used so far, in user and system mode.
func (s *subject) processorTime(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime; proc(5)
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // 100 ticks a second on every Linux
}

// load asks n questions about names that exist, a bounded number at a time, and
// gives the number of good answers.
func (s *subject) load(t *testing.T, n int) int {
	t.Helper()
	const sockets, window = 4, 32
	var asked, answered atomic.Int64
	ends := make(chan error, sockets)
	for range sockets {
		go func() { ends <- s.client(n, window, &asked, &answered) }()
	}
	for range sockets {
		if err := <-ends; err != nil {
			t.Fatal(err)
		}
	}
	return int(answered.Load())
}

func (s *subject) client(n, window int, asked, answered *atomic.Int64) error {
	conn, err := net.Dial("udp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	query := func() error {
		if asked.Add(1) > int64(n) {
			return nil
		}
		m := new(dns.Msg)
		m.SetQuestion(fmt.Sprintf("h%d.example.org.", rand.IntN(*costNames)), dns.TypeA)
		b, err := m.Pack()
		if err == nil {
			_, err = conn.Write(b)
		}
		return err
	}
	for range window {
		if err := query(); err != nil {
			return err
		}
	}
	buf := make([]byte, 4096)
	for asked.Load() <= int64(n) {
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		switch got, err := conn.Read(buf); {
		case err != nil: // lost: ask on
		case got < 12 || buf[3]&0xf != 0 || binary.BigEndian.Uint16(buf[6:]) != 1:
			return fmt.Errorf("%s: no good answer: %x", s.name, buf[:got])
		default:
			answered.Add(1)
		}
		if err := query(); err != nil {
			return err
		}
	}
	return nil
}
