// Package control answers one question: how does a control service start and stop?
package control

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"signpost/controlapi"
	"signpost/controlapi/clientaddr"
	"signpost/controlapi/dyndns2"
	"signpost/controlapi/serve"
	"signpost/internal/model"
	"signpost/internal/store"
	"signpost/internal/version"
)

const (
	sweepEvery   = 10 * time.Minute
	stopTimeout  = 5 * time.Second
	setUpRetry   = 500 * time.Millisecond
	headerWithin = 5 * time.Second
	idleFor      = 120 * time.Second
)

// Server is a running control service.
type Server struct {
	url     string
	admin   string
	store   *store.Store
	service *controlapi.Service
	api     *serve.Server
	servers []*http.Server
	config  Config
	log     *slog.Logger
	cancel  context.CancelFunc
	running sync.WaitGroup
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
	log.Info("serving", "url", s.URL(), "admin", s.AdminAddr(), "version", version.Version)
	<-ctx.Done()
	log.Info("stopping")
	return s.Close()
}

// NewToken makes another admin token.
func NewToken(ctx context.Context, c Config, logs io.Writer) (string, error) {
	log, err := c.logger(logs)
	if err != nil {
		return "", err
	}
	st, err := c.openStore(log)
	if err != nil {
		return "", err
	}
	text, err := newAdminToken(ctx, st, c, log)
	return text, errors.Join(err, st.Close())
}

// Start listens, waits for etcd as long as ctx allows, sets an empty etcd up, and
// serves.
func Start(ctx context.Context, c Config, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, log: log}
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
	public, err := listen(c.HTTPListen, c.TLSCert, c.TLSKey)
	if err != nil {
		return err
	}
	admin, err := listen(c.AdminListen, "", "")
	if err != nil {
		return errors.Join(err, public.Close())
	}
	serving := false
	defer func() {
		if !serving {
			public.Close()
			admin.Close()
		}
	}()
	if s.store, err = c.openStore(log); err != nil {
		return err
	}
	if err := setUpWhenThere(ctx, s.store, c, log); err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	if s.service, err = controlapi.New(controlapi.Config{
		Store: s.store, Version: version.Version, NameServers: c.NameServers, Log: log, Metrics: metrics,
	}); err != nil {
		return err
	}
	nic := dyndns2.New(s.service, proxies, log)
	if s.api, err = serve.New(serve.Config{
		Service: s.service, Proxies: proxies, Log: log, Mounts: nic.Mounts(),
	}); err != nil {
		return err
	}
	serving = true
	s.url, s.admin = address(public, c.TLSCert != ""), admin.Addr().String()
	warnPlain(c, log)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.serve(public, s.api.Handler(), log)
	s.serve(admin, adminHandler(s.service, metrics, log), log)
	s.running.Go(func() { _ = s.store.KeepCopy(running) }) // it ends with running, and only then
	s.running.Go(func() { sweep(running, s.store, log) })
	care := newUpkeep(metrics, log, time.Now())
	s.running.Go(func() { care.run(running, s.store) })
	return nil
}

func listen(addr, cert, key string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, model.E(model.Precondition, "listen on", addr).From(err)
	}
	if cert == "" {
		return l, nil
	}
	load := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	if _, err := load(nil); err != nil {
		return nil, errors.Join(model.E(model.Invalid, "read setting", "tls-cert").From(err), l.Close())
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: load, NextProtos: []string{"h2", "http/1.1"},
	}), nil
}

func address(l net.Listener, tls bool) string {
	if tls {
		return "https://" + l.Addr().String()
	}
	return "http://" + l.Addr().String()
}

func warnPlain(c Config, log *slog.Logger) {
	host, _, _ := net.SplitHostPort(c.HTTPListen)
	if ip := net.ParseIP(host); c.TLSCert == "" && (ip == nil || !ip.IsLoopback()) {
		log.Warn("http-listen is plain HTTP and not on loopback: secrets can be read on the way", "http_listen", c.HTTPListen)
	}
}

func (s *Server) serve(l net.Listener, h http.Handler, log *slog.Logger) {
	srv := &http.Server{
		Handler: h, Protocols: serve.Protocols(), ReadHeaderTimeout: headerWithin, IdleTimeout: idleFor,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	s.servers = append(s.servers, srv)
	s.running.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("stopped serving", "address", l.Addr().String(), "error", err)
		}
	})
}

// setUpWhenThere waits for etcd: a control service may be started before it.
func setUpWhenThere(ctx context.Context, st *store.Store, c Config, log *slog.Logger) error {
	told := false
	for {
		err := setUp(ctx, st, c.MasterKeyFile, c.AdminTokenFile, log)
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

// Close answers what is under way, at most for five seconds, and stops.
func (s *Server) Close() error {
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
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
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}
