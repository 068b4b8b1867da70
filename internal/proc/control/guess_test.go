package control

import (
	"bufio"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signpost/internal/access"
	"signpost/internal/store/localetcd"
)

var (
	guesses     = flag.Int("guesses", 0, "wrong secrets from one source; 0: what goes in a second, and times are not judged")
	guessRounds = flag.Int("guess-rounds", 5, "rounds of updates with and without them, in turn")
)

// TestGuessingFromOneSourceHurtsNobodyElse: somebody at 127.0.0.2 tries secrets over as
// many connections as they get; the updates of somebody at 127.0.0.1 take no longer, the
// rightful client at 127.0.0.2 is let in, and memory does not grow.
func TestGuessingFromOneSourceHurtsNobodyElse(t *testing.T) {
	etcd, err := localetcd.Start(localetcd.Options{UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	key, token := files(t.TempDir())
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s, err := Start(t.Context(), Config{
		EtcdEndpoints: []string{etcd.Endpoint()}, EtcdPrefix: "/signpost", HTTPListen: "127.0.0.1:0", AdminListen: "127.0.0.1:0",
		MasterKeyFile: key, AdminTokenFile: token, PerAddress: 256,
	}, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	addr := strings.TrimPrefix(s.URL(), "http://")
	requests := paceRequests(t, s, token)
	var next atomic.Int64

	var wrong, slowed atomic.Int64
	attack := func(during func()) {
		over := make(chan struct{})
		var wg sync.WaitGroup
		for range 240 {
			wg.Go(func() { guess(t, addr, over, &wrong, &slowed) })
		}
		during()
		close(over)
		wg.Wait()
	}

	var with, without []float64
	round := func() []float64 { return latencies(t, addr, requests, &next, time.Second) }
	for range *guessRounds {
		without = append(without, round()...)
		attack(func() { with = append(with, round()...) })
		if *guesses == 0 {
			break
		}
	}
	slices.Sort(with)
	slices.Sort(without)
	t.Logf("an update takes %.0f µs (median of %d), with guessing from elsewhere %.0f µs (of %d): %.2f times",
		without[len(without)/2], len(without), with[len(with)/2], len(with), with[len(with)/2]/without[len(without)/2])
	if ratio := with[len(with)/2] / without[len(without)/2]; *guesses > 0 && ratio > 1.1 {
		t.Errorf("updates take %.2f times as long, want at most 1.1", ratio)
	}
	// From here on nothing changes, so that what grows is what the guesses leave: the audit of
	// updates is kept by the etcd that is in this process.
	before, grown := heap(), int64(0)
	attack(func() {
		patience := time.Minute
		if *guesses > 0 {
			patience = 20 * time.Minute
		}
		for end := time.Now().Add(patience); slowed.Load() == 0 || wrong.Load() < int64(*guesses); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("%d wrong secrets, of which %d were told to wait, want %d of which some", wrong.Load(), slowed.Load(), *guesses)
				return
			}
		}
		answers, _ := send(t, "127.0.0.2", addr, func(int) string { return fmt.Sprintf(requests[0], "203.0.113.1") }, 3)
		if !strings.HasPrefix(answers[0], "good") && !strings.HasPrefix(answers[0], "nochg") {
			t.Errorf("the rightful client where the guesses come from is told %q", answers)
		}
		grown = heap() - before // with all connections, and both of their ends
	})
	t.Logf("%d wrong secrets, of which %d were told to wait; memory has grown by %d octets", wrong.Load(), slowed.Load(), grown)
	if grown > 16<<20 {
		t.Errorf("memory has grown by %d octets, want at most 16 MiB", grown)
	}
}

// guess tries secrets of hosts, each once, over one connection.
func guess(t *testing.T, addr string, over chan struct{}, wrong, slowed *atomic.Int64) {
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}).Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	go func() {
		<-over
		conn.Close()
	}()
	in := textproto.NewReader(bufio.NewReader(conn))
	for i := 0; ; i++ {
		who := base64.StdEncoding.EncodeToString([]byte("h1.pace.example.org:" + access.NewHostSecret()))
		if _, err := fmt.Fprintf(conn, "GET /nic/update?hostname=h1.pace.example.org&myip=203.0.113.66 HTTP/1.1\r\nHost: d\r\nAuthorization: Basic %s\r\n\r\n", who); err != nil {
			return
		}
		answer, err := readAnswer(in)
		switch {
		case err != nil:
			return // over
		case answer == "abuse":
			slowed.Add(1)
		case answer != "badauth":
			t.Errorf("a wrong secret is told %q", answer)
			return
		}
		wrong.Add(1)
	}
}

// latencies is how many µs each of some updates took, one after another, from 127.0.0.1.
func latencies(t *testing.T, addr string, requests []string, next *atomic.Int64, d time.Duration) (us []float64) {
	for began := time.Now(); time.Since(began) < d; {
		_, took := send(t, "127.0.0.1", addr, func(int) string {
			v := next.Add(1)
			return fmt.Sprintf(requests[int(v)%len(requests)], fmt.Sprintf("100.%d.%d.%d", byte(v>>16), byte(v>>8), byte(v)))
		}, 100)
		for _, d := range took {
			us = append(us, float64(d.Microseconds()))
		}
	}
	return us
}

// send makes n requests over one connection from an address and is the answers, and how
// long each took.
func send(t *testing.T, from, addr string, request func(int) string, n int) (answers []string, took []time.Duration) {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := textproto.NewReader(bufio.NewReader(conn))
	for i := range n {
		began := time.Now()
		if _, err := io.WriteString(conn, request(i)); err != nil {
			t.Fatal(err)
		}
		answer, err := readAnswer(in)
		if err != nil {
			t.Fatal(err)
		}
		answers, took = append(answers, answer), append(took, time.Since(began))
	}
	return answers, took
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func readAnswer(in *textproto.Reader) (string, error) {
	status, err := in.ReadLine()
	length := 0
	for err == nil {
		var line string
		if line, err = in.ReadLine(); line == "" {
			break
		}
		if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			length, err = strconv.Atoi(v)
		}
	}
	if err != nil {
		return status, err
	}
	body := make([]byte, length)
	_, err = io.ReadFull(in.R, body)
	return string(body), err
}
