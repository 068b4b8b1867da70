package test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"signpost/test/proctest"
)

const hookZone, besideZone = "hooked.example.org", "beside.example.org"

// receiver is one of webhooks: a real HTTPS server, with what it has taken.
type receiver struct {
	*httptest.Server
	key []byte

	mu     sync.Mutex
	status int
	came   []told
	times  map[string]int // how often each id came
	wrong  []string       // what was no message of ours
}

// told is what a message says of an endpoint.
type told struct {
	host, endpoint, before, after string
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{key: []byte("a key of more than twenty-four octets"), status: http.StatusNoContent, times: map[string]int{}}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(r.take))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	w.WriteHeader(r.status)
	if r.status != http.StatusNoContent {
		return
	}
	id := req.Header.Get("Webhook-Id")
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, req.Header.Get("Webhook-Timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); err != nil || req.Header.Get("Webhook-Signature") != want || req.Method != http.MethodPost {
		r.wrong = append(r.wrong, fmt.Sprintf("%v %s %v %s", err, req.Method, req.Header, body))
		return
	}
	var m struct {
		Type, Revision string
		Data           struct {
			Fqdn           string
			EndpointChange struct {
				Endpoint      string
				Before, After struct {
					State    string
					Answered bool
				}
			}
		}
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Type != "health" || m.Revision == "" || m.Data.EndpointChange.Endpoint == "" {
		r.wrong = append(r.wrong, fmt.Sprintf("%v %s", err, body))
		return
	}
	if r.times[id]++; r.times[id] > 1 {
		return // known already, as a receiver has it
	}
	c := m.Data.EndpointChange
	r.came = append(r.came, told{m.Data.Fqdn, c.Endpoint, fmt.Sprint(c.Before.State, c.Before.Answered), fmt.Sprint(c.After.State, c.After.Answered)})
}

func (r *receiver) says(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// wait waits until so many different messages have come, and checks that all are ours, each
// endpoint's in order without a gap, and how many came more than once.
func (r *receiver) wait(t *testing.T, n, mostTwice int) {
	t.Helper()
	proctest.Until(t, fmt.Sprint(n, " messages"), func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.came) < n {
			return fmt.Errorf("%d have come: %v", len(r.came), r.came)
		}
		return nil
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	stood := map[string]string{}
	for _, c := range r.came {
		of := c.host + " " + c.endpoint
		if was := stood[of]; was != "" && was != c.before {
			t.Errorf("%s: from %s after it came to be %s", of, c.before, was)
		}
		if stood[of] = c.after; !strings.HasSuffix(c.host, hookZone) {
			t.Errorf("%s is in a zone that the receiver is not told of", c.host)
		}
	}
	twice := 0
	for _, times := range r.times {
		twice += times - 1
	}
	if len(r.came) != n || twice > mostTwice || len(r.wrong) > 0 {
		t.Errorf("%d messages, want %d; %d came again, most %d; %d are wrong: %s", len(r.came), n, twice, mostTwice, len(r.wrong), strings.Join(r.wrong, "\n"))
	}
}

// TestAWebhookTellsOnceWhatBecomesOfEndpoints is two control services with one webhook: a
// real receiver that fails for a while, and the one that tells it killed, then stopped.
func TestAWebhookTellsOnceWhatBecomesOfEndpoints(t *testing.T) {
	t.Parallel() // it waits more than it works
	r := startReceiver(t)
	server := proctest.Addr(proctest.DNSPort(t))
	c := newPart(t, server)
	c.names = append(c.names, c.startName(t, 0, server, "replica.snapshot"))
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})))
	write("hook.key", "whsec_"+base64.StdEncoding.EncodeToString(r.key)+"\n")
	write("hook.yaml", "webhooks:\n  - name: ops\n    url: "+r.URL+"/secret-path\n    key-file: hook.key\n    ca-file: ca.pem\n    zones: ["+hookZone+"]\n    allow: [127.0.0.0/8]\n    timeout: 2s\n")
	c.startControl(t, 1, "--config", "hook.yaml")
	c.startControl(t, 2, "--config", "hook.yaml")
	duty := func(i int) string {
		_, body, _ := proctest.Get(t.Context(), c.admins[i]+"/metrics", "", "")
		_, of, _ := strings.Cut(body, "\nsignpost_webhook_duty{hook=\"ops\"} ")
		return of[:min(1, len(of))]
	}
	proctest.Until(t, "one tells", func() error {
		if d := duty(1) + duty(2); d != "10" && d != "01" {
			return fmt.Errorf("duties %q", d)
		}
		return nil
	})
	tells, other := 1, 2
	if duty(2) == "1" {
		tells, other = 2, 1
	}
	for _, zone := range []string{hookZone, besideZone} {
		c.signpost(t, "zone", "create", zone, "--ns", "ns1."+zone+"=192.0.2.53")
		for _, h := range []string{"app", "web"} {
			c.signpost(t, "host", "create", h+"."+zone, "--quiet")
			for i, id := range []string{"a", "b"} {
				c.signpost(t, "endpoint", "set", h+"."+zone, id, "--site", id, "--ip", fmt.Sprintf("192.0.2.%d", i+1))
			}
		}
	}
	n := 0 // messages that are to come
	say := func(host, id, word string) {
		t.Helper()
		c.signpost(t, "endpoint", "admin", host+"."+besideZone, id, word)
		c.signpost(t, "endpoint", "admin", host+"."+hookZone, id, word)
		n++
	}
	say("app", "a", "drain")
	say("app", "a", "up")
	say("web", "b", "down")
	r.wait(t, n, 0)

	r.says(http.StatusServiceUnavailable)
	say("app", "b", "drain")
	say("web", "b", "auto")
	say("app", "b", "auto")
	c.everywhere(t, "app."+hookZone, dns.TypeA, "192.0.2.1", "192.0.2.2") // nothing else waits for the receiver
	r.says(http.StatusNoContent)
	r.wait(t, n, 0)

	c.controls[tells].Kill()
	say("app", "a", "drain")
	say("web", "a", "down")
	killed := time.Now()
	r.wait(t, n, 3) // that these were taken at last may not have been written yet
	t.Logf("told by the other %s after the kill", time.Since(killed))
	if d := duty(other); d != "1" {
		t.Errorf("duty %q", d)
	}

	c.controls[tells].Restart()
	proctest.Until(t, "ready again", func() error {
		if d := duty(tells); d != "0" {
			return fmt.Errorf("duty %q", d)
		}
		return nil
	})
	before := r.again()
	c.controls[other].Stop()
	say("app", "a", "auto")
	say("web", "a", "auto")
	stopped := time.Now()
	r.wait(t, n, before)
	t.Logf("told by the first %s after the stop of the other", time.Since(stopped))
	for _, p := range c.controls {
		log, err := p.Log()
		if err != nil || strings.Contains(string(log), "secret-path") || strings.Contains(string(log), "whsec_") {
			t.Errorf("%v, or a log has a secret in it", err)
		}
	}
}

// again is how many messages came that had come before.
func (r *receiver) again() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, times := range r.times {
		n += times - 1
	}
	return n
}
