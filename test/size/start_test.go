package size

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"signpost/internal/store"
	"signpost/test/proctest"
)

const (
	startWithin = 5 * time.Minute
	askEvery    = 2 * time.Millisecond
	startLooked = 8 * time.Second // of a start, in its profile
)

// nameServers measures a coredns that has nothing, one with a snapshot, and one with
// a snapshot and no etcd.
func (w *world) nameServers() []figures {
	snapshot := filepath.Join(w.dir, "snapshot")
	for _, f := range []string{snapshot, snapshot + ".1"} {
		os.Remove(f)
	}
	cold := w.nameServer("coredns, nothing but etcd", true)
	warm := w.nameServer("coredns, snapshot and etcd", true)
	w.etcd.Kill()
	alone := w.nameServer("coredns, snapshot alone", false)
	w.etcd.Restart()
	w.until("etcd", func() error { // with much to read of its own
		return w.store.Read(w.t.Context(), func(tx *store.Tx) error { _, err := tx.Revision(); return err })
	})
	return []figures{cold, warm, alone}
}

func (w *world) nameServer(what string, etcd bool) figures {
	w.t.Helper()
	begin := time.Now()
	addr, pprof, p := w.startNameServer(what)
	defer w.keepCPU(pprof, p.Name, startLooked)()
	last := w.n - 1
	want := []string{address4(last).String()}
	w.until(what, func() error {
		return proctest.Answers(addr, string(hostName(last)), dns.TypeA, want...)
	})
	f := w.first(what, p, begin)
	if etcd {
		w.until(what+" follows", func() error { return logged(p, "following etcd at revision") })
		f.Whole = time.Since(begin)
	}
	w.settle(&f, p, pprof)
	if code := p.Stop(); code != 0 {
		w.t.Errorf("%s ended with code %d", what, code)
	}
	if i, err := os.Stat(filepath.Join(w.dir, "snapshot")); err != nil {
		w.t.Error(err)
	} else {
		f.File = i.Size()
	}
	return f
}

// startNameServer starts a coredns with the snapshot; pprof is where it is profiled.
func (w *world) startNameServer(what string) (addr, pprof string, p *proctest.Proc) {
	w.t.Helper()
	addr, pprof = proctest.Addr(proctest.DNSPort(w.t)), proctest.Addr(proctest.Port(w.t))
	_, port, _ := strings.Cut(addr, ":")
	name := w.fileOf(what)
	lines := []string{"bind 127.0.0.1", "errors", "signpost {", "endpoint " + w.endpoint, "snapshot snapshot", "}"}
	if *profile != "" {
		lines = append(lines, "pprof "+pprof)
	}
	corefile := ".:" + port + " {\n" + strings.Join(lines, "\n") + "\n}\n"
	if err := os.WriteFile(filepath.Join(w.dir, name+".conf"), []byte(corefile), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return addr, pprof, proctest.Start(w.t, w.dir, name, "coredns", "-conf", name+".conf")
}

// control measures a control service.
func (w *world) control(what string) figures {
	w.t.Helper()
	listen, admin := proctest.Addr(proctest.Port(w.t)), proctest.Addr(proctest.Port(w.t))
	begin := time.Now()
	name := w.fileOf(what)
	p := proctest.Start(w.t, w.dir, name, "signpostd", "serve", "--etcd-endpoints", w.endpoint, "--http-listen", listen, "--admin-listen", admin)
	defer w.keepCPU(admin, name, startLooked)()
	w.until(what, func() error {
		status, _, err := proctest.Get(w.t.Context(), "http://"+listen+"/readyz", "", "")
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("not ready: %d", status)
		}
		return err
	})
	f := w.first(what, p, begin)
	w.until(what+" follows", func() error { return logged(p, "the copy of the state is there") })
	f.Whole = time.Since(begin)
	w.settle(&f, p, admin)
	if code := p.Stop(); code != 0 {
		w.t.Errorf("%s ended with code %d", what, code)
	}
	return f
}

// fileOf is a name for the files of one start, of which there may be several.
func (w *world) fileOf(what string) string {
	word := strings.NewReplacer(",", "", " ", "-").Replace(what)
	return fmt.Sprintf("%s-%d-%d", word, w.n, time.Now().UnixMilli())
}

func (w *world) first(what string, p *proctest.Proc, begin time.Time) figures {
	w.t.Helper()
	ready := time.Since(begin)
	return figures{What: what, Names: w.n, Ready: ready, CPU: w.processorTime(p), Then: w.memory(p)}
}

// settle leaves the process alone and looks at it then.
func (w *world) settle(f *figures, p *proctest.Proc, pprof string) {
	w.t.Helper()
	time.Sleep(*idle) // that is what is measured: what it holds after so long
	f.Settled, f.All = w.memory(p), w.processorTime(p)
	if *profile != "" {
		w.keepHeap(pprof, filepath.Join(*profile, p.Name+".heap"))
	}
	w.t.Logf("%s, %d names: first answer %s, settled at %s", f.What, f.Names, f.Ready.Round(time.Millisecond), mega(f.Settled.Resident))
}

func (w *world) keepHeap(addr, file string) {
	w.t.Helper()
	if err := fetch("http://"+addr+"/debug/pprof/heap", file); err != nil {
		w.t.Error(err)
	}
}

// keepCPU profiles the first seconds of a process, from when it can be asked to: what
// coredns reads of a snapshot comes before that, see BenchmarkFromSnapshot in plugin.
func (w *world) keepCPU(addr, name string, long time.Duration) (wait func()) {
	if *profile == "" {
		return func() {}
	}
	var asking sync.WaitGroup
	asking.Go(func() {
		w.until("profile of "+name, func() error {
			return fetch(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%.0f", addr, long.Seconds()), filepath.Join(*profile, name+".cpu"))
		})
	})
	return asking.Wait
}

func fetch(url, file string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, raw, 0o600)
}

// until asks every few milliseconds until the answer is nil.
func (w *world) until(what string, ask func() error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), startWithin)
	defer cancel()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			w.t.Fatalf("%s: not in %s: %v", what, startWithin, err)
		case <-time.After(askEvery):
		}
	}
}

func logged(p *proctest.Proc, text string) error {
	raw, err := p.Log()
	if err == nil && !bytes.Contains(raw, []byte(text)) {
		err = fmt.Errorf("it has not said %q", text)
	}
	return err
}
