package control

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"signpost/controlapi"
	"signpost/internal/model"
	"signpost/internal/store"
	pb "signpost/proto/signpost/v1"
)

// adminHandler is what only those who run the service should reach.
func adminHandler(service *controlapi.Service, metrics *prometheus.Registry, log *slog.Logger) http.Handler {
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := service.Ready(r.Context()); err != nil {
			log.Debug("not ready", "error", err)
			http.Error(w, "etcd does not answer", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func (c Config) level() (slog.Level, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, model.E(model.Invalid, "read setting", "log-level").Because("\"" + c.LogLevel + "\" is not debug, info, warn or error")
	}
	return l, nil
}

func (c Config) logger(w io.Writer) (*slog.Logger, error) {
	level, err := c.level()
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), err
}

func (c Config) openStore(log *slog.Logger) (*store.Store, error) {
	password, err := c.password()
	if err != nil {
		return nil, err
	}
	cfg := store.Config{Endpoints: c.EtcdEndpoints, Prefix: c.EtcdPrefix, User: c.EtcdUser, Password: password, Log: log}
	if c.EtcdCert != "" || c.EtcdCA != "" {
		if cfg.TLS, err = store.TLSFromFiles(c.EtcdCert, c.EtcdKey, c.EtcdCA); err != nil {
			return nil, err
		}
	}
	return store.Open(cfg)
}

// EnsureToken makes another admin token when the file with the first is gone: for
// signpost-dev, whose etcd nobody else can give one.
func (s *Server) EnsureToken(ctx context.Context) error {
	_, _, err := readOrMake(s.config.AdminTokenFile, func() (string, error) {
		return newAdminToken(ctx, s.store, s.config, s.log)
	})
	return err
}

// EnsureZone creates a zone with the name servers ns1 and ns2 at an address, if it
// is not there: for signpost-dev. Its hosts may have loopback addresses, so that
// everything can be tried on one machine.
func (s *Server) EnsureZone(ctx context.Context, zone, addr string) error {
	token, err := os.ReadFile(s.config.AdminTokenFile)
	if err != nil {
		return model.E(model.Precondition, "read admin token", s.config.AdminTokenFile).From(err)
	}
	ctx = controlapi.WithCaller(ctx, controlapi.Caller{Authorization: "Bearer " + strings.TrimSpace(string(token))})
	_, err = s.service.CreateZone(ctx, &pb.CreateZoneRequest{
		Name: zone, LocalAddresses: true, NameServers: []*pb.NameServer{
			{Name: "ns1." + zone, Addresses: []string{addr}}, {Name: "ns2." + zone, Addresses: []string{addr}},
		},
	})
	if model.KindOf(err) == model.AlreadyExists {
		return nil
	}
	return err
}
