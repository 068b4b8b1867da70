package size

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"signpost/test/proctest"
)

// Address updates through a control service, to see what one adds to etcd: all its keys,
// with the audit, until etcd is compacted.
const (
	updaters = 40 // hosts, each updated by a client of its own
	each     = 50 // fewer than a host may have in a minute
)

// controlled is a control service on all the names.
type controlled struct {
	memory memory
	update int64 // octets that an address update adds to etcd's database
}

func (w *world) update() controlled {
	w.t.Helper()
	listen, admin := proctest.Addr(proctest.Port(w.t)), proctest.Addr(proctest.Port(w.t))
	p := proctest.Start(w.t, w.dir, w.fileOf("signpostd"), "signpostd", "serve", "--etcd-endpoints", w.endpoint, "--http-listen", listen, "--admin-listen", admin)
	defer p.Stop()
	w.until("signpostd follows", func() error { return logged(p, "the copy of the state is there") })
	secrets := make([]string, updaters)
	host := func(u int) string { return fmt.Sprintf("updated%d.dyn.example.org", u) }
	for u := range secrets {
		secret, err := proctest.CLI(w.t, w.dir, "http://"+listen, "admin.token", "host", "create", host(u), "--ip", "192.0.2.1", "--quiet")
		if err != nil {
			w.t.Fatal(err)
		}
		secrets[u] = strings.TrimSpace(secret)
	}
	before := w.inUse()
	var running sync.WaitGroup
	for u := range updaters {
		running.Go(func() {
			for i := range each {
				url := fmt.Sprintf("http://%s/nic/update?myip=%s", listen, changedAddress(u*each+i))
				status, body, err := proctest.Get(w.t.Context(), url, host(u), secrets[u])
				if err != nil || status != http.StatusOK || !strings.HasPrefix(body, "good") {
					w.t.Errorf("update %d of %s: %d %s %v", i, host(u), status, body, err)
					return
				}
			}
		})
	}
	running.Wait()
	return controlled{w.memory(p), (w.inUse() - before) / (updaters * each)}
}

func (w *world) inUse() int64 {
	w.t.Helper()
	st, err := w.store.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return st.InUse
}
