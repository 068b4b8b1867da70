package test

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/test/proctest"
)

var writesWhilePaused = flag.Int("paused-writes", 2000, "how much is written while a name server is stopped; row 21 of the matrix says 50000")

// CHAOS row 21: a name server is stopped by SIGSTOP while much is written and then
// compacted away. When it goes on it loses no change and no deletion, and never says
// of a name that is there that it is not.
func TestANameServerThatWasStoppedCatchesUp(t *testing.T) {
	t.Parallel() // it waits more than it works
	c := &cluster{dir: t.TempDir()}
	addr := proctest.Addr(proctest.Port(t))
	c.etcdEndpoints = []string{"http://" + addr}
	peer := "http://" + proctest.Addr(proctest.Port(t))
	proctest.Start(t, c.dir, "etcd", "etcd", "--name", "e", "--data-dir", "e", "--listen-client-urls", c.etcdEndpoints[0], "--advertise-client-urls", c.etcdEndpoints[0],
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "e="+peer, "--log-level", "error", "--unsafe-no-fsync")
	server := proctest.Addr(proctest.DNSPort(t))
	c.servers = []string{server}
	c.startControl(t, 0)
	c.signpost(t, "zone", "create", "vo.example.org", "--ns", "ns1.vo.example.org=192.0.2.53")
	for _, h := range []string{"www", "gone"} {
		c.signpost(t, "host", "create", h+".vo.example.org", "--ip", "192.0.2.1")
	}
	names := c.startName(t, 0, server, filepath.Join(c.dir, "snapshot"))
	c.everywhere(t, "www.vo.example.org", dns.TypeA, "192.0.2.1")
	c.everywhere(t, "gone.vo.example.org", dns.TypeA, "192.0.2.1")

	names.Pause()
	defer names.Resume()
	c.signpost(t, "host", "delete", "gone.vo.example.org")
	writeMuch(t, c.etcdEndpoints[0], *writesWhilePaused)
	c.signpost(t, "host", "set-address", "www.vo.example.org", "192.0.2.2")
	compact(t, c.etcdEndpoints[0])
	names.Resume()
	begin := time.Now()
	proctest.Until(t, "the new address", func() error {
		rcode, data, err := proctest.Ask(server, "www.vo.example.org", dns.TypeA)
		switch {
		case err != nil:
			return err
		case rcode != dns.RcodeSuccess || len(data) != 1:
			t.Fatalf("got %s %v for a name that is there", dns.RcodeToString[rcode], data)
		case data[0] != "192.0.2.2":
			return fmt.Errorf("still %v", data)
		}
		return nil
	})
	t.Logf("caught up with %d changes %v after it went on", *writesWhilePaused, time.Since(begin))
	if rcode, _, err := proctest.Ask(server, "gone.vo.example.org", dns.TypeA); err != nil || rcode != dns.RcodeNameError {
		t.Errorf("a name that was deleted meanwhile: %s, %v", dns.RcodeToString[rcode], err)
	}
	if rcode, data, err := proctest.Ask(server, "h7.vo.example.org", dns.TypeA); err != nil || rcode != dns.RcodeSuccess || len(data) != 1 {
		t.Errorf("a name that came meanwhile: %s %v, %v", dns.RcodeToString[rcode], data, err)
	}
}

// writeMuch makes n changes, of a hundred names.
func writeMuch(t *testing.T, endpoint string, n int) {
	t.Helper()
	s, err := store.Open(store.Config{Endpoints: []string{endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var writing sync.WaitGroup
	for w := range 20 {
		writing.Go(func() {
			for i := w; i < n; i += 20 {
				name := model.Name(fmt.Sprintf("h%d.vo.example.org.", i%100))
				if _, err := s.Update(t.Context(), func(tx *store.Tx) error {
					z, err := tx.Zone("vo.example.org.")
					if err != nil {
						return err
					}
					if _, err := tx.Path(z, name); err != nil {
						return err
					}
					tx.PutName(z, name, &model.NameData{RRsets: []model.RRset{{Type: dns.TypeA, TTL: 60, Data: [][]byte{{192, 0, 2, byte(i / 100)}}}}})
					return nil
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
}

func compact(t *testing.T, endpoint string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	now, err := client.Get(ctx, "x")
	if err == nil {
		_, err = client.Compact(ctx, now.Header.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
}
