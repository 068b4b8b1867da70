// Package monitor answers one question: how does the monitor of a site start and stop?
package monitor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/internal/certs"
	"signpost/internal/model"
	"signpost/internal/monitor"
	"signpost/internal/proc/admin"
	"signpost/internal/proc/settings"
	"signpost/internal/store"
	"signpost/internal/version"
)

// stopTimeout is how long those who look at metrics may hold up the end.
const stopTimeout = 2 * time.Second

// Server is a running monitor.
type Server struct {
	admin   string
	store   *store.Store
	server  *http.Server
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Run runs a monitor until ctx ends.
func Run(ctx context.Context, c Config, logs io.Writer) error {
	level, err := settings.Level("log-level", c.LogLevel)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: level}))
	s, err := Start(ctx, c, log)
	if err != nil {
		return err
	}
	log.Info("monitoring", "site", c.Site, "admin", s.AdminAddr(), "version", version.Version)
	<-ctx.Done()
	log.Info("stopping")
	return s.Close()
}

// Start listens for those who run it and begins to check; etcd need not be there yet.
func Start(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	rules, err := monitor.ParseRules(c.Allow, c.Own)
	if err != nil {
		return nil, err
	}
	if rules, err = rules.Here(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.AdminListen)
	if err != nil {
		return nil, model.E(model.Invalid, "listen", c.AdminListen).In("admin-listen").From(err)
	}
	cfg, err := c.etcd().Config(log)
	if err == nil {
		cfg.Log = log
		s := &Server{admin: listener.Addr().String()}
		if s.store, err = store.Open(cfg); err == nil {
			metrics := prometheus.NewRegistry()
			if cfg.TLS != nil {
				admin.WatchExpiry(metrics, map[string]*certs.Pair{"etcd": cfg.TLS.Cert})
			}
			m := monitor.New(monitor.Config{Site: c.Site, Rules: rules, Store: s.store, Log: log, Metrics: metrics})
			s.run(ctx, m, listener, metrics, log)
			return s, nil
		}
	}
	return nil, errors.Join(err, listener.Close())
}

func (s *Server) run(ctx context.Context, m *monitor.Monitor, l net.Listener, metrics *prometheus.Registry, log *slog.Logger) {
	ready := func(context.Context) error { return m.Ready() }
	s.server = admin.Server(admin.Handler(metrics, ready, "it does not check for its site, or does not see etcd", log), admin.Default(), log)
	s.running.Go(func() {
		if err := s.server.Serve(admin.Listen(l, admin.Default())); !errors.Is(err, http.ErrServerClosed) {
			log.Error("stopped serving", "address", s.admin, "error", err)
		}
	})
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(func() { m.Run(ctx) })
}

// AdminAddr is where metrics and readiness are.
func (s *Server) AdminAddr() string { return s.admin }

// Close stops to check and takes the sign of life away, so that one that stands by takes
// over at once.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	if err := s.server.Shutdown(ctx); err != nil {
		errs = append(errs, s.server.Close())
	}
	s.cancel()
	s.running.Wait()
	return errors.Join(append(errs, s.store.Close())...)
}
