package signpost_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	clog "github.com/coredns/coredns/plugin/pkg/log"

	"signpost/internal/model"
	procdns "signpost/internal/proc/dns"
	"signpost/internal/proc/ports"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
)

func init() { clog.Discard() }

// nowhere is an endpoint at which there never is an etcd: the discard port.
const nowhere = "http://127.0.0.1:9"

// server is a running DNS server of ours.
type server struct {
	*procdns.Server
	addr string       // for UDP and TCP
	sent atomic.Int64 // queries by send
}

// start runs a Corefile in which {addr} stands for the address part of the server
// blocks, and stops it at the end of the test.
func start(t *testing.T, corefile string) *server {
	t.Helper()
	s := startUnstopped(t, corefile)
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func startUnstopped(t *testing.T, corefile string) *server {
	t.Helper()
	var last error
	for range 5 { // the port may be taken between finding and binding it
		port := freshPair(t)
		s, err := procdns.Start(strings.ReplaceAll(corefile, "{port}", port))
		if err == nil {
			return &server{Server: s, addr: net.JoinHostPort("127.0.0.1", port)}
		}
		if last = err; !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	t.Fatal(last)
	return nil
}

// at is the Corefile with the server's port, for a reload.
func (s *server) at(corefile string) string {
	_, port, _ := net.SplitHostPort(s.addr)
	return strings.ReplaceAll(corefile, "{port}", port)
}

// refused starts a Corefile that must not start, and looks for the reason.
func refused(t *testing.T, corefile, why string) {
	t.Helper()
	s, err := procdns.Start(strings.ReplaceAll(corefile, "{port}", freshPair(t)))
	if err == nil {
		_ = s.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("want an error with %q, got %v", why, err)
	}
}

// used is the ports that were given: CoreDNS's prometheus serves an address once in the
// life of a process, and counts on for an address that comes back.
var used sync.Map

// fresh gives a port that find finds and that this process has not used.
func fresh(t *testing.T, find func(host string) (int, error)) string {
	t.Helper()
	for {
		port, err := find("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if _, given := used.LoadOrStore(port, true); !given {
			return strconv.Itoa(port)
		}
	}
}

func freshPair(t *testing.T) string {
	return fresh(t, func(host string) (int, error) { return ports.Pairs(host, 1) })
}

// httpAddr is a free address for a plugin that speaks HTTP.
func httpAddr(t *testing.T) string { return net.JoinHostPort("127.0.0.1", fresh(t, ports.TCP)) }

// get fetches a page of a server that has begun to start.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var resp *http.Response
	var err error
	eventually(t, func() bool {
		resp, err = client.Get(url)
		return !errors.Is(err, syscall.ECONNREFUSED)
	}, func() string { return fmt.Sprint(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// block is a server block for all names with the signpost directive of these lines
// and what else is given before it.
func block(signpost string, before ...string) string {
	return fmt.Sprintf(".:{port} {\nbind 127.0.0.1\n%s\nsignpost {\n%s\n}\n}\n", strings.Join(before, "\n"), signpost)
}

// ask puts one question and gives the answer.
func (s *server) ask(t *testing.T, network, name, qtype string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.StringToType[qtype])
	return s.send(t, network, m)
}

func (s *server) send(t *testing.T, network string, m *dns.Msg) *dns.Msg {
	t.Helper()
	s.sent.Add(1)
	c := dns.Client{Net: network, Timeout: 5 * time.Second}
	r, _, err := c.Exchange(m, s.addr)
	if err != nil {
		t.Fatalf("%s %v: %v", network, m.Question, err)
	}
	return r
}

// says waits until the answer over UDP is rcode and the records' data.
func (s *server) says(t *testing.T, name, qtype, want string) {
	t.Helper()
	var got string
	eventually(t, func() bool { got = line(s.ask(t, "udp", name, qtype)); return got == want }, func() string {
		return fmt.Sprintf("%s %s is answered with %q, not %q", name, qtype, got, want)
	})
}

// line is an answer in short: the rcode and the data of the answer section.
func line(m *dns.Msg) string {
	words := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		words = append(words, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(words, " ")
}

// eventually waits for a state; why says what is wrong when it does not come.
func eventually(t *testing.T, state func() bool, why func() string) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !state(); {
		if time.Now().After(end) {
			t.Fatal(why())
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// world is an etcd with something that writes to it.
type world struct {
	t     *testing.T
	etcd  *localetcd.Server
	store *store.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, etcd: localetcd.New(t)}
	var err error
	if w.store, err = store.Open(store.Config{Endpoints: []string{w.etcd.Endpoint()}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) update(decide func(*store.Tx) error) {
	w.t.Helper()
	if _, err := w.store.Update(context.Background(), decide); err != nil {
		w.t.Fatal(err)
	}
}

// zone makes a zone with the name server ns1.<name> that has an address.
func (w *world) zone(name string) {
	w.t.Helper()
	n := name1(w.t, name)
	w.update(func(tx *store.Tx) error {
		if _, err := tx.Zone(n); model.KindOf(err) != model.NotFound {
			return fmt.Errorf("make zone %s: %w", n, err)
		}
		tx.PutZone(&model.Zone{
			Name: n, Incarnation: 1, Generation: 1,
			SOA:  model.SOA{MName: "ns1." + n.String(), RName: "hostmaster." + n.String(), Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: 30, TTL: 3600},
			Apex: []model.RRset{rrset(w.t, "NS", "ns1."+n.String())},
		})
		return nil
	})
	w.set("ns1."+name, "A 192.0.2.53")
}

// remove deletes a zone.
func (w *world) remove(name string) {
	w.t.Helper()
	w.update(func(tx *store.Tx) error {
		z, err := tx.Zone(name1(w.t, name))
		if err == nil {
			tx.DeleteZone(z)
		}
		return err
	})
}

// set makes a name have these records, "TYPE RDATA" each, and no others.
func (w *world) set(name string, records ...string) {
	w.t.Helper()
	n := name1(w.t, name)
	byType := map[string][]string{}
	for _, r := range records {
		typ, data, _ := strings.Cut(r, " ")
		byType[typ] = append(byType[typ], data)
	}
	data := &model.NameData{}
	for typ, texts := range byType {
		data.RRsets = model.WithRRset(data.RRsets, rrset(w.t, typ, texts...))
	}
	w.update(func(tx *store.Tx) error {
		z, err := tx.ZoneAbove(n)
		if err != nil {
			return err
		}
		if _, err := tx.Path(z, n); err != nil {
			return err
		}
		tx.PutName(z, n, data)
		return nil
	})
}

func rrset(t testing.TB, typ string, rdata ...string) model.RRset {
	t.Helper()
	code, err := model.ParseType(typ)
	if err != nil {
		t.Fatal(err)
	}
	s, err := model.ParseRRset(code, 60, rdata)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func name1(t *testing.T, s string) model.Name {
	t.Helper()
	n, err := model.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
