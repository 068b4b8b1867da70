package test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/grpc/codes"

	"signpost/test/proctest"
)

var (
	kills     = flag.Int("kills", 0, "how often control services are killed in mid-call; 0: a few times")
	killsSeed = flag.Uint64("kills-seed", 0, "of the kills and the calls; 0: a new one")
)

const (
	onceZone    = "once.example.org"
	onceNames   = 4
	onceClients = 8
)

// victim is a control service that can be killed and started again at the same place.
type victim struct {
	url     string
	kill    func()
	restart func()

	calls atomic.Int64 // that were sent to it
	done  atomic.Int64 // that it answered
}

// trial is clients that change hosts through several control services while these
// are killed. A call that is not answered is sent again, with the same request id,
// to any of them.
type trial struct {
	t       *testing.T
	victims []*victim
	token   string
	seed    uint64
	over    chan struct{}
	client  *http.Client
	start   time.Time

	mu      sync.Mutex
	history []porcupine.Operation
	changes map[string]int // of each name, acknowledged
	repeats int            // calls that were sent more than once
	serial  atomic.Uint64
}

func (tr *trial) run(kills int) {
	tr.t.Helper()
	if tr.seed = *killsSeed; tr.seed == 0 {
		tr.seed = rand.Uint64()
	}
	tr.t.Logf("-kills %d -kills-seed %d", kills, tr.seed)
	tr.over, tr.start, tr.changes = make(chan struct{}), time.Now(), map[string]int{}
	tr.client = &http.Client{Timeout: proctest.Patience, Transport: &http.Transport{MaxIdleConnsPerHost: onceClients}}
	tr.call(rand.New(rand.NewPCG(tr.seed, 0)), "POST", "/v1/zones", tr.token, fmt.Sprintf(`{"name":%q,"name_servers":[{"name":"ns1.example.net"}]}`, onceZone))
	var clients sync.WaitGroup
	for i := range onceClients {
		clients.Go(func() { tr.work(i, rand.New(rand.NewPCG(tr.seed, uint64(i+1)))) })
	}
	tr.slay(kills, rand.New(rand.NewPCG(tr.seed, onceClients+1)))
	close(tr.over)
	clients.Wait()
	tr.check()
}

// slay kills one service after another, each in the middle of calls, and starts it
// again.
func (tr *trial) slay(kills int, chance *rand.Rand) {
	for range kills {
		v := tr.victims[chance.IntN(len(tr.victims))]
		answered, sent := v.done.Load(), v.calls.Load()
		proctest.Until(tr.t, "the service at work", func() error {
			if v.done.Load() == answered || v.calls.Load() == sent {
				return fmt.Errorf("%s has answered nothing", v.url)
			}
			return nil
		})
		time.Sleep(time.Duration(chance.IntN(3000)) * time.Microsecond) // where in a call the kill falls
		v.kill()
		v.restart()
	}
}

func (tr *trial) work(id int, chance *rand.Rand) {
	for {
		select {
		case <-tr.over:
			for n := range onceNames { // what is there in the end belongs to the history
				tr.operate(id, hostAction{kind: "get", name: hostName(n)}, chance)
			}
			return
		default:
			kind := []string{"create", "delete", "set", "set", "rotate", "get", "auth"}[chance.IntN(7)]
			tr.operate(id, hostAction{kind: kind, name: hostName(chance.IntN(onceNames))}, chance)
		}
	}
}

func hostName(n int) string { return fmt.Sprintf("h%d.%s", n, onceZone) }

// operate does one operation and writes it into the history.
func (tr *trial) operate(id int, in hostAction, chance *rand.Rand) {
	in.address = fmt.Sprintf("2001:db8::%x", tr.serial.Add(1))
	if in.kind == "auth" {
		if in.secret = tr.someSecret(in.name); in.secret == "" {
			return
		}
	}
	method, path, body := in.request()
	user, began := tr.token, time.Since(tr.start)
	if in.kind == "auth" {
		user = in.name + ":" + in.secret
	}
	out := tr.call(chance, method, path, user, body)
	op := porcupine.Operation{ClientId: id, Input: in, Call: int64(began), Output: out.result(), Return: int64(time.Since(tr.start))}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.history = append(tr.history, op)
	if out.Change.Changed {
		tr.changes[in.name]++
	}
}

// someSecret is the secret of a name that was told last.
func (tr *trial) someSecret(name string) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := len(tr.history) - 1; i >= 0; i-- {
		if op := tr.history[i]; op.Input.(hostAction).name == name && op.Output.(hostResult).secret != "" {
			return op.Output.(hostResult).secret
		}
	}
	return ""
}

// answer is what any call is answered, as far as the test looks at it.
type answer struct {
	Status    int
	Code      codes.Code
	Message   string
	Secret    string
	Addresses []string
	Host      struct{ Addresses []string }
	Change    struct{ Changed bool }
	Records   []struct{ Name string }
	Next      string `json:"nextPageToken"`
}

// uncertain reports whether the call may or may not have been made.
func (a answer) uncertain() bool {
	return a.Status == 0 || a.Status >= 500 || a.Code == codes.Aborted || a.Code == codes.Canceled
}

// call makes a call until it is known what became of it.
func (tr *trial) call(chance *rand.Rand, method, path, user, body string) answer {
	id := fmt.Sprintf("%x-%d", tr.seed, tr.serial.Add(1))
	if method != "GET" {
		path += "?request_id=" + id
	}
	deadline := time.Now().Add(proctest.Patience)
	for tries := 1; ; tries++ {
		v := tr.victims[chance.IntN(len(tr.victims))]
		a, err := tr.send(v, method, path, user, body)
		if err == nil && !a.uncertain() {
			if tries > 1 && method != "GET" {
				tr.mu.Lock()
				tr.repeats++
				tr.mu.Unlock()
			}
			return a
		}
		if time.Now().After(deadline) {
			tr.t.Errorf("%s %s: still %+v, %v", method, path, a, err)
			return a
		}
		time.Sleep(time.Millisecond) // not to fill the machine with questions to a dead service
	}
}

func (tr *trial) send(v *victim, method, path, user, body string) (a answer, err error) {
	req, err := http.NewRequestWithContext(context.Background(), method, v.url+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if name, secret, basic := strings.Cut(user, ":"); basic {
		req.SetBasicAuth(name, secret)
	} else {
		req.Header.Set("Authorization", "Bearer "+user)
	}
	v.calls.Add(1)
	resp, err := tr.client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return a, err
	}
	a.Status = resp.StatusCode
	v.done.Add(1)
	return a, nil
}
