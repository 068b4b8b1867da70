package monitor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
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
)

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

const patience = 30 * time.Second
