package signpost_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	signpost "signpost/plugin"
)

func TestAReloadKeepsTheViewAndTheAnswers(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	corefile := block("endpoint " + w.etcd.Endpoint())
	s := start(t, corefile)
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	w.etcd.Stop() // what is answered from here on was kept
	for _, change := range []string{"errors", "max_stale 10h", "fallthrough"} {
		next := strings.Replace(s.at(corefile), "signpost {\n", "signpost {\n"+change+"\n", 1)
		if change == "errors" {
			next = strings.Replace(s.at(corefile), "bind", "errors\nbind", 1)
		}
		stop, done := make(chan bool), make(chan string)
		go func() {
			for {
				select {
				case <-stop:
					done <- ""
					return
				default:
				}
				if got := line(s.ask(t, "udp", "ns1.example.org", "A")); got != "NOERROR 192.0.2.53" {
					<-stop
					done <- got
					return
				}
			}
		}()
		if err := s.Reload(next); err != nil {
			t.Fatal(err)
		}
		s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
		close(stop)
		if got := <-done; got != "" {
			t.Errorf("during a reload that adds %s the answer was %s", change, got)
		}
		if n := signpost.Replicas(); n != 1 {
			t.Errorf("after a reload that adds %s there are %d replicas", change, n)
		}
	}
}

func TestAReloadThatFailsLeavesAllAsItWas(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	corefile := block("endpoint " + w.etcd.Endpoint())
	s := startUnstopped(t, corefile)
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	before := signpost.Replicas()
	for range 3 {
		for _, bad := range []string{
			strings.Replace(s.at(corefile), "signpost {", "signpost {\nmax_stale never", 1),
			// This one fails when all plugins have started: the address is nobody's.
			s.at(corefile) + "example.net:53 {\nbind 192.0.2.1\nsignpost {\nprefix /other\n}\n}\n",
		} {
			if err := s.Reload(bad); err == nil {
				t.Fatalf("this was loaded:\n%s", bad)
			}
		}
	}
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	if n := signpost.Replicas(); n != before {
		t.Errorf("failed reloads left %d replicas, there were %d", n, before)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := signpost.Replicas(); n != before-1 {
		t.Errorf("after the stop there are %d replicas, want %d", n, before-1)
	}
}

func TestAReloadToAnotherPlaceFollowsThatOne(t *testing.T) {
	one, two := newWorld(t), newWorld(t)
	one.zone("example.org")
	two.zone("example.net")
	s := start(t, block("endpoint "+one.etcd.Endpoint()))
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	if err := s.Reload(s.at(block("endpoint " + two.etcd.Endpoint()))); err != nil {
		t.Fatal(err)
	}
	s.says(t, "ns1.example.net", "A", "NOERROR 192.0.2.53")
	s.says(t, "ns1.example.org", "A", "REFUSED")
	if n := signpost.Replicas(); n != 1 {
		t.Errorf("there are %d replicas", n)
	}
}

func TestTwoServersInOneProcessHaveAReplicaEachWhenTheirSnapshotsDiffer(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	dir := t.TempDir()
	a := start(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+dir+"/a"))
	b := start(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+dir+"/b"))
	c := start(t, block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+dir+"/b"))
	for _, s := range []*server{a, b, c} {
		s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	}
	if n := signpost.Replicas(); n != 2 {
		t.Errorf("there are %d replicas", n)
	}
}

func TestNoGoroutineIsLeftAfterReloadsAndAStop(t *testing.T) {
	w := newWorld(t)
	w.zone("example.org")
	before := goleak.IgnoreCurrent()
	corefile := block("endpoint "+w.etcd.Endpoint()+"\nsnapshot "+t.TempDir()+"/s\nmax_stale 1h\nlisten batch 2", "transfer {\nto *\n}")
	s := startUnstopped(t, corefile)
	s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	for range 3 {
		if err := s.Reload(s.at(corefile)); err != nil {
			t.Fatal(err)
		}
		s.says(t, "ns1.example.org", "A", "NOERROR 192.0.2.53")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := signpost.Replicas(); n != 0 {
		t.Errorf("there are %d replicas", n)
	}
	goleak.VerifyNone(t, before)
}
