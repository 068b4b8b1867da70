package monitor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	"signpost/internal/store/rights"
)

const patience = 30 * time.Second

// trial is an etcd with a zone, and what monitors of it do.
type trial struct {
	t     *testing.T
	etcd  *localetcd.Server
	store *store.Store
	raw   *clientv3.Client
	gen   uint64
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	tr := &trial{t: t, etcd: localetcd.New(t)}
	tr.store, tr.raw = tr.open(store.Config{}), tr.dial(store.Config{})
	set, err := model.NewRRset([]dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: string(www.Zone), Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "ns1.example.net."}})
	if err != nil {
		t.Fatal(err)
	}
	tr.update(func(tx *store.Tx) error {
		if _, err := tx.Zone(www.Zone); model.KindOf(err) != model.NotFound {
			return err
		}
		tx.PutZone(&model.Zone{Name: www.Zone, Incarnation: 3, Generation: 7, Apex: []model.RRset{set},
			SOA: model.SOA{MName: "ns1.example.net.", RName: "hostmaster.example.org.", Minimum: 30}})
		return nil
	})
	return tr
}

func (tr *trial) config(c store.Config) store.Config {
	c.Endpoints = []string{tr.etcd.Endpoint()}
	return c
}

func (tr *trial) open(c store.Config) *store.Store {
	tr.t.Helper()
	s, err := store.Open(tr.config(c))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { s.Close() })
	return s
}

func (tr *trial) dial(c store.Config) *clientv3.Client {
	tr.t.Helper()
	client, err := store.Dial(tr.config(c))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(func() { client.Close() })
	return client
}

func (tr *trial) update(decide func(*store.Tx) error) {
	tr.t.Helper()
	if _, err := tr.store.Update(tr.t.Context(), decide); err != nil {
		tr.t.Fatal(err)
	}
}

// host puts a host with a check and endpoints called a, b, ... on sites of these names.
func (tr *trial) host(name model.Name, c model.Check, addrs ...string) {
	tr.t.Helper()
	host := &model.Host{Checked: true}
	for i, a := range addrs {
		tr.gen++
		id := string(rune('a' + i))
		host.Endpoints = append(host.Endpoints, model.Endpoint{ID: id, Site: id, Generation: tr.gen, Addresses: []netip.Addr{netip.MustParseAddr(a)}})
	}
	tr.update(func(tx *store.Tx) error {
		z, err := tx.Zone(www.Zone)
		if err != nil {
			return err
		}
		if _, err := tx.Path(z, name); err != nil {
			return err
		}
		if _, err := tx.Check(z, name); err != nil {
			return err
		}
		tx.PutName(z, name, &model.NameData{Host: host})
		tx.PutCheck(z, name, &c)
		return nil
	})
}

// monitor runs one until stop is called or the test is over.
func (tr *trial) monitor(site string, s *store.Store) (m *Monitor, stop func()) {
	tr.t.Helper()
	rules, err := ParseRules([]string{"*=127.0.0.0/8"}, nil)
	if err != nil {
		tr.t.Fatal(err)
	}
	m = New(Config{Site: site, Rules: rules, Store: s, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(tr.t.Output(), nil))})
	ctx, cancel := context.WithCancel(tr.t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	tr.t.Cleanup(stop)
	return m, stop
}

// keys is the keys below a place, without what they all begin with, and their revisions.
func (tr *trial) keys(below string) (out []string, newest int64) {
	tr.t.Helper()
	resp, err := tr.raw.Get(tr.t.Context(), "/signpost/v1/"+below, clientv3.WithPrefix())
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, kv := range resp.Kvs {
		out, newest = append(out, strings.TrimPrefix(string(kv.Key), "/signpost/v1/"+below)), max(newest, kv.ModRevision)
	}
	return out, newest
}

func (tr *trial) until(what string, is func() bool) {
	tr.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tr.t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// votes is what a site says of www, by endpoint.
func (tr *trial) votes(site string) (out map[string]*model.Vote) {
	tr.t.Helper()
	out = map[string]*model.Vote{}
	err := tr.store.Read(tr.t.Context(), func(tx *store.Tx) error {
		z, err := tx.Zone(www.Zone)
		if err != nil {
			return err
		}
		all, err := tx.Votes(z, www.Name)
		for id, some := range all {
			for _, v := range some {
				if v.Site == site {
					out[id] = v
				}
			}
		}
		return err
	})
	if err != nil {
		tr.t.Fatal(err)
	}
	return out
}

func (tr *trial) verdict(site, id string) string {
	v := tr.votes(site)[id]
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%v, %v", v.Verdict, v.Reason)
}

func (tr *trial) untilSays(site, id, want string) {
	tr.t.Helper()
	tr.until(site+" says "+want+" of "+id, func() bool { return tr.verdict(site, id) == want })
}

// far is a server that counts who comes.
type far struct {
	net.Listener
	came atomic.Int64
}

func newFar(t *testing.T, addr string) *far {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &far{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.came.Add(1)
			go func() { _, _ = io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	return f
}

func (f *far) port() uint16 { return f.Addr().(*net.TCPAddr).AddrPort().Port() }

// count is how far a counter is.
func count(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		return -1
	}
	return m.GetCounter().GetValue()
}

// quick is a check that makes up its mind at once.
func quick(f *far) model.Check {
	return model.Check{Kind: model.CheckTCP, Port: f.port(), Interval: time.Second, Timeout: 200 * time.Millisecond, Fall: 1, Rise: 1}
}

func TestACheckerRegistersLast(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	for i := range 30 {
		tr.host(model.Name(fmt.Sprintf("h%d.example.org.", i)), quick(f), "127.0.1.1")
	}
	m, _ := tr.monitor("north", tr.store)
	tr.until("registered", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	_, registered := tr.keys("dns/checker/north")
	votes, last := tr.keys("dns/vote/north/")
	if len(votes) != 30 || last >= registered {
		t.Errorf("%d votes up to revision %d, registered at %d", len(votes), last, registered)
	}
	tr.until("ready", func() bool { return m.Ready() == nil })
}

func TestChecksOfOneAddressAreMadeOnce(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	for i := range 20 {
		tr.host(model.Name(fmt.Sprintf("h%d.example.org.", i)), quick(f), "127.0.1.1")
	}
	m, _ := tr.monitor("north", tr.store)
	tr.until("twenty votes", func() bool { all, _ := tr.keys("dns/vote/north/"); return len(all) == 20 })
	tr.until("three attempts", func() bool { return f.came.Load() >= 3 })
	attempts := count(m.metrics.attempts.WithLabelValues("tcp", model.Fine.String()))
	if came := f.came.Load(); came > 6 || attempts > 6 {
		t.Errorf("%d connections and %v attempts for twenty endpoints of one address and check", came, attempts)
	}
}

func TestASecondMonitorStandsByAndTakesOver(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1", "127.0.1.2")
	first, stop := tr.monitor("north", tr.store)
	tr.until("ready", func() bool { return first.Ready() == nil })
	second, _ := tr.monitor("north", tr.open(store.Config{}))
	tr.until("the second stands by", func() bool { return second.Ready() == nil })
	if n := count(second.metrics.attempts.WithLabelValues("tcp", model.Fine.String())); n != 0 {
		t.Errorf("who stands by has made %v attempts", n)
	}
	before := tr.votes("north")
	stop()
	tr.until("the second checks", func() bool {
		return count(second.metrics.attempts.WithLabelValues("tcp", model.Fine.String())) > 0 && second.Ready() == nil
	})
	newFar(t, fmt.Sprintf("127.0.1.2:%d", f.port()))
	tr.untilSays("north", "b", "up, as expected")
	if after := tr.votes("north"); after["a"].Term != before["a"].Term || after["b"].Term != before["a"].Term || after["a"].ModRevision != before["a"].ModRevision {
		t.Errorf("before %v %v, after %v %v", before["a"], before["b"], after["a"], after["b"])
	}
}

func TestWithoutItsSignOfLifeItWritesNothing(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "up, as expected")
	tr.until("registered", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	// Another takes the site's sign of life, which no monitor would.
	if _, err := tr.raw.Put(t.Context(), "/signpost/v1/live/checker/north", ""); err != nil {
		t.Fatal(err)
	}
	resp, err := tr.raw.Txn(t.Context()).Then(clientv3.OpDelete("/signpost/v1/live/checker/north")).Commit()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.raw.Put(t.Context(), "/signpost/v1/live/checker/north", ""); err != nil {
		t.Fatal(err)
	}
	f.Close()
	time.Sleep(3 * time.Second) // several intervals, in which it must have seen that nobody listens
	if _, last := tr.keys("dns/vote/north/"); last > resp.Header.Revision {
		t.Errorf("it voted at revision %d, when the sign of life was another's since %d", last, resp.Header.Revision)
	}
	if _, err := tr.raw.Delete(t.Context(), "/signpost/v1/live/checker/north"); err != nil {
		t.Fatal(err)
	}
	tr.untilSays("north", "a", "down, connection refused")
}

func TestItIsRegisteredAgainAfterARemoval(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "up, as expected")
	before := tr.votes("north")["a"]
	tr.update(func(tx *store.Tx) error { tx.RemoveChecker("north"); return nil })
	tr.until("registered again", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	_, registered := tr.keys("dns/checker/north")
	if after := tr.votes("north")["a"]; after == nil || after.Term == before.Term || after.ModRevision >= registered {
		t.Errorf("before %v, after %v, registered again at %d", before, after, registered)
	}
}

func TestFreezeHoldsVotesUntilTheThaw(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	m, _ := tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "up, as expected")
	tr.update(func(tx *store.Tx) error { tx.PutFreeze(&model.Freeze{Reason: "a test"}); return nil })
	tr.until("it knows", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return m.book.frozen })
	f.Close()
	down := func() bool { return count(m.metrics.verdicts.WithLabelValues("down")) > 0 }
	tr.until("it thinks that the endpoint is down", down)
	if got := tr.verdict("north", "a"); got != "up, as expected" {
		t.Errorf("while frozen it says %q", got)
	}
	tr.update(func(tx *store.Tx) error { tx.PutFreeze(nil); return nil })
	tr.untilSays("north", "a", "down, connection refused")
}

func TestWhatMayNotBeTriedIsSaid(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "10.1.2.3", "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "no verdict, checker may not try this address")
	tr.untilSays("north", "b", "up, as expected")
	tr.until("registered", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
}

func TestHeartbeatsAreJudgedByWhenTheyAreSeen(t *testing.T) {
	tr := newTrial(t)
	tr.host(www.Name, model.Check{Kind: model.CheckHeartbeat, Interval: time.Second, Timeout: 500 * time.Millisecond, Fall: 1, Rise: 1}, "127.0.1.1")
	tr.monitor("north", tr.store)
	tr.untilSays("north", "a", "down, no sign of life yet")
	beat := func() {
		t.Helper()
		if err := tr.store.Beat(t.Context(), www.Zone, www.Name, "a", tr.gen, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	tr.until("it is up", func() bool { beat(); return strings.HasPrefix(tr.verdict("north", "a"), "up") })
	tr.untilSays("north", "a", "down, last sign of life is too old")
}

// TestItDoesItsWorkWithItsNarrowRole on an etcd that asks for users. That it may do
// nothing else is shown in the room "rights".
func TestItDoesItsWorkWithItsNarrowRole(t *testing.T) {
	tr := newTrial(t)
	f := newFar(t, "127.0.1.1:0")
	tr.host(www.Name, quick(f), "127.0.1.1")
	password := func(user string) (string, error) { return user + "'s password", nil }
	users := rights.Options{Prefix: "/signpost", Control: []string{"control"}, Monitors: map[string]string{"north": "monitor-north"}}
	if err := rights.Apply(t.Context(), tr.config(store.Config{}), users, rights.How{Password: password, EnableAuth: true, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	as := func(user string) store.Config {
		p, _ := password(user)
		return store.Config{User: user, Password: p}
	}
	tr.store, tr.raw = tr.open(as("control")), tr.dial(as("control"))
	narrow := tr.open(as("monitor-north"))
	m, stop := tr.monitor("north", narrow)
	tr.until("ready", func() bool { return m.Ready() == nil })
	tr.untilSays("north", "a", "up, as expected")
	f.Close()
	tr.untilSays("north", "a", "down, connection refused")
	tr.update(func(tx *store.Tx) error { tx.RemoveChecker("north"); return nil })
	tr.until("registered again", func() bool { all, _ := tr.keys("dns/checker/north"); return len(all) == 1 })
	stop()
	if left, _ := tr.keys("live/checker/"); len(left) != 0 {
		t.Errorf("signs of life are left: %v", left)
	}
	other, stop := tr.monitor("south", narrow)
	time.Sleep(2 * time.Second)
	if err := other.Ready(); err == nil {
		t.Error("it is ready for a site that is not its own")
	}
	stop()
	if all, _ := tr.keys("dns/vote/"); slices.ContainsFunc(all, func(k string) bool { return strings.HasPrefix(k, "south/") }) {
		t.Error("it voted for another site")
	}
}
