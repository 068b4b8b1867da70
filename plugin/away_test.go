package signpost_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/internal/store"
)

// Promise 4: unknown is not NXDOMAIN.
func TestUnknownIsNotNXDOMAIN(t *testing.T) {
	ready := httpAddr(t)
	s := start(t, block("endpoint "+nowhere, "ready "+ready))
	for _, name := range []string{"www.example.org", ".", "com"} {
		if got := line(s.ask(t, "udp", name, "A")); got != "SERVFAIL" {
			t.Errorf("%s is answered with %s by a replica that has never seen the state", name, got)
		}
	}
	if code, body := get(t, "http://"+ready+"/ready"); code != 503 || body != "signpost" {
		t.Errorf("ready says %d %s", code, body)
	}
	outside := start(t, ".:{port} {\nbind 127.0.0.1\nsignpost example.org {\nendpoint "+nowhere+"\n}\n}")
	if got := line(outside.ask(t, "udp", "www.example.com", "A")); got != "REFUSED" {
		t.Errorf("a name outside ZONES is answered with %s", got)
	}
}

// Promise 3: DNS does not need etcd.
func TestDNSDoesNotNeedEtcd(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	w.set("www.example.org", "A 192.0.2.1")
	snapshot := filepath.Join(t.TempDir(), "dns.snapshot")
	corefile := block("endpoint " + w.etcd.Endpoint() + "\nsnapshot " + snapshot)
	s := startUnstopped(t, corefile)
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.1")
	w.set("www.example.org", "A 192.0.2.2")
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.2")

	w.etcd.Stop()
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.2") // from memory
	if err := s.Stop(); err != nil {                       // writes what has changed since the first state
		t.Fatal(err)
	}
	ready := httpAddr(t)
	s = start(t, strings.Replace(corefile, "bind", "ready "+ready+"\nbind", 1))
	for _, network := range []string{"udp", "tcp"} {
		if got := line(s.ask(t, network, "www.example.org", "A")); got != "NOERROR 192.0.2.2" {
			t.Errorf("a replica restarted without etcd answers over %s from its snapshot: %s", network, got)
		}
	}
	if code, body := get(t, "http://"+ready+"/ready"); code != 200 {
		t.Errorf("it is not ready: %d %s", code, body)
	}
	if got := line(s.ask(t, "udp", "nobody.example.org", "A")); got != "NXDOMAIN" {
		t.Errorf("a name that is not in the snapshot is answered with %s", got)
	}

	if err := w.etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	w.set("www.example.org", "A 192.0.2.3")
	s.says(t, "www.example.org", "A", "NOERROR 192.0.2.3") // and it goes on following
}

func TestASnapshotIsWrittenAsSoonAsThereIsAState(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	path := filepath.Join(t.TempDir(), "dns.snapshot")
	s := start(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+path))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, func() string { return "there is no snapshot" })
	if _, err := store.ReadSnapshot(path, "/signpost"); err != nil {
		t.Error(err)
	}
	if _, err := store.ReadSnapshot(path, "/other"); err == nil {
		t.Error("the snapshot of one prefix was read for another")
	}
}

func TestASnapshotThatCannotBeReadIsNotAnswered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dns.snapshot")
	if err := os.WriteFile(path, []byte("this is no snapshot"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, block("endpoint "+nowhere+"\nsnapshot "+path))
	if got := line(s.ask(t, "udp", "www.example.org", "A")); got != "SERVFAIL" {
		t.Errorf("answered with %s from a snapshot that is none", got)
	}
}

func TestOneSnapshotFileForTwoEtcdsIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dns.snapshot")
	one := block("endpoint " + nowhere + "\nsnapshot " + path)
	two := strings.Replace(strings.Replace(one, ".:{port}", "example.org:{port}", 1), nowhere, "http://127.0.0.1:10", 1)
	refused(t, one+two, "give each its own file")
}

// Past max_stale the answer is SERVFAIL and the replica not ready, until etcd is
// back.
func TestMaxStaleIsALimit(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	ready := httpAddr(t)
	snapshot := filepath.Join(t.TempDir(), "dns.snapshot")
	options := "endpoint " + w.etcd.Endpoint() + "\nsnapshot " + snapshot
	s := start(t, block(options+"\nmax_stale 400ms", "ready "+ready+" {\nmonitor continuously\n}"))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	isReady := func(want int) {
		t.Helper()
		var code int
		eventually(t, func() bool { code, _ = get(t, "http://"+ready+"/ready"); return code == want }, func() string { return "ready does not change" })
	}
	isReady(200)
	w.etcd.Stop()
	s.says(t, "ns1.example.org", "A", "SERVFAIL")
	isReady(503)
	if err := w.etcd.Restart(); err != nil {
		t.Fatal(err)
	}
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	isReady(200)
}

func TestASnapshotOlderThanMaxStaleIsNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	path := filepath.Join(t.TempDir(), "dns.snapshot")
	s := startUnstopped(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+path))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if got := line(start(t, block("endpoint "+nowhere+"\nsnapshot "+path+"\nmax_stale 1h")).ask(t, "udp", "ns1.example.org", "A")); got != "SERVFAIL" {
		t.Errorf("a snapshot of two hours is answered with max_stale 1h: %s", got)
	}
	if got := line(start(t, block("endpoint "+nowhere+"\nsnapshot "+path+"\nmax_stale 3h")).ask(t, "udp", "ns1.example.org", "A")); got != "NOERROR 192.0.2.53" {
		t.Errorf("a snapshot of two hours is not answered with max_stale 3h: %s", got)
	}
}

// A date yet to come, of a clock that was wrong, must not hold off max_stale.
func TestASnapshotDatedInTheFutureGetsTooOldLikeAnyOther(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	path := filepath.Join(t.TempDir(), "dns.snapshot")
	s := startUnstopped(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+path))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	future := time.Now().Add(1000 * time.Hour)
	if err := os.Chtimes(path, future, future); err != nil {
		t.Fatal(err)
	}
	s = start(t, block("endpoint "+nowhere+"\nsnapshot "+path+"\nmax_stale 4s"))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	s.says(t, "ns1.example.org", "A", "SERVFAIL")
}
