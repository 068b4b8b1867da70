package test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"signpost/controlapi"
	"signpost/controlapi/door"
	"signpost/controlapi/serve"
	"signpost/internal/access"
	"signpost/internal/store"
	"signpost/internal/store/localetcd"
	"signpost/test/proctest"
)

// service is a control service in this process that ends as a process would that is
// killed: connections break, calls and their transactions stop where they are.
type service struct {
	t     *testing.T
	etcd  string
	key   *store.MasterKey
	addr  string
	store *store.Store
	api   *serve.Server
	http  *http.Server
	ended chan struct{}
}

func (s *service) start() {
	s.t.Helper()
	var err error
	if s.store, err = store.Open(store.Config{Endpoints: []string{s.etcd}}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.store.UseMasterKeys(context.Background(), s.key); err != nil {
		s.t.Fatal(err)
	}
	c, err := controlapi.New(controlapi.Config{Store: s.store, Version: "test"})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.api, err = serve.New(serve.Config{Service: c}); err != nil {
		s.t.Fatal(err)
	}
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.http, s.ended = &http.Server{Handler: s.api.Handler(), Protocols: door.Protocols()}, make(chan struct{})
	go func(h *http.Server, ended chan struct{}) {
		h.Serve(l)
		close(ended)
	}(s.http, s.ended)
}

func (s *service) kill() {
	s.store.Close()
	s.http.Close()
	s.api.Close()
	<-s.ended
}

// One change is one change, and an acknowledged change is never lost: control
// services are killed in mid-call, and clients try again elsewhere. `make chaos` does
// it a thousand times.
func TestOneChangeIsOneChangeWhenServicesAreKilled(t *testing.T) {
	etcd := localetcd.New(t)
	key, token := store.NewMasterKey(), access.NewAdminToken()
	secret, err := access.ParseSecret(token)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(store.Config{Endpoints: []string{etcd.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Initialize(t.Context(), key, "first", secret.Sum[:], time.Now()); err != nil {
		t.Fatal(err)
	}
	tr := &trial{t: t, token: token}
	for range 3 {
		s := &service{t: t, etcd: etcd.Endpoint(), key: key, addr: "127.0.0.1:0"}
		s.start()
		defer func() { s.kill() }()
		tr.victims = append(tr.victims, &victim{url: "http://" + s.addr, kill: s.kill, restart: s.start})
	}
	n := *kills
	if n == 0 {
		n = 50
	}
	tr.run(n)
}

// processes is a trial with an etcd and two control services, each a process of its
// own, and where that etcd is.
func processes(t *testing.T) (tr *trial, dir, etcd string) {
	t.Helper()
	dir, etcd = t.TempDir(), "http://"+proctest.Addr(proctest.Port(t))
	peer := "http://" + proctest.Addr(proctest.Port(t))
	proctest.Start(t, dir, "etcd", "etcd", "--name", "one", "--data-dir", "one", "--log-level", "error", "--unsafe-no-fsync",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "one="+peer)
	tr = &trial{t: t}
	for _, name := range []string{"control0", "control1"} {
		addr := proctest.Addr(proctest.Port(t))
		p := proctest.Start(t, dir, name, "signpostd", "serve", "--etcd-endpoints", etcd, "--http-listen", addr,
			"--admin-listen", "127.0.0.1:0", "--log-level", "error")
		v := &victim{url: "http://" + addr, kill: p.Kill, restart: p.Restart}
		tr.victims = append(tr.victims, v)
		v.untilReady(t)
	}
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	tr.token = strings.TrimSpace(string(token))
	return tr, dir, etcd
}

func (v *victim) untilReady(t *testing.T) {
	t.Helper()
	proctest.Until(t, "ready", func() error {
		_, _, err := proctest.Get(t.Context(), v.url+"/readyz", "", "")
		return err
	})
}

// The same with processes and SIGKILL.
func TestOneChangeIsOneChangeWhenProcessesAreKilled(t *testing.T) {
	tr, _, _ := processes(t)
	n := *kills
	if n == 0 {
		n = 4
	}
	tr.run(n)
}
