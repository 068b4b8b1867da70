package updates

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"signpost/test/proctest"
)

// ours is an etcd of one member and a control service.
type ours struct {
	addr    string
	secrets []string // of each host
}

func startOurs(t *testing.T) *ours {
	t.Helper()
	dir := t.TempDir()
	client, peer := "http://"+proctest.Addr(proctest.Port(t)), "http://"+proctest.Addr(proctest.Port(t))
	proctest.Start(t, dir, "etcd", "etcd", "--data-dir", "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error")
	o := &ours{addr: proctest.Addr(proctest.Port(t)), secrets: make([]string, hosts)}
	proctest.Start(t, dir, "signpostd", "signpostd", "serve", "--etcd-endpoints", client, "--http-listen", o.addr,
		"--admin-listen", proctest.Addr(proctest.Port(t)), "--connections-per-address", "0")
	proctest.Until(t, "signpostd to be ready", func() error {
		code, body, err := proctest.Get(t.Context(), "http://"+o.addr+"/readyz", "", "")
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) (secret string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+o.addr+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		var out struct{ Secret string }
		if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(raw, &out) != nil {
			t.Fatalf("%s: %s %s, %v", path, resp.Status, raw, err)
		}
		return out.Secret
	}
	call("POST", "/v1/zones", `{"name":"bench.test","name_servers":[{"name":"ns.example.net"}]}`)
	call("PATCH", "/v1/zones/bench.test/policy", `{"max_changes":4000000}`)
	for i := range o.secrets {
		o.secrets[i] = call("POST", "/v1/hosts", fmt.Sprintf(`{"fqdn":"h%d.bench.test","addresses":["192.0.2.1"]}`, i))
	}
	return o
}

// round is how many updates a second so many clients get done.
func (o *ours) round(t *testing.T, clients int) float64 {
	t.Helper()
	var done atomic.Int64
	var running sync.WaitGroup
	began := time.Now()
	for c := range clients {
		running.Go(func() {
			conn, err := net.Dial("tcp", o.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for i := c; time.Since(began) < *span; i = (i + clients) % hosts {
				if err := o.update(conn, answers, i); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	running.Wait()
	return float64(done.Load()) / time.Since(began).Seconds()
}

func (o *ours) update(conn net.Conn, answers *bufio.Reader, host int) error {
	fqdn, address := fmt.Sprintf("h%d.bench.test", host), nextAddress().String()
	_, err := io.WriteString(conn, "GET /nic/update?hostname="+fqdn+"&myip="+address+" HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench/1\r\nAuthorization: Basic "+
		base64.StdEncoding.EncodeToString([]byte(fqdn+":"+o.secrets[host]))+"\r\n\r\n")
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && string(body) != "good "+address {
		err = fmt.Errorf("%s: %s %s, want good %s", fqdn, resp.Status, body, address)
	}
	return err
}
