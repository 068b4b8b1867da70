package control

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"signpost/internal/store/localetcd"
)

var (
	pace        = flag.Bool("pace", false, "measure updates a second through /nic/update")
	paceFor     = flag.Duration("pace-for", 2*time.Second, "how long one round takes")
	paceRounds  = flag.Int("pace-rounds", 5, "rounds of updates and of bare requests, in turn")
	paceClients = flag.Int("pace-clients", 0, "how many clients; 0: 1, 16, 64 and 256")
	paceHosts   = flag.Int("pace-hosts", 2048, "hosts that are updated in turn")
	paceBare    = flag.Bool("pace-bare", true, "measure bare requests beside")
)

// TestPaceOfNicUpdate measures changed addresses through a whole control service, logs
// in a file and all, on one etcd that writes to its disk, with the clients that send
// them in this process, too. It is the service that is measured: so a client is a
// connection that is kept, on which a request is written as it is and of the answer no
// more is read than must be, each answer in full and compared with the right one.
func TestPaceOfNicUpdate(t *testing.T) {
	if !*pace {
		t.Skip("it takes minutes; run it with -args -pace")
	}
	etcd, err := localetcd.Start(localetcd.Options{})
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
		MasterKeyFile: key, AdminTokenFile: token,
	}, slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	requests := paceRequests(t, s, token)
	var next atomic.Int64 // addresses
	counts := []int{1, 16, 64, 256}
	if *paceClients > 0 {
		counts = []int{*paceClients}
	}
	bare := bareServer(t)
	for _, clients := range counts {
		var rates, costs, bareCosts []float64
		for range *paceRounds {
			rate, cost := nicRound(t, strings.TrimPrefix(s.URL(), "http://"), clients, requests, &next)
			bareCost := 0.
			if *paceBare {
				_, bareCost = nicRound(t, bare, clients, requests, &next)
			}
			rates, costs, bareCosts = append(rates, rate), append(costs, cost), append(bareCosts, bareCost)
		}
		slices.Sort(rates)
		slices.Sort(costs)
		slices.Sort(bareCosts)
		t.Logf("%4d clients: %.0f updates/s %.0f; processor time of each: median %.0f µs, least %.0f µs; of a bare HTTP request: median %.0f µs, least %.0f µs",
			clients, rates[len(rates)/2], rates, costs[len(costs)/2], costs[0], bareCosts[len(bareCosts)/2], bareCosts[0])
	}
}

// bareServer answers the same requests from nothing: what is left is HTTP, on both sides.
func bareServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ip, _ := strings.Cut(r.URL.RawQuery, "&myip=")
		io.WriteString(w, "good "+ip)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// paceRequests makes hosts, and answers what to send for each, with %s for the address.
func paceRequests(t *testing.T, s *Server, tokenFile string) []string {
	t.Helper()
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, body string) map[string]any {
		method := http.MethodPost
		if strings.HasSuffix(path, "/policy") {
			method = http.MethodPatch
		}
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return nil
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		var out map[string]any
		if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(raw, &out) != nil {
			t.Errorf("%s: %s %s, %v", path, resp.Status, raw, err)
		}
		return out
	}
	post("/v1/zones", `{"name":"pace.example.org","name_servers":[{"name":"ns1.example.net"}]}`)
	post("/v1/zones/pace.example.org/policy", `{"max_changes":4000000}`)
	requests := make([]string, *paceHosts)
	var making sync.WaitGroup
	for w := range 16 {
		making.Go(func() {
			for i := w; i < len(requests); i += 16 {
				fqdn := fmt.Sprintf("h%d.pace.example.org", i)
				secret, _ := post("/v1/hosts", `{"fqdn":"`+fqdn+`"}`)["secret"].(string)
				requests[i] = "GET /nic/update?hostname=" + fqdn + "&myip=%s HTTP/1.1\r\nHost: ddns.example.org\r\nUser-Agent: pace/1\r\n" +
					"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(fqdn+":"+secret)) + "\r\n\r\n"
			}
		})
	}
	making.Wait()
	return requests
}

func nicRound(t *testing.T, addr string, clients int, requests []string, next *atomic.Int64) (perSecond, processor float64) {
	var done atomic.Int64
	began, used := time.Now(), processorTime()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			var out, in, want []byte
			for i := c; time.Since(began) < *paceFor; i += clients {
				v := next.Add(1)
				want = netip.AddrFrom4([4]byte{100, byte(v >> 16), byte(v >> 8), byte(v)}).AppendTo(append(want[:0], "good "...))
				before, after, _ := strings.Cut(requests[i%len(requests)], "%s")
				out = append(append(append(out[:0], before...), want[len("good "):]...), after...)
				if _, err := conn.Write(out); err != nil {
					t.Error(err)
					return
				}
				answer, err := readGood(conn, &in)
				if err != nil || !bytes.Equal(answer, want) {
					t.Errorf("answered %q, %v; want %s", answer, err, want)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	n := float64(max(done.Load(), 1))
	return n / time.Since(began).Seconds(), float64((processorTime() - used).Microseconds()) / n
}

// readGood reads one answer into buf and gives its body, or all of it when it is no 200.
func readGood(conn net.Conn, buf *[]byte) ([]byte, error) {
	if *buf == nil {
		*buf = make([]byte, 4096)
	}
	for n := 0; n < len(*buf); {
		m, err := conn.Read((*buf)[n:])
		if n += m; err != nil {
			return (*buf)[:n], err
		}
		head, body, whole := bytes.Cut((*buf)[:n], []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		_, length, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
		length, _, _ = bytes.Cut(length, []byte("\r\n"))
		if want, err := strconv.Atoi(string(length)); err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || len(body) > want {
			return (*buf)[:n], err
		} else if len(body) == want {
			return body, nil
		}
	}
	return *buf, errors.New("the answer is too long")
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
