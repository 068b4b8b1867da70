// Package control answers one question: how does a control service start and stop?
package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/controlapi/door"
	"signpost/controlapi/dyndns2"
	"signpost/controlapi/egi"
	"signpost/controlapi/plain"
	"signpost/controlapi/serve"
	"signpost/internal/access/oidc"
	"signpost/internal/auditlog"
	"signpost/internal/automation"
	"signpost/internal/certs"
	"signpost/internal/model"
	"signpost/internal/proc/admin"
	"signpost/internal/store"
	"signpost/internal/thrift"
	"signpost/internal/version"
)

const (
	sweepEvery  = 10 * time.Minute
	stopTimeout = 5 * time.Second
	setUpRetry  = 500 * time.Millisecond

	// room is for garbage: changes make much, and a service with few hosts keeps little.
	room = 128 << 20
)

// Server is a running control service.
type Server struct {
	url      string
	admin    string
	redirect string
	store    *store.Store
	service  *controlapi.Service
	audit    *auditlog.File // nil: none
	endAudit func()         // nil: nothing to end
	api      *serve.Server
	servers  []*http.Server
	config   Config
	log      *slog.Logger
	cancel   context.CancelFunc
	running  sync.WaitGroup
	release  func() // of the room for garbage
}

// Run runs a control service until ctx ends.
func Run(ctx context.Context, c Config, logs io.Writer) error {
	log, err := c.logger(logs)
	if err != nil {
		return err
	}
	s, err := Start(ctx, c, log)
	if err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before etcd was there
		}
		return err
	}
	s.reopenOnHangup(ctx)
	log.Info("serving", "url", s.URL(), "admin", s.AdminAddr(), "version", version.Version)
	<-ctx.Done()
	log.Info("stopping")
	return s.Close()
}

// Start listens, waits for etcd as long as ctx allows, sets an empty etcd up, and
// serves.
func Start(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, log: log, release: thrift.Room(room)}
	if err := s.start(ctx, c, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, c Config, log *slog.Logger) error {
	proxies, err := clientaddr.ParseProxies(c.TrustedProxies)
	if err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	people, err := oidc.New(oidc.Config{Issuers: c.Issuers, Log: log, Metrics: metrics})
	if err != nil {
		return err
	}
	authority, err := c.authority(time.Now)
	if err != nil {
		return err
	}
	if s.audit, err = c.openAudit(log, metrics); err != nil {
		return err
	}
	if s.audit != nil {
		s.writeAudit()
	}
	limits := door.Default()
	limits.PerAddress = c.PerAddress
	front, err := c.listen(door.New(limits, proxies, log, metrics), log)
	if err != nil {
		return err
	}
	serving := false
	defer func() {
		if !serving {
			front.close()
		}
	}()
	var etcdCert *certs.Pair
	if s.store, etcdCert, err = c.openStore(log); err != nil {
		return err
	}
	admin.WatchExpiry(metrics, map[string]*certs.Pair{"http": front.cert, "etcd": etcdCert})
	if err := setUpWhenThere(ctx, s.store, c, log); err != nil {
		return err
	}
	c.tellNoURL(log)
	c.tellOpenFiles(log) // after the very first start has made its own
	operators, err := c.operators()
	if err != nil {
		return err
	}
	barred, err := c.barred()
	if err != nil {
		return err
	}
	if s.service, err = controlapi.New(controlapi.Config{
		Store: s.store, Version: version.Version, NameServers: c.NameServers, Log: log, Metrics: metrics, Audit: s.audit,
		Users: people.Verify, Issuers: people.Issuers(), Operators: operators, Barred: barred, GroupMaxAge: c.GroupMaxAge, Authority: authority,
	}); err != nil {
		return err
	}
	checker, err := s.newMonitor(metrics, log)
	if err != nil {
		return err
	}
	automatic, err := automation.New(automation.Config{Store: s.store, Log: log, Metrics: metrics})
	if err != nil {
		return err
	}
	hooks, err := c.newWebhooks(log, metrics)
	if err != nil {
		return err
	}
	nic := dyndns2.New(s.service, proxies, log)
	mounts := nic.Mounts()
	maps.Copy(mounts, egi.New(s.service, proxies, c.PublicURL).Mounts())
	if s.api, err = serve.New(serve.Config{
		Service: s.service, Proxies: proxies, Log: log, Mounts: mounts, PublicURL: c.PublicURL, BodyWithin: limits.Body,
	}); err != nil {
		return err
	}
	serving = true
	s.url, s.admin, s.redirect = front.url(), front.admin.Addr().String(), front.redirectAddr()
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.serve(front.public, front.door.Server(s.api.Handler()))
	s.serve(admin.Listen(front.admin, admin.Default()), admin.Server(admin.Handler(metrics, s.service.Ready, "etcd does not answer", log), admin.Default(), log))
	if front.redirect != nil {
		s.serve(front.redirect, front.door.Server(plain.New(front.to, nic)))
	}
	s.running.Go(func() { _ = s.store.KeepCopy(running) }) // it ends with running, and only then
	s.running.Go(func() { sweep(running, s.store, log) })
	s.running.Go(func() { endLeases(running, s.service, leasesEvery, log) })
	s.running.Go(func() { sweepChallenges(running, s.service, challengesEvery, log) })
	s.running.Go(func() { automatic.Run(running) })
	s.running.Go(func() { s.service.NoteUses(running) })
	s.running.Go(func() { s.service.SumUpRefusals(running) })
	s.running.Go(func() { s.store.Announce(running, s.name()) })
	for _, h := range hooks {
		s.running.Go(func() { (&teller{h, s.store, s.service, log}).run(running) })
	}
	if checker != nil {
		s.running.Go(func() { checker.Run(running) })
	}
	care := newUpkeep(metrics, log, time.Now())
	s.running.Go(func() { care.run(running, s.store) })
	return nil
}

// name tells the service from others.
func (s *Server) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return host + " (" + s.url + ")"
}

func (s *Server) serve(l net.Listener, srv *http.Server) {
	s.servers = append(s.servers, srv)
	s.running.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("stopped serving", "address", l.Addr().String(), "error", err)
		}
	})
}

// setUpWhenThere waits for etcd: a control service may be started before it.
func setUpWhenThere(ctx context.Context, st *store.Store, c Config, log *slog.Logger) error {
	told := false
	for {
		err := setUp(ctx, st, c, log)
		if model.KindOf(err) != model.Unavailable || err == nil {
			return err
		}
		if !told {
			told = true
			log.Warn("waiting for etcd", "endpoints", c.EtcdEndpoints, "error", err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(setUpRetry):
		}
	}
}

func sweep(ctx context.Context, st *store.Store, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery/2 + rand.N(sweepEvery)):
		}
		n, err := st.Sweep(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			log.Warn("sweep", "removed", n, "error", err)
		} else if n > 0 {
			log.Info("sweep", "removed", n)
		}
	}
}

// URL is where the API is.
func (s *Server) URL() string { return s.url }

// AdminAddr is where metrics and readiness are.
func (s *Server) AdminAddr() string { return s.admin }

// RedirectAddr is where plain HTTP is sent on from; "" if nowhere.
func (s *Server) RedirectAddr() string { return s.redirect }

// Close answers what is under way, at most for five seconds, and stops. Nobody waits any
// longer until a change is visible: they are told that it is made.
func (s *Server) Close() error {
	defer s.release()
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout) // what Run was given has ended by now
	defer cancel()
	if s.service != nil {
		s.service.EndStreams()
	}
	for _, srv := range s.servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
	}
	if s.cancel != nil {
		s.cancel()
	}
	s.running.Wait()
	if s.api != nil {
		s.api.Close()
	}
	if s.endAudit != nil { // nobody calls any more
		s.endAudit()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
