package monitor

import (
	"net"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"signpost/internal/model"
)

// A listener that turns against what is said of it as soon as that is said is up and down
// three times, and is then held down for 10 s: etcd gets a handful of votes and no more. So
// it is for two of them on one host.
func TestWhatFlapsIsHeldDown(t *testing.T) {
	const held = 5 * time.Second // a part of it
	tr := newTrial(t)
	f, steady := newFar(t, "127.0.1.1:0"), newFar(t, "127.0.1.3:0")
	flappers := map[string]*flapper{"a": {t: t, addr: f.Addr().String(), l: f.Listener}, "b": {t: t, addr: net.JoinHostPort("127.0.1.2", portOf(f))}}
	flappers["b"].set(true)
	tr.host("steady.example.org.", quick(steady), "127.0.1.3", "127.0.1.3", "127.0.1.3", "127.0.1.3", "127.0.1.3") // or all fails, and it doubts itself
	tr.host(www.Name, quick(f), "127.0.1.1", "127.0.1.2")
	all := tr.raw.Watch(t.Context(), "/signpost/v1/dns/vote/north/", clientv3.WithPrefix())
	tr.monitor("north", tr.store)
	look, end := time.NewTicker(100*time.Millisecond), time.After(patience)
	defer look.Stop()
	for over := 0; over < len(flappers); {
		select {
		case <-all:
		case <-look.C:
		case <-end:
			t.Fatalf("not in %s: %v, %v", patience, flappers["a"], flappers["b"])
		}
		over = 0
		for id, v := range tr.votes("north") {
			f := flappers[id]
			if f.is != v.Verdict {
				if f.downs == 3 && time.Since(f.at) < held {
					t.Fatalf("%s is %v %v after it was down for the third time", id, v.Verdict, time.Since(f.at))
				}
				if f.is == model.Up && v.Verdict == model.Down { // the first verdict is no turn
					f.downs++
				}
				f.is, f.at = v.Verdict, time.Now()
				f.set(v.Verdict == model.Down)
			}
			if f.downs >= 3 && (f.over || time.Since(f.at) >= held) {
				f.over = true
				over++
			}
		}
	}
}

func portOf(f *far) string { _, port, _ := net.SplitHostPort(f.Addr().String()); return port }

// flapper is a listener that comes and goes.
type flapper struct {
	t    *testing.T
	addr string
	l    net.Listener

	is    model.Verdict // what is said of it
	at    time.Time     // since when
	downs int
	over  bool // it was held
}

func (f *flapper) set(up bool) {
	f.t.Helper()
	if f.l != nil {
		f.l.Close()
		f.l = nil
	}
	if !up {
		return
	}
	var err error
	if f.l, err = net.Listen("tcp", f.addr); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.set(false) })
	go func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}(f.l)
}
