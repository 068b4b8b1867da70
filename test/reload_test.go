package test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/miekg/dns"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	"signpost/test/proctest"
)

// SIGUSR1 has caddy forget who wants to know of a start. What is read in batches is so
// afterwards, too, and a reload that then fails leaves all as it was.
func TestAReloadBySignal(t *testing.T) {
	etcd := localetcd.New(t)
	st, err := store.Open(store.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	serial := func(minimum uint32) {
		t.Helper()
		set, err := model.ParseRRset(dns.TypeNS, 60, []string{"ns1.example.net."})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Update(context.Background(), func(tx *store.Tx) error {
			z := &model.Zone{Name: "example.org.", Incarnation: 1, Generation: 1, Apex: []model.RRset{set},
				SOA: model.SOA{MName: "ns1.example.net.", RName: "a.example.net.", Refresh: 7200, Retry: 900, Expire: 1209600, Minimum: minimum, TTL: 60}}
			if was, err := tx.Zone(z.Name); err == nil {
				was.SOA.Minimum = minimum
				z = was
			}
			tx.PutZone(z)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	addr, metrics, dir := proctest.Addr(proctest.DNSPort(t)), proctest.Addr(proctest.Port(t)), t.TempDir()
	_, port, _ := strings.Cut(addr, ":")
	write := func(more string) {
		t.Helper()
		text := fmt.Sprintf(".:%s {\nbind 127.0.0.1\nprometheus %s\nsignpost {\nendpoint %s\nlisten batch 2\n%s\n}\n}\n", port, metrics, etcd.Endpoint(), more)
		if err := os.WriteFile(filepath.Join(dir, "Corefile"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	p := proctest.Start(t, dir, "coredns", "coredns", "-conf", "Corefile")
	says := func(minimum uint32) {
		t.Helper()
		proctest.Until(t, "the state", func() error {
			_, data, err := proctest.Ask(addr, "example.org", dns.TypeSOA)
			if err == nil && !strings.HasSuffix(strings.Join(data, ""), fmt.Sprint(" ", minimum)) {
				err = fmt.Errorf("%v, want minimum %d", data, minimum)
			}
			return err
		})
	}
	batches := func() (n string) {
		t.Helper()
		_, body, err := proctest.Get(t.Context(), "http://"+metrics+"/metrics", "", "")
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "coredns_signpost_batches_total{") {
				n = line
			}
		}
		if err != nil || n == "" {
			t.Fatalf("no batches in the metrics: %v", err)
		}
		return n
	}
	reload := func(times int, said string) {
		t.Helper()
		if err := syscall.Kill(p.PID(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		proctest.Until(t, "the reload", func() error {
			if log, err := p.Log(); err != nil || strings.Count(string(log), said) < times {
				return fmt.Errorf("%q is not yet said %d times: %v", said, times, err)
			}
			return nil
		})
	}
	serial(31)
	says(31)
	for i := range 2 {
		reload(i+1, "Reloading complete")
		before := batches()
		says(31)
		if batches() == before {
			t.Fatal("after a reload by signal nothing is read in batches")
		}
	}
	write("no such option")
	reload(1, "SIGUSR1: starting with listener file descriptors")
	serial(32)
	says(32)
}
