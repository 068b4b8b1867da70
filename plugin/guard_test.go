package signpost_test

import (
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"signpost/internal/store"
)

// etcdctl is somebody who goes around the control service.
func (w *world) etcdctl() *clientv3.Client {
	w.t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{w.etcd.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

func (w *world) accept(name string) {
	w.t.Helper()
	w.update(func(tx *store.Tx) error {
		tx.Accept(name1(w.t, name))
		return nil
	})
}

// Promise 3 and the mass-change guard: what etcdctl takes away stays served until
// somebody says that it is meant, over restarts with and without etcd, and the zones
// beside it go on.
func TestAMassDeletionIsHeldUntilItIsAccepted(t *testing.T) {
	w := newWorld(t)
	for _, z := range []string{"example.org", "example.net", "example.edu"} {
		w.zone(z)
	}
	w.fill("example.org", 150)
	snapshot := filepath.Join(t.TempDir(), "s")
	var s *server
	var page string
	begin := func() {
		t.Helper()
		page = httpAddr(t) // the prometheus plugin does not listen twice on one address in a process
		s = startUnstopped(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+snapshot, "prometheus "+page))
	}
	stop := func() {
		t.Helper()
		if s == nil {
			return
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		s = nil
	}
	begin()
	t.Cleanup(stop)
	guarded := func(want string) {
		t.Helper()
		server := `server="dns://` + s.addr + `"`
		eventually(t, func() bool { return series(t, page, "guarded_zones", server) == want }, func() string { return "guarded_zones is not " + want })
	}
	s.says(t, "h149.example.org", "A", "NOERROR 192.0.2.1")
	serial := line(s.ask(t, "udp", "example.org", "SOA"))
	guarded("0")

	ctl := w.etcdctl()
	for _, prefix := range []string{"/signpost/v1/dns/name/org.example./", "/signpost/v1/dns/zone/net.example."} {
		if _, err := ctl.Delete(t.Context(), prefix, clientv3.WithPrefix()); err != nil {
			t.Fatal(err)
		}
	}
	w.set("new.example.org", "A 192.0.2.8") // gathers aside
	w.set("new.example.edu", "A 192.0.2.9") // another zone
	served := func() {
		t.Helper()
		s.says(t, "new.example.edu", "A", "NOERROR 192.0.2.9")
		s.says(t, "h149.example.org", "A", "NOERROR 192.0.2.1")
		s.says(t, "new.example.org", "A", "NXDOMAIN")
		s.says(t, "ns1.example.net", "A", "NOERROR 192.0.2.53")
		s.says(t, "example.org", "SOA", serial)
		guarded("2")
	}
	served()
	if got := series(t, page, "guarded_zone_names", `server="dns://`+s.addr+`",zone="example.org."`); got != "150" {
		t.Errorf("guarded_zone_names is %q", got)
	}
	stop()
	begin()
	w.set("x.example.edu", "A 192.0.2.9")
	s.says(t, "x.example.edu", "A", "NOERROR 192.0.2.9") // so it has read etcd again
	served()

	w.etcd.Stop()
	stop()
	begin()
	served()
	if err := w.etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	w.accept("example.org")
	s.says(t, "new.example.org", "A", "NOERROR 192.0.2.8")
	s.says(t, "h149.example.org", "A", "NXDOMAIN")
	s.says(t, "ns1.example.net", "A", "NOERROR 192.0.2.53")
	guarded("1")
	stop()
	w.accept("example.net") // while nobody looks
	begin()
	s.says(t, "ns1.example.net", "A", "REFUSED")
	guarded("0")
}
