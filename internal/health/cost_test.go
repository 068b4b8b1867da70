package health_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"signpost/internal/health"
	"signpost/internal/health/probe"
	"signpost/internal/health/reach"
	"signpost/internal/health/rounds"
	"signpost/internal/model"
)

var (
	cost        = flag.Bool("cost", false, "measure the processor time of one checker")
	costTargets = flag.Int("cost-targets", 10000, "how many targets, each every 5 s")
	costTime    = flag.Duration("cost-time", 15*time.Second, "how long, for each kind of check")
	farSide     = flag.Bool("far-side", false, "be what the checks go to")
)

// farAddrs is how many loopback addresses the far side answers on: many, as in life, so
// that connections do not run out of ports.
const farAddrs = 50

// TestFarSide is the other process of TestCostOfAChecker.
func TestFarSide(t *testing.T) {
	if !*farSide {
		t.Skip("it is the far side of another test")
	}
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(first.Addr().String()).Port()
	serve := func(l net.Listener) { _ = http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) }
	go serve(first)
	for i := 2; i <= farAddrs; i++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", i, port))
		if err != nil {
			t.Fatal(err)
		}
		go serve(l)
	}
	fmt.Println("port", port)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the other goes
}

// TestCostOfAChecker is what real checks of many targets cost the checker, on one
// processor; the far side is another process.
func TestCostOfAChecker(t *testing.T) {
	targets, d := 200, time.Second
	if *cost {
		targets, d = *costTargets, *costTime
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	port := startFarSide(t)
	for _, kind := range []model.CheckKind{model.CheckTCP, model.CheckHTTP} {
		every := model.DefaultInterval
		if !*cost {
			every = 100 * time.Millisecond // there is only a second
		}
		got := run(t, model.Check{Kind: kind, Port: port}, targets, every, d)
		want := int(float64(targets) * d.Seconds() / every.Seconds())
		t.Logf("%v: %d attempts of %d targets in %v, wanted about %d; not fine %v; %.1f µs of processor time each, %.1f %% of one processor; %d verdicts",
			kind, got.attempts, targets, d, want, got.bad, float64(got.cpu.Microseconds())/float64(max(1, got.attempts)), 100*got.cpu.Seconds()/d.Seconds(), got.verdicts)
		if *cost && got.attempts < want*9/10 {
			t.Errorf("%v: %d attempts, wanted about %d: it does not keep up", kind, got.attempts, want)
		}
		if got.attempts == 0 || got.verdicts == 0 {
			t.Errorf("%v: %d attempts, %d verdicts", kind, got.attempts, got.verdicts)
		}
	}
}

type sum struct {
	attempts, verdicts int
	bad                map[model.Reason]int
	cpu                time.Duration
}

func run(t *testing.T, check model.Check, targets int, every, d time.Duration) (s sum) {
	t.Helper()
	s.bad = map[model.Reason]int{}
	judge := health.NewJudge[int]()
	begin := time.Now()
	r := &rounds.Rounds[int]{Report: func(id int, a model.Attempt) {
		s.attempts++
		if a.Reason != model.Fine {
			s.bad[a.Reason]++
		}
		s.verdicts += len(judge.See(id, a, time.Since(begin)))
	}}
	rules := reach.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	var all []rounds.Target[int]
	for i := range targets {
		p, err := probe.Make(check, probe.Target{Name: model.Name(fmt.Sprintf("h%d.example.org.", i)), Rules: rules,
			Addr: netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + i%farAddrs)})})
		if err != nil {
			t.Fatal(err)
		}
		judge.Put(i, health.Target{Site: fmt.Sprint("site", i%20), Check: check})
		all = append(all, rounds.Target[int]{ID: i, Owner: fmt.Sprint(i % 100), Every: every, Try: p.Try})
	}
	r.Set(all, nil)
	before := processorTime(t)
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	r.Run(ctx)
	s.cpu = processorTime(t) - before
	return s
}

func startFarSide(t *testing.T) uint16 {
	t.Helper()
	far := exec.Command(os.Args[0], "-test.run", "^TestFarSide$", "-far-side")
	stdin, err1 := far.StdinPipe()
	stdout, err2 := far.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := far.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _, _ = io.Copy(io.Discard, stdout); _ = far.Wait() })
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if s, ok := strings.CutPrefix(lines.Text(), "port "); ok {
			port, err := strconv.ParseUint(s, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			return uint16(port)
		}
	}
	t.Fatal("the far side did not start")
	return 0
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
